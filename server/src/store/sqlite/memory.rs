//! What the writing thread remembers, so as not to ask the database for each segment.
//!
//! It is the only writer of these tables (the data directory is locked by the
//! server that serves it), so what it remembers is what is stored. After a failed
//! transaction it forgets all, and reads again.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bubble_common::segment::{ContainerId, Resolution, SourceId};
use rusqlite::{Connection, OptionalExtension, params};

use super::index;
use crate::store::column::number;
use crate::store::container::Container;
use crate::store::error::{StoreError, failed};

/// Containers remembered at most; beyond that all are forgotten, and read again as they come.
const MOST: usize = 50_000;

/// A container's row number.
pub(super) type ContainerRow = i64;
/// A source's row number.
pub(super) type SourceRow = i64;
/// Names a span: container, resolution, start.
pub(super) type SpanKey = (ContainerRow, Resolution, u64);

/// When a piece was last put into each dirty span, since this process began.
///
/// Shared with the readers: a packer notes the version before it reads the
/// pieces, and the mark is cleared only if it is still the same. It changes after
/// the commit, so that whoever sees the new version sees the new piece as well.
#[derive(Default, Clone)]
pub(super) struct Versions(Arc<Mutex<Touches>>);

#[derive(Default)]
struct Touches {
    last: u64,
    spans: HashMap<SpanKey, Touch>,
}

/// The latest put into a dirty span.
#[derive(Default, Clone, Copy)]
pub(super) struct Touch {
    /// Never given twice; 0 when nothing was put since this process began.
    pub(super) version: u64,
    /// Seconds since the Unix epoch; 0 likewise.
    pub(super) at: u64,
}

impl Versions {
    fn lock(&self) -> MutexGuard<'_, Touches> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn of(&self, span: SpanKey) -> Touch {
        self.lock().spans.get(&span).copied().unwrap_or_default()
    }

    fn touch(&self, spans: impl IntoIterator<Item = SpanKey>, at: u64) {
        let mut touches = self.lock();
        for span in spans {
            touches.last += 1;
            let version = touches.last;
            touches.spans.insert(span, Touch { version, at });
        }
    }

    fn clear(&self, spans: impl IntoIterator<Item = SpanKey>) {
        let mut touches = self.lock();
        for span in spans {
            touches.spans.remove(&span);
        }
    }
}

/// A container's row, and its entry in the index.
struct Known {
    row: ContainerRow,
    container: Container,
    /// Whether the entry is to be written before the commit; `true`: its facts too.
    changed: Option<bool>,
}

#[derive(Default)]
pub(super) struct Memory {
    containers: HashMap<ContainerId, Known>,
    sources: HashMap<SourceId, SourceRow>,
    /// Spans that are marked dirty, and whether a packed row of them exists.
    marks: HashMap<SpanKey, bool>,
    /// Containers changed in this transaction.
    changed: Vec<ContainerId>,
    /// Spans into which something was put in this transaction.
    touched: HashSet<SpanKey>,
    /// Spans whose mark was cleared in this transaction.
    cleared: HashSet<SpanKey>,
    versions: Versions,
}

impl Memory {
    pub(super) fn new(versions: Versions) -> Self {
        Self {
            versions,
            ..Self::default()
        }
    }

    pub(super) fn forget(&mut self) {
        *self = Self::new(self.versions.clone());
    }

    /// The row of a source, which is made if it is new.
    pub(super) fn source(
        &mut self,
        connection: &Connection,
        source: SourceId,
    ) -> Result<SourceRow, StoreError> {
        if let Some(row) = self.sources.get(&source) {
            return Ok(*row);
        }
        let row = source_row(connection, source)?;
        if self.sources.len() >= MOST {
            self.sources.clear();
        }
        self.sources.insert(source, row);
        Ok(row)
    }

    /// The row of a container, which is made if it is new.
    pub(super) fn row(
        &mut self,
        connection: &Connection,
        id: &ContainerId,
    ) -> Result<ContainerRow, StoreError> {
        match self.containers.get(id) {
            Some(known) => Ok(known.row),
            None => self.recall(connection, id).map(|known| known.row),
        }
    }

    /// Changes a container's entry, which is written before the commit; `change` says whether its
    /// facts are others now. Returns the container's row.
    pub(super) fn change(
        &mut self,
        connection: &Connection,
        id: &ContainerId,
        change: impl FnOnce(&mut Container) -> bool,
    ) -> Result<ContainerRow, StoreError> {
        let known = match self.containers.get_mut(id) {
            Some(known) => known,
            None => self.recall(connection, id)?,
        };
        let facts = change(&mut known.container);
        let (row, first) = (known.row, known.changed.is_none());
        known.changed = known.changed.max(Some(facts));
        if first {
            self.changed.push(id.clone());
        }
        Ok(row)
    }

    /// Reads what is stored of a container, which is added if it is new.
    fn recall(
        &mut self,
        connection: &Connection,
        id: &ContainerId,
    ) -> Result<&mut Known, StoreError> {
        let (row, container) = match index::get(connection, id)? {
            Some(known) => known,
            None => {
                let container = Container::new(id.clone());
                (index::insert(connection, &container)?, container)
            }
        };
        let known = Known {
            row,
            container,
            changed: None,
        };
        Ok(self.containers.entry(id.clone()).or_insert(known))
    }

    /// Forgets a container whose entry is about to be changed or deleted by other
    /// means; what was noted of it is written first.
    pub(super) fn evict(
        &mut self,
        connection: &Connection,
        id: &ContainerId,
        row: ContainerRow,
    ) -> Result<(), StoreError> {
        self.flush(connection)?;
        self.containers.remove(id);
        // The row number of a deleted container may be given again.
        self.marks.retain(|(container, ..), _| *container != row);
        Ok(())
    }

    /// Marks a span dirty. Returns whether a packed row of it exists.
    pub(super) fn mark(
        &mut self,
        connection: &Connection,
        span: SpanKey,
        now: u64,
    ) -> Result<bool, StoreError> {
        let packed = match self.marks.get(&span) {
            Some(packed) => *packed,
            None => {
                let (container, resolution, start) = span;
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
                    .map_err(failed("mark a span"))?;
                let packed = connection
                    .prepare_cached(
                        "SELECT 1 FROM packed WHERE container = ?1 AND resolution = ?2 AND start = ?3",
                    )
                    .and_then(|mut statement| {
                        statement.exists(params![container, resolution as u8, number(start)])
                    })
                    .map_err(failed("look for a packed row"))?;
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
        // Either way a packed row may exist now.
        self.marks.remove(&span);
        if self.touched.contains(&span) || self.versions.of(span).version != version {
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

    /// Writes what is to be written before the commit.
    pub(super) fn flush(&mut self, connection: &Connection) -> Result<(), StoreError> {
        let mut update = index::Update::new(connection)?;
        for id in self.changed.drain(..) {
            if let Some(known) = self.containers.get_mut(&id)
                && let Some(facts) = known.changed.take()
            {
                update.sums(known.row, &known.container)?;
                if facts {
                    index::update_facts(connection, known.row, &known.container)?;
                }
            }
        }
        if self.containers.len() > MOST {
            self.containers.clear();
        }
        if self.marks.len() > MOST {
            self.marks.clear();
        }
        Ok(())
    }

    /// Lets the readers know what was committed.
    pub(super) fn committed(&mut self, now: u64) {
        self.versions.clear(self.cleared.drain());
        self.versions.touch(self.touched.drain(), now);
    }
}

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
