//! A cache of the writing thread, which saves queries for each segment.
//!
//! The thread is the only writer of these tables, because the server locks the data
//! directory. So the cache equals what is stored. It is emptied after a failed transaction.

use std::collections::{HashMap, HashSet};

use bubble_common::segment::{ContainerId, SourceId};
use rusqlite::{Connection, OptionalExtension, params};

use super::entry;
use super::row_id::{ContainerRow, SourceRow, SpanKey};
use super::versions::Versions;
use crate::store::column::number;
use crate::store::container::Container;
use crate::store::error::{StoreError, failed};

/// Containers, sources or marks at most. Beyond that the cache is emptied.
const MAX_CACHED: usize = 50_000;

/// A container's row number, and its entry of the index.
struct CachedContainer {
    row: ContainerRow,
    container: Container,
    /// `Some` if the entry must be written before the commit; `Some(true)`: with its facts.
    changed: Option<bool>,
}

#[derive(Default)]
pub(super) struct Cache {
    containers: HashMap<ContainerId, CachedContainer>,
    sources: HashMap<SourceId, SourceRow>,
    /// Upper bound of the ends of a source's posts in a container.
    ends: HashMap<(ContainerRow, SourceRow), u64>,
    /// Dirty spans, and whether each has a packed row.
    marks: HashMap<SpanKey, bool>,
    /// Containers changed in this transaction.
    changed: Vec<ContainerId>,
    /// Spans into which this transaction put something.
    touched: HashSet<SpanKey>,
    /// Spans whose mark this transaction cleared.
    cleared: HashSet<SpanKey>,
    versions: Versions,
}

impl Cache {
    pub(super) fn new(versions: Versions) -> Self {
        Self {
            versions,
            ..Self::default()
        }
    }

    /// Empties the cache.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.versions.clone());
    }

    /// The row number of a source, which is added if it is new.
    pub(super) fn source(
        &mut self,
        connection: &Connection,
        source: SourceId,
    ) -> Result<SourceRow, StoreError> {
        if let Some(row) = self.sources.get(&source) {
            return Ok(*row);
        }
        let row = source_row(connection, source)?;
        if self.sources.len() >= MAX_CACHED {
            self.sources.clear();
        }
        self.sources.insert(source, row);
        Ok(row)
    }

    /// Notes that slots from `start` to `end` are put into the container `id`. Returns whether `start` is
    /// certainly not before the end of any slot that is stored of this source.
    pub(super) fn note_end(
        &mut self,
        id: &ContainerId,
        source: (ContainerRow, SourceRow),
        start: u64,
        end: u64,
    ) -> bool {
        if let Some(known) = self.ends.get_mut(&source) {
            let is_newest = *known <= start;
            *known = end.max(*known);
            return is_newest;
        }
        if self.ends.len() >= MAX_CACHED {
            self.ends.clear();
        }
        // A source that is not cached may have later slots, but none after the end of its container.
        let stored = match self.containers.get(id) {
            Some(cached) => cached.container.last_seen,
            None => u64::MAX,
        };
        self.ends.insert(source, end.max(stored));
        false
    }

    /// The row number of a container, which is added if it is new.
    pub(super) fn row(
        &mut self,
        connection: &Connection,
        id: &ContainerId,
    ) -> Result<ContainerRow, StoreError> {
        match self.containers.get(id) {
            Some(cached) => Ok(cached.row),
            None => self.load(connection, id).map(|cached| cached.row),
        }
    }

    /// Changes a container's entry, which is written before the commit. `change` returns whether it
    /// changed the facts. Returns the container's row number.
    pub(super) fn change(
        &mut self,
        connection: &Connection,
        id: &ContainerId,
        change: impl FnOnce(&mut Container) -> bool,
    ) -> Result<ContainerRow, StoreError> {
        let cached = match self.containers.get_mut(id) {
            Some(cached) => cached,
            None => self.load(connection, id)?,
        };
        let facts = change(&mut cached.container);
        let (row, first) = (cached.row, cached.changed.is_none());
        cached.changed = cached.changed.max(Some(facts));
        if first {
            self.changed.push(id.clone());
        }
        Ok(row)
    }

    /// Loads a container into the cache, and adds it to the database if it is new.
    fn load(
        &mut self,
        connection: &Connection,
        id: &ContainerId,
    ) -> Result<&mut CachedContainer, StoreError> {
        let (row, container) = match entry::get(connection, id)? {
            Some(known) => known,
            None => {
                let container = Container::new(id.clone());
                (entry::insert(connection, &container)?, container)
            }
        };
        let cached = CachedContainer {
            row,
            container,
            changed: None,
        };
        Ok(self.containers.entry(id.clone()).or_insert(cached))
    }

    /// Drops a container from the cache before its entry is changed or deleted by other means.
    /// Pending changes are written first.
    pub(super) fn evict(
        &mut self,
        connection: &Connection,
        id: &ContainerId,
        row: ContainerRow,
    ) -> Result<(), StoreError> {
        self.flush(connection)?;
        self.containers.remove(id);
        // SQLite may reuse the row number of a deleted container.
        self.marks.retain(|(container, ..), _| *container != row);
        self.ends.retain(|(container, _), _| *container != row);
        Ok(())
    }

    /// Marks a span dirty. Returns whether it has a packed row.
    pub(super) fn mark(
        &mut self,
        connection: &Connection,
        span: SpanKey,
        now: u64,
    ) -> Result<bool, StoreError> {
        let packed = match self.marks.get(&span) {
            Some(packed) => *packed,
            None => {
                insert_mark(connection, span, now)?;
                let packed = has_packed_row(connection, span)?;
                self.marks.insert(span, packed);
                packed
            }
        };
        self.touched.insert(span);
        self.cleared.remove(&span);
        Ok(packed)
    }

    /// Clears the mark of a span, unless something was put into it after `version`.
    pub(super) fn clear(
        &mut self,
        connection: &Connection,
        span: SpanKey,
        version: u64,
    ) -> Result<(), StoreError> {
        // In either case a packed row may exist now.
        self.marks.remove(&span);
        if self.touched.contains(&span) || self.versions.of(span).number != version {
            return Ok(());
        }
        let (container, resolution, start) = span;
        connection
            .prepare_cached(
                "DELETE FROM dirty WHERE resolution = ?1 AND start = ?2 AND container = ?3",
            )
            .and_then(|mut statement| {
                statement.execute(params![resolution as u8, number(start), container])
            })
            .map_err(failed("clear a mark"))?;
        self.cleared.insert(span);
        Ok(())
    }

    /// Writes changed entries, before the commit.
    pub(super) fn flush(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut update = entry::Update::new(connection)?;
        for id in self.changed.drain(..) {
            if let Some(cached) = self.containers.get_mut(&id)
                && let Some(facts) = cached.changed.take()
            {
                update.sums(cached.row, &cached.container)?;
                if facts {
                    entry::update_facts(connection, cached.row, &cached.container)?;
                }
            }
        }
        if self.containers.len() > MAX_CACHED {
            self.containers.clear();
        }
        if self.marks.len() > MAX_CACHED {
            self.marks.clear();
        }
        Ok(())
    }

    /// Publishes versions to readers, after the commit.
    pub(super) fn publish(&mut self, now: u64) {
        self.versions.clear(self.cleared.drain());
        self.versions.touch(self.touched.drain(), now);
    }
}

fn insert_mark(
    connection: &Connection,
    (container, resolution, start): SpanKey,
    now: u64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO dirty (resolution, start, container, touched) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO UPDATE SET touched = excluded.touched",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                resolution as u8,
                number(start),
                container,
                number(now)
            ])
        })
        .map(drop)
        .map_err(failed("mark a span"))
}

fn has_packed_row(
    connection: &Connection,
    (container, resolution, start): SpanKey,
) -> Result<bool, StoreError> {
    connection
        .prepare_cached(
            "SELECT 1 FROM packed WHERE container = ?1 AND resolution = ?2 AND start = ?3",
        )
        .and_then(|mut statement| {
            statement.exists(params![container, resolution as u8, number(start)])
        })
        .map_err(failed("look for a packed row"))
}

/// The row number of a source, which is added if it is new.
fn source_row(connection: &Connection, source: SourceId) -> Result<SourceRow, StoreError> {
    let known: Option<SourceRow> = connection
        .prepare_cached("SELECT id FROM source WHERE uuid = ?1")
        .and_then(|mut statement| statement.query_row([source.0], |row| row.get(0)).optional())
        .map_err(failed("look up a source"))?;
    if let Some(row) = known {
        return Ok(row);
    }
    connection
        .prepare_cached("INSERT INTO source (uuid) VALUES (?1)")
        .and_then(|mut statement| statement.insert([source.0]))
        .map_err(failed("note a source"))
}
