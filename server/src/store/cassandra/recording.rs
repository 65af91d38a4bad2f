//! Recordings: which there are, and how one goes.
//!
//! As in SQLite's store, deleting is a mark that anyone may set, and a sweep that
//! must not run while spans are packed. Where workers pack, it does all the same:
//! what one of them had read before is put back. So what was swept is swept once more
//! when that must be over.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bubble_common::segment::{ContainerId, Resolution, SourceId, facts};
use futures_util::future::try_join_all;

use super::index::DAY;
use super::life::{self, Counted, Entry, Life};
use super::mark::{self, Span};
use super::put::delete_pieces;
use super::session::{Bound, Cql};
use super::value::{blob, container_of, shard, source_of, text};
use super::{read, table};
use crate::clock;
use crate::store::column::{number, unsigned};
use crate::store::error::StoreError;
use crate::store::recording::{Label, Recorded, Recording};
use crate::store::row::Post;

/// After so long whoever packed while something was swept has ended, or was given up.
pub(super) const AGAIN: Duration = Duration::from_secs(60);

/// Notes which recordings posts belong to, before they are stored.
pub(super) async fn note(cql: &Cql, posts: &[Post]) -> Result<(), StoreError> {
    let mut labels = BTreeMap::new();
    let mut parts = BTreeSet::new();
    for post in posts {
        if let Some(label) = &post.recording {
            labels.insert(label.id, &label.name);
            parts.insert((label.id, &post.key.container, post.key.source));
        }
    }
    for (id, name) in labels {
        // µs, as they tell the order.
        put_head(cql, id, name, clock::now_ns() / 1_000).await?;
    }
    for (recording, container, source) in parts {
        put_part(cql, recording, container, source).await?;
    }
    Ok(())
}

/// Puts a recording, of which the first put decides the name and when it was made.
pub(super) async fn put_head(
    cql: &Cql,
    id: SourceId,
    name: &str,
    created_us: u64,
) -> Result<(), StoreError> {
    cql.write_if(
        "note a recording",
        "INSERT INTO recording (id, name, created, deleted) VALUES (?, ?, ?, false) IF NOT EXISTS",
        (&id.0[..], name, number(created_us)),
    )
    .await
    .map(drop)
}

/// Puts that a source of a container belongs to a recording.
pub(super) async fn put_part(
    cql: &Cql,
    recording: SourceId,
    container: &ContainerId,
    source: SourceId,
) -> Result<(), StoreError> {
    cql.write(
        "note a recording",
        "INSERT INTO recorded (recording, container, source) VALUES (?, ?, ?)",
        (&recording.0[..], container.as_str(), &source.0[..]),
    )
    .await
}

struct Head {
    id: SourceId,
    name: String,
    /// µs since the Unix epoch.
    created: u64,
    deleted: bool,
}

/// All recordings, oldest first.
async fn heads(cql: &Cql) -> Result<Vec<Head>, StoreError> {
    let rows: Vec<(Vec<u8>, String, i64, bool)> = cql
        .rows(
            "list recordings",
            "SELECT id, name, created, deleted FROM recording",
            (),
        )
        .await?;
    let mut heads = rows
        .into_iter()
        .map(|(id, name, created, deleted)| {
            Ok(Head {
                id: source_of(&id)?,
                name,
                created: unsigned(created),
                deleted,
            })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    heads.sort_by_key(|head| (head.created, head.id));
    Ok(heads)
}

/// Names of those that are not deleted, oldest first.
pub(super) async fn names(cql: &Cql) -> Result<Vec<(SourceId, String)>, StoreError> {
    let heads = heads(cql).await?.into_iter();
    let live = heads.filter(|head| !head.deleted);
    Ok(live.map(|head| (head.id, head.name)).collect())
}

/// What a recording has parts in: containers, and by which sources.
async fn parts(cql: &Cql, id: SourceId) -> Result<Vec<(ContainerId, SourceId)>, StoreError> {
    let rows: Vec<(String, Vec<u8>)> = cql
        .rows(
            "list what is recorded",
            "SELECT container, source FROM recorded WHERE recording = ?",
            (&id.0[..],),
        )
        .await?;
    rows.iter()
        .map(|(container, source)| Ok((container_of(container)?, source_of(source)?)))
        .collect()
}

/// All that are not deleted, oldest first.
pub(super) async fn list(cql: &Cql) -> Result<Vec<Recording>, StoreError> {
    let mut found = Vec::new();
    for head in heads(cql).await?.into_iter().filter(|head| !head.deleted) {
        let mut recording = Recording {
            label: Label {
                id: head.id,
                name: head.name,
            },
            created: head.created / 1_000_000,
            containers: Vec::new(),
        };
        for (container, source) in parts(cql, head.id).await? {
            let life = life::read(cql, &container).await?;
            if let Some(part) = part(container, source, &life) {
                recording.add(part);
            }
        }
        found.push(recording);
    }
    Ok(found)
}

/// What is known of a container by one source.
fn part(container: ContainerId, source: SourceId, life: &Life) -> Option<Recorded> {
    let counted = Counted::new(&life.entries);
    let own = || life.entries.iter().filter(|e| e.place.source == source);
    let sum = |of: fn(&Entry) -> u64| {
        let counted = own().filter(|entry| counted.holds(entry));
        counted.fold(0_u64, |sum, entry| sum.saturating_add(of(entry)))
    };
    let whole = life.container(&container, &[])?;
    Some(Recorded {
        name: whole.facts.get(facts::NAME).cloned().unwrap_or_default(),
        first: own().map(|entry| entry.activity.first).min()?,
        last: own().map(|entry| entry.activity.last).max()?,
        cpu_ns: sum(|entry| entry.activity.cpu_ns),
        bytes_in: sum(|entry| entry.activity.bytes_in),
        bytes_out: sum(|entry| entry.activity.bytes_out),
        container,
    })
}

/// Marks a recording as deleted; `false` when there is none.
pub(super) async fn delete(cql: &Cql, id: SourceId) -> Result<bool, StoreError> {
    cql.write_if(
        "delete a recording",
        "UPDATE recording SET deleted = true WHERE id = ? IF deleted = false",
        (&id.0[..],),
    )
    .await
}

/// What was swept: when, and what it was.
pub(super) struct Swept {
    again: Duration,
    past: Mutex<Vec<Past>>,
}

struct Past {
    at: Instant,
    id: SourceId,
    parts: Vec<(ContainerId, SourceId)>,
}

impl Swept {
    /// Nothing, as yet; it is swept once more after `again`.
    pub(super) fn new(again: Duration) -> Self {
        Self {
            again,
            past: Mutex::default(),
        }
    }

    fn add(&self, past: Past) {
        let mut all = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(past);
    }

    /// Takes those that are to be swept once more.
    fn due(&self) -> Vec<Past> {
        let mut all = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let due = all.extract_if(.., |past| past.at.elapsed() >= self.again);
        due.collect()
    }
}

/// Removes what is left of deleted recordings; returns how many are gone.
pub(super) async fn sweep(cql: &Cql, swept: &Swept) -> Result<u64, StoreError> {
    let mut gone = 0;
    let heads = heads(cql).await?;
    for past in swept.due() {
        // One that was posted anew stays.
        if heads.iter().all(|head| head.id != past.id) {
            for (container, source) in &past.parts {
                remove(cql, container, *source).await?;
            }
        }
    }
    for head in heads.into_iter().filter(|head| head.deleted) {
        let parts = parts(cql, head.id).await?;
        for (container, source) in &parts {
            remove(cql, container, *source).await?;
            cql.write(
                "delete a recording",
                "DELETE FROM recorded WHERE recording = ? AND container = ? AND source = ?",
                (&head.id.0[..], container.as_str(), &source.0[..]),
            )
            .await?;
        }
        cql.write_if(
            "forget a deleted recording",
            "DELETE FROM recording WHERE id = ? IF deleted = true",
            (&head.id.0[..],),
        )
        .await?;
        swept.add(Past {
            at: Instant::now(),
            id: head.id,
            parts,
        });
        gone += 1;
    }
    Ok(gone)
}

/// Removes what one source told of a container, and the container if nothing else is known of it.
async fn remove(cql: &Cql, container: &ContainerId, source: SourceId) -> Result<(), StoreError> {
    let entries = life::entries(cql, container).await?;
    for resolution in Resolution::ALL {
        remove_rows(cql, container, resolution, source).await?;
    }
    let own = entries.iter().filter(|e| e.place.source == source);
    // Last of all: these say where the rows are.
    let mut statements: Vec<Bound> = own.clone().map(|e| e.place.delete(container)).collect();
    statements.push((
        "DELETE FROM fact WHERE container = ? AND source = ?",
        vec![text(container.as_str()), blob(&source.0)],
    ));
    cql.write_in_parts(life::WORTH, statements).await?;
    let left = life::read(cql, container).await?;
    if !left.entries.is_empty() || !left.said.is_empty() {
        return Ok(());
    }
    unmark(cql, container).await?;
    let doing = "remove a container";
    let first = own.clone().map(|entry| entry.activity.first).min();
    let last = own.map(|entry| entry.activity.last).max();
    for day in first.unwrap_or(0) / DAY..=last.unwrap_or(0) / DAY {
        cql.write(
            doing,
            "DELETE FROM active WHERE day = ? AND shard = ? AND container = ?",
            (number(day), shard(container), container.as_str()),
        )
        .await?;
    }
    cql.write(
        doing,
        "DELETE FROM container WHERE shard = ? AND container = ?",
        (shard(container), container.as_str()),
    )
    .await
}

async fn remove_rows(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    source: SourceId,
) -> Result<(), StoreError> {
    // Pieces are where a mark is.
    let whole = 0..u64::MAX;
    let marks = mark::of_container(cql, container, resolution, whole.clone()).await?;
    for start in marks.into_keys() {
        let span = Span {
            container: container.clone(),
            resolution,
            start,
        };
        let pieces = read::pieces(cql, span.clone()).await?;
        let own = pieces.iter().filter(|row| row.key.source == source);
        delete_pieces(cql, &span, own.map(|row| (&row.key, row.form))).await?;
    }
    let buckets = read::buckets(cql, container, resolution, &whole).await?;
    for bucket in buckets.into_iter().flatten() {
        let place = (container.as_str(), number(bucket));
        let doing = "delete a recording's rows";
        let keys: Vec<(i64, Vec<u8>)> = cql.rows(doing, table::of(resolution).keys, place).await?;
        let own = keys.iter().filter(|(_, of)| of[..] == source.0[..]);
        try_join_all(own.map(|(start, of)| {
            let key = (container.as_str(), number(bucket), *start, &of[..]);
            cql.write(doing, table::of(resolution).delete, key)
        }))
        .await?;
    }
    Ok(())
}

/// Clears all marks of a container.
async fn unmark(cql: &Cql, container: &ContainerId) -> Result<(), StoreError> {
    for resolution in Resolution::ALL {
        let marks = mark::of_container(cql, container, resolution, 0..u64::MAX).await?;
        for (start, marks) in marks {
            let span = Span {
                container: container.clone(),
                resolution,
                start,
            };
            span.clear_all(cql, Vec::new(), &marks).await?;
        }
    }
    Ok(())
}
