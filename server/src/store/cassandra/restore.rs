//! What `copy` brings from another store. Each write can be done again, as a copy that was
//! killed is begun again; the last one of a container's entry has what was seen last of it.

use async_trait::async_trait;
use bubble_common::segment::SourceId;
use futures_util::{StreamExt, TryStreamExt};

use super::index::DAY;
use super::life::{self, Of, Place};
use super::mark::Span;
use super::put::{list, put_piece};
use super::session::Bound;
use super::value::corrupt;
use super::{Cassandra, recording, repack};
use crate::clock;
use crate::store::container::Container;
use crate::store::error::StoreError;
use crate::store::recording::{Label, Recorder};
use crate::store::restore::{Entry, Part, Restore, Rows};
use crate::store::row::{Form, Packed, Row};

/// Rows that are written at the same time.
const PARALLEL: usize = 32;

#[async_trait]
impl Restore for Cassandra {
    async fn restore_recordings(&self, recordings: &[(Label, u64)]) -> Result<(), StoreError> {
        put_recordings(self, recordings).await
    }

    async fn restore_rows(&self, rows: Rows) -> Result<(), StoreError> {
        put_rows(self, &rows).await
    }

    async fn restore_entry(&self, entry: Entry) -> Result<(), StoreError> {
        put_entry(self, &entry).await
    }
}

/// Puts rows as they were; what is there already stays.
async fn put_rows(store: &Cassandra, rows: &Rows) -> Result<(), StoreError> {
    let now = clock::now();
    let put = async |(row, slots): &(Row, u64)| put_row(store, rows, row, *slots, now).await;
    let puts = futures_util::stream::iter(rows.rows.iter().map(put));
    puts.buffer_unordered(PARALLEL)
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
        return put_piece(&store.cql, &span, key, *form, bytes).await;
    }
    let recorded = rows.recorded.iter().any(|of| of.source == key.source);
    let age = now.saturating_sub(key.start + resolution.packed_seconds());
    let lives = store.lives(resolution, age, recorded);
    let packed = Packed {
        row: row.clone(),
        slots,
        replaces: None,
    };
    // Where there is one already an earlier copy put it.
    repack::replace(&store.cql, &packed, lives).await.map(drop)
}

/// Puts recordings, oldest first.
async fn put_recordings(store: &Cassandra, recordings: &[(Label, u64)]) -> Result<(), StoreError> {
    for (order, (label, created)) in (0..).zip(recordings) {
        // µs, as they tell the order.
        let created = created.saturating_mul(1_000_000).saturating_add(order);
        recording::put_head(&store.cql, label.id, &label.name, created).await?;
    }
    Ok(())
}

/// Puts the entry of the index of a container whose rows are there.
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
    list(cql, &container.id, day).await?;
    let mut statements = facts(container, &entry.recorded)?;
    let mut parts: Vec<&Part> = entry.parts.iter().collect();
    parts.sort_by_key(|part| part.activity.last);
    statements.extend(parts.into_iter().map(|part| {
        let own = |of: &&Recorder| of.source == part.key.source;
        let of = if part.posted { Of::Piece } else { Of::Span };
        let entry = life::Entry {
            place: Place {
                resolution: part.key.resolution,
                of,
                start: part.key.start,
                source: part.key.source,
            },
            slots: part.slots,
            recording: entry.recorded.iter().find(own).map(|of| of.recording),
            activity: part.activity.clone(),
            written: 0,
        };
        entry.insert(&container.id)
    }));
    cql.write_in_parts(life::WORTH, statements).await
}

/// Statements that write what is known of the container. It goes with the last of its recordings,
/// where that is all that there is.
fn facts(container: &Container, recorded: &[Recorder]) -> Result<Vec<Bound>, StoreError> {
    let only_recorded = container.live_since == Container::NEVER;
    let sources = match only_recorded {
        true => recorded.iter().map(|of| of.source).collect(),
        false => vec![SourceId::SUM],
    };
    let json = serde_json::to_string(&container.facts).map_err(|e| corrupt(e.to_string()))?;
    let said = |source: SourceId| {
        life::say(
            &container.id,
            source,
            container.facts_at,
            only_recorded,
            &json,
        )
    };
    Ok(sources.into_iter().map(said).collect())
}
