//! Recordings: listed, and deleted in two steps.
//!
//! As in the SQLite store, any process may mark a recording as deleted, and a sweep then
//! removes its rows. The sweep should not run while spans are packed. Where workers pack, it
//! does, and a worker may write back rows that it read before. So each recording is swept once
//! more, after any such packing is over.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Instant;

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, Resolution, SourceId, facts};
use futures_util::future::try_join_all;

use super::cluster::Cassandra;
use super::life::{self, Life};
use super::life_row::{self, Counted};
use super::listing::{self, DAY};
use super::mark::{self, Span};
use super::session::{Bound, Cql};
use super::swept::Past;
use super::value::{blob, container_of, source_of, text};
use super::{bindings, piece, read, table};
use crate::clock;
use crate::span::activity::Sums;
use crate::store::binding::of_container;
use crate::store::column::{number, unsigned};
use crate::store::error::StoreError;
use crate::store::recording::{Label, Recorded, Recorder, Recording, Recordings, Upload};
use crate::store::segments::Post;

#[async_trait]
impl Recordings for Cassandra {
    async fn recorded(&self, container: &ContainerId) -> Result<Vec<Recorder>, StoreError> {
        read::recorded(&self.cql, container).await
    }

    async fn recordings(&self) -> Result<Vec<Recording>, StoreError> {
        list(&self.cql).await
    }

    async fn note_upload(&self, label: &Label, upload: &Upload) -> Result<bool, StoreError> {
        put_head(&self.cql, label.id, &label.name, clock::now_ns() / 1_000).await?;
        put_upload(&self.cql, label.id, upload).await
    }

    async fn delete_recording(&self, id: SourceId) -> Result<bool, StoreError> {
        delete(&self.cql, id).await
    }

    async fn delete_container(&self, id: &ContainerId) -> Result<bool, StoreError> {
        delete_container(&self.cql, id).await
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        sweep(self).await
    }
}

/// Records which recordings posts belong to, before the posts are stored.
pub(super) async fn record(cql: &Cql, posts: &[Post]) -> Result<(), StoreError> {
    let mut labels = BTreeMap::new();
    let mut parts = BTreeSet::new();
    for post in posts {
        if let Some(label) = &post.recording {
            labels.insert(label.id, &label.name);
            parts.insert((label.id, &post.key.container, post.key.source));
        }
    }
    for (id, name) in labels {
        // In µs: recordings are ordered by it.
        put_head(cql, id, name, clock::now_ns() / 1_000).await?;
    }
    for (recording, container, source) in parts {
        put_part(cql, recording, container, source).await?;
    }
    Ok(())
}

/// Adds a recording. The first put decides its name and its time.
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

/// Notes what is known of an upload; `false` if the recording is deleted.
pub(super) async fn put_upload(
    cql: &Cql,
    id: SourceId,
    upload: &Upload,
) -> Result<bool, StoreError> {
    cql.write_if(
        "note an upload",
        "UPDATE recording SET upload = ? WHERE id = ? IF deleted = false",
        (upload.to_text()?, &id.0[..]),
    )
    .await
}

/// Records that a source of a container belongs to a recording.
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
    upload: Option<Upload>,
}

/// The columns of [`Head`].
type HeadRow = (Vec<u8>, String, i64, bool, Option<String>);

/// All recordings, oldest first.
async fn heads(cql: &Cql) -> Result<Vec<Head>, StoreError> {
    let rows: Vec<HeadRow> = cql
        .rows(
            "list recordings",
            "SELECT id, name, created, deleted, upload FROM recording",
            (),
        )
        .await?;
    let mut heads = rows
        .into_iter()
        .map(|(id, name, created, deleted, upload)| {
            Ok(Head {
                id: source_of(&id)?,
                name,
                created: unsigned(created),
                deleted,
                upload: upload.map(|text| Upload::of_text(&text)).transpose()?,
            })
        })
        .collect::<Result<Vec<_>, StoreError>>()?;
    heads.sort_by_key(|head| (head.created, head.id));
    Ok(heads)
}

/// Names of the recordings that are not deleted, oldest first.
pub(super) async fn names(cql: &Cql) -> Result<Vec<(SourceId, String)>, StoreError> {
    let heads = heads(cql).await?.into_iter();
    let live = heads.filter(|head| !head.deleted);
    Ok(live.map(|head| (head.id, head.name)).collect())
}

/// The parts of a recording: its containers, each with a source.
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
async fn list(cql: &Cql) -> Result<Vec<Recording>, StoreError> {
    let mut found = Vec::new();
    for head in heads(cql).await?.into_iter().filter(|head| !head.deleted) {
        let mut recording = Recording {
            label: Label {
                id: head.id,
                name: head.name,
            },
            created: head.created / 1_000_000,
            upload: head.upload,
            containers: Vec::new(),
        };
        for (container, source) in parts(cql, head.id).await? {
            let life = life::read(cql, &container).await?;
            if let Some(part) = part(container, source, &life) {
                recording.add(part);
            }
        }
        // Its containers may have been deleted.
        if !recording.containers.is_empty() {
            found.push(recording);
        }
    }
    Ok(found)
}

/// What one source adds to a container.
fn part(container: ContainerId, source: SourceId, life: &Life) -> Option<Recorded> {
    let counted = Counted::new(&life.rows);
    let own = || life.rows.iter().filter(|e| e.key.source == source);
    let (mut added, mut withdrawn) = (Sums::default(), Sums::default());
    for row in own().filter(|row| counted.holds(row)) {
        added = added.plus(row.activity.sums());
        withdrawn = withdrawn.plus(row.withdrawn);
    }
    let sums = added.without(withdrawn);
    let whole = life.container(&container, &[])?;
    Some(Recorded {
        name: whole.facts.get(facts::NAME).cloned().unwrap_or_default(),
        first: own().map(|row| row.activity.first).min()?,
        last: own().map(|row| row.activity.last).max()?,
        cpu_ns: sums.cpu_ns,
        bytes_in: sums.bytes_in,
        bytes_out: sums.bytes_out,
        container,
    })
}

/// Marks a recording as deleted; `false` if it does not exist.
async fn delete(cql: &Cql, id: SourceId) -> Result<bool, StoreError> {
    cql.write_if(
        "delete a recording",
        "UPDATE recording SET deleted = true WHERE id = ? IF deleted = false",
        (&id.0[..],),
    )
    .await
}

/// Deletes a container: all its sources become parts of a recording that is deleted already, so that
/// one sweep serves both. `false` if there is no such container.
async fn delete_container(cql: &Cql, container: &ContainerId) -> Result<bool, StoreError> {
    let facts: Vec<(Vec<u8>,)> = cql
        .rows(
            "read a container",
            "SELECT source FROM fact WHERE container = ?",
            (container.as_str(),),
        )
        .await?;
    let mut sources = BTreeSet::new();
    for (source,) in &facts {
        sources.insert(source_of(source)?);
    }
    let rows = life_row::all(cql, container).await?;
    sources.extend(rows.iter().map(|row| row.key.source));
    if sources.is_empty() {
        return Ok(false);
    }
    let id = SourceId(rand::random());
    for source in sources {
        put_part(cql, id, container, source).await?;
    }
    // Last: from here on it is swept.
    cql.write_if(
        "delete a container",
        "INSERT INTO recording (id, name, created, deleted) VALUES (?, ?, ?, true) IF NOT EXISTS",
        (&id.0[..], "", number(clock::now_ns() / 1_000)),
    )
    .await
}

/// Removes deleted recordings and containers, and returns their number.
async fn sweep(
    Cassandra {
        cql,
        swept,
        written,
        ..
    }: &Cassandra,
) -> Result<u64, StoreError> {
    let mut removed = 0;
    let heads = heads(cql).await?;
    for past in swept.due() {
        // A recording that was posted again stays.
        if heads.iter().all(|head| head.id != past.id) {
            for (container, source) in &past.parts {
                remove(cql, container, *source).await?;
                written.forget(container, *source);
            }
        }
    }
    for head in heads.into_iter().filter(|head| head.deleted) {
        let parts = parts(cql, head.id).await?;
        for (container, source) in &parts {
            remove(cql, container, *source).await?;
            written.forget(container, *source);
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
        removed += 1;
    }
    Ok(removed)
}

/// Removes one source of a container, and the container if nothing else of it is stored.
async fn remove(cql: &Cql, container: &ContainerId, source: SourceId) -> Result<(), StoreError> {
    let rows = life_row::all(cql, container).await?;
    for resolution in Resolution::ALL {
        remove_rows(cql, container, resolution, source).await?;
    }
    let own = rows.iter().filter(|e| e.key.source == source);
    // Last: these rows tell where the others are.
    let mut statements: Vec<Bound> = own.clone().map(|e| e.key.delete(container)).collect();
    statements.push((
        "DELETE FROM fact WHERE container = ? AND source = ?",
        vec![text(container.as_str()), blob(&source.0)],
    ));
    cql.write_in_parts(life_row::DOING, statements).await?;
    let left = life::read(cql, container).await?;
    if !left.rows.is_empty() || !left.facts.is_empty() {
        return Ok(());
    }
    unmark(cql, container).await?;
    let first = own.clone().map(|row| row.activity.first).min();
    let last = own.map(|row| row.activity.last).max();
    let days = first.unwrap_or(0) / DAY..=last.unwrap_or(0) / DAY;
    bindings::release(cql, &of_container(container)).await?;
    listing::remove(cql, container, days).await
}

async fn remove_rows(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    source: SourceId,
) -> Result<(), StoreError> {
    // A mark tells where there are pieces.
    let all = 0..u64::MAX;
    let marks = mark::of_container(cql, container, resolution, all.clone()).await?;
    for start in marks.into_keys() {
        let span = Span {
            container: container.clone(),
            resolution,
            start,
        };
        let pieces = piece::read(cql, span.clone()).await?;
        let own = pieces.iter().filter(|row| row.key.source == source);
        piece::delete(cql, &span, own.map(|row| (&row.key, row.form))).await?;
    }
    let buckets = read::buckets(cql, container, resolution, &all).await?;
    for bucket in buckets.into_iter().flatten() {
        let partition = (container.as_str(), number(bucket));
        let doing = "delete a recording's rows";
        let keys: Vec<(i64, Vec<u8>)> = cql
            .rows(doing, table::of(resolution).keys, partition)
            .await?;
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
