//! Restoring what `copy` read from another store.
//!
//! Every write is idempotent, because a copy that was killed starts again. The last write of a
//! container's entry holds its latest activity.

use async_trait::async_trait;
use bubble_common::segment::SourceId;
use futures_util::{StreamExt, TryStreamExt};

use super::cluster::Cassandra;
use super::life_row::{self, Kind, LifeKey, LifeRow};
use super::listing::{self, DAY};
use super::mark::Span;
use super::session::Bound;
use super::value::corrupt;
use super::{piece, recording, repack};
use crate::clock;
use crate::span::activity::Sums;
use crate::span::row::{Form, Row};
use crate::store::container::Container;
use crate::store::error::StoreError;
use crate::store::packing::Packed;
use crate::store::recording::{Recorder, Recording};
use crate::store::restore::{Entry, Part, Restore, Rows};

/// Rows written at the same time.
const CONCURRENCY: usize = 32;

#[async_trait]
impl Restore for Cassandra {
    async fn restore_recordings(&self, recordings: &[Recording]) -> Result<(), StoreError> {
        put_recordings(self, recordings).await
    }

    async fn restore_rows(&self, rows: Rows) -> Result<(), StoreError> {
        put_rows(self, &rows).await
    }

    async fn restore_entry(&self, entry: Entry) -> Result<(), StoreError> {
        put_entry(self, &entry).await
    }
}

/// Adds rows; existing ones stay.
async fn put_rows(store: &Cassandra, rows: &Rows) -> Result<(), StoreError> {
    let now = clock::now();
    let put = async |(row, slots): &(Row, u64)| put_row(store, rows, row, *slots, now).await;
    let puts = futures_util::stream::iter(rows.rows.iter().map(put));
    puts.buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<()>>()
        .await?;
    for start in &rows.dirty {
        let span = Span {
            container: rows.container.clone(),
            resolution: rows.resolution,
            start: *start,
        };
        span.mark(&store.cql, store.writer.mark(), now).await?;
    }
    Ok(())
}

async fn put_row(
    store: &Cassandra,
    rows: &Rows,
    row: &Row,
    slots: u64,
    now: u64,
) -> Result<(), StoreError> {
    let Row { key, form, bytes } = row;
    let resolution = rows.resolution;
    if *form != Form::Packed {
        let span = Span {
            container: rows.container.clone(),
            resolution,
            start: resolution.packed_start(key.start),
        };
        return piece::write(&store.cql, &span, key, *form, bytes).await;
    }
    let recorded = rows.recorded.iter().any(|of| of.source == key.source);
    let age = now.saturating_sub(key.start + resolution.packed_seconds());
    let ttl = store.ttl(resolution, age, recorded);
    let packed = Packed {
        row: row.clone(),
        slots,
        replaces: None,
    };
    // If there is one already, an earlier copy wrote it.
    repack::replace(&store.cql, &packed, ttl).await.map(drop)
}

/// Adds recordings, oldest first.
async fn put_recordings(store: &Cassandra, recordings: &[Recording]) -> Result<(), StoreError> {
    for (order, of) in (0..).zip(recordings) {
        // In µs, so that the order within a second is kept.
        let created = of.created.saturating_mul(1_000_000).saturating_add(order);
        recording::put_head(&store.cql, of.label.id, &of.label.name, created).await?;
        if let Some(upload) = &of.upload {
            recording::put_upload(&store.cql, of.label.id, upload).await?;
        }
    }
    Ok(())
}

/// Adds the entry of a container after its rows.
async fn put_entry(store: &Cassandra, entry: &Entry) -> Result<(), StoreError> {
    let (cql, container) = (&store.cql, &entry.container);
    for Recorder {
        source, recording, ..
    } in &entry.recorded
    {
        recording::put_part(cql, *recording, &container.id, *source).await?;
    }
    let day = container
        .last_seen
        .max(container.facts_at)
        .saturating_sub(1)
        / DAY;
    listing::add(cql, &container.id, day).await?;
    let mut statements = facts(container, &entry.recorded)?;
    let mut parts: Vec<&Part> = entry.parts.iter().collect();
    parts.sort_by_key(|part| part.activity.last);
    statements.extend(parts.into_iter().map(|part| {
        let own = |of: &&Recorder| of.source == part.key.source;
        let kind = if part.posted { Kind::Piece } else { Kind::Span };
        let row = LifeRow {
            key: LifeKey {
                resolution: part.key.resolution,
                kind,
                start: part.key.start,
                source: part.key.source,
            },
            slots: part.slots,
            recording: entry.recorded.iter().find(own).map(|of| of.recording),
            activity: part.activity.clone(),
            withdrawn: Sums::default(),
            written: 0,
        };
        row.insert(&container.id)
    }));
    cql.write_in_parts(life_row::DOING, statements).await
}

/// Statements that write the facts of a container. Those of a container that is only in recordings
/// belong to their sources, and are deleted with the last of them.
fn facts(container: &Container, recorded: &[Recorder]) -> Result<Vec<Bound>, StoreError> {
    let only_recorded = container.live_since == Container::NEVER;
    let sources = match only_recorded {
        true => recorded.iter().map(|of| of.source).collect(),
        false => vec![SourceId::SUM],
    };
    let json = serde_json::to_string(&container.facts).map_err(|e| corrupt(e.to_string()))?;
    let insert = |source: SourceId| {
        life_row::insert_facts(
            &container.id,
            source,
            container.facts_at,
            only_recorded,
            &json,
        )
    };
    Ok(sources.into_iter().map(insert).collect())
}
