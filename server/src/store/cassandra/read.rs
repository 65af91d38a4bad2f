//! Reading rows.
//!
//! Nothing is locked, so the order matters: marks, then pieces, then packed rows. A span that
//! is packed meanwhile may be seen in both forms, and uniting drops the duplicates. In any
//! other order it might be seen in neither.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::Range;

use bubble_common::segment::{ContainerId, Key, Resolution, SourceId};
use futures_util::{StreamExt, TryStreamExt};

use super::mark::{self, Span};
use super::session::Cql;
use super::value::source_of;
use super::{horizon, life_row, piece, table};
use crate::span::row::{Form, Row};
use crate::span::unite::{slot_bit, sub_slots_of};
use crate::store::column::{number, unsigned};
use crate::store::error::StoreError;
use crate::store::packing::{DirtySpan, of_slot};
use crate::store::recording::Recorder;

/// Partitions read at the same time.
const CONCURRENCY: usize = 16;
/// A range of more partitions is cut to the life of the container.
const MAX_PARTITIONS: u64 = 64;

/// All rows whose span meets `span`, except expired ones.
pub(super) async fn range(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    span: Range<u64>,
) -> Result<Vec<Row>, StoreError> {
    let starts = resolution.packed_start(span.start)..span.end;
    let dirty = mark::of_container(cql, container, resolution, starts.clone()).await?;
    let dirty: BTreeSet<u64> = dirty.into_keys().collect();
    let pieces: Vec<Vec<Row>> = futures_util::stream::iter(dirty.clone())
        .map(|start| {
            let container = container.clone();
            let span = Span {
                container,
                resolution,
                start,
            };
            piece::read(cql, span)
        })
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let mut rows = packed(cql, container, resolution, starts).await?;
    // Only packed rows expire.
    if !rows.is_empty() {
        let horizon = horizon::get(cql, resolution).await?;
        let may_expire = |row: &Row| {
            let end = row.key.start + resolution.packed_seconds();
            end <= horizon && !dirty.contains(&row.key.start)
        };
        if rows.iter().any(may_expire) {
            let recorded = recorded(cql, container).await?;
            rows.retain(|row| {
                !may_expire(row) || recorded.iter().any(|of| of.source == row.key.source)
            });
        }
    }
    rows.extend(pieces.into_iter().flatten());
    Ok(rows)
}

/// All rows of a span that is listed as dirty. Does not read its marks: a mark may become visible
/// later than its place in the list, but its piece was stored before both.
pub(super) async fn of_dirty(cql: &Cql, span: &DirtySpan) -> Result<Vec<Row>, StoreError> {
    // In the order of the head comment.
    let mut rows = piece::read(cql, span.into()).await?;
    let starts = span.start..span.start + 1;
    rows.extend(packed(cql, &span.container, span.resolution, starts).await?);
    Ok(rows)
}

/// Rows that hold the slot at `at`.
pub(super) async fn slot(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    at: u64,
) -> Result<Vec<Row>, StoreError> {
    // Nearly always nothing is stored yet, which is cheaper to find out than to read the span.
    if !may_hold(cql, container, resolution, at).await? {
        return Ok(Vec::new());
    }
    let range = range(cql, container, resolution, at..at + 1).await?;
    Ok(of_slot(range, at))
}

/// Whether a row may hold the slot at `at`: a piece rolled into it, or a packed row. Finds pieces
/// without a mark, too.
async fn may_hold(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    at: u64,
) -> Result<bool, StoreError> {
    let span = resolution.packed_start(at);
    // The piece first: it is deleted only after the packed row that contains it is written.
    if piece::is_rolled(cql, container, resolution, at).await? {
        return Ok(true);
    }
    let slots = packed_slots(cql, container, resolution, span).await?;
    Ok(!slots.is_empty())
}

/// Slots of the packed rows of the span at `start`, by source.
pub(super) async fn packed_slots(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    start: u64,
) -> Result<Vec<(SourceId, u64)>, StoreError> {
    let rows: Vec<(Vec<u8>, i64)> = cql
        .rows(
            "look for a packed row",
            table::of(resolution).slots,
            (
                container.as_str(),
                number(table::bucket(resolution, start)),
                number(start),
            ),
        )
        .await?;
    rows.into_iter()
        .map(|(source, slots)| Ok((source_of(&source)?, slots.cast_unsigned())))
        .collect()
}

/// Seconds of the minute at `minute` that rows of minutes of `sources` contain, as bits: an agent whose
/// spool was full posts minutes.
pub(super) async fn minute_slots(
    cql: &Cql,
    container: &ContainerId,
    minute: u64,
    sources: &HashSet<SourceId>,
) -> Result<HashMap<SourceId, u64>, StoreError> {
    let resolution = Resolution::Minute;
    let span = Span {
        container: container.clone(),
        resolution,
        start: resolution.packed_start(minute),
    };
    // In the order of the head comment.
    let mut rows = piece::of_slot(cql, &span, minute, sources).await?;
    for (source, slots) in packed_slots(cql, container, resolution, span.start).await? {
        if !sources.contains(&source) || slots & slot_bit(resolution, minute) == 0 {
            continue;
        }
        let bucket = number(table::bucket(resolution, span.start));
        let key = (
            container.as_str(),
            bucket,
            number(span.start),
            &source.0[..],
        );
        let found: Vec<(i64, Vec<u8>)> = cql
            .rows("look for minutes", table::of(resolution).row, key)
            .await?;
        rows.extend(found.into_iter().map(|(_, bytes)| Row {
            key: Key {
                container: container.clone(),
                resolution,
                start: span.start,
                source,
            },
            form: Form::Packed,
            bytes,
        }));
    }
    let mut bits: HashMap<SourceId, u64> = HashMap::new();
    for row in rows {
        *bits.entry(row.key.source).or_default() |= sub_slots_of(&row, minute);
    }
    Ok(bits)
}

/// The packed rows of spans that start in `starts`.
async fn packed(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    starts: Range<u64>,
) -> Result<Vec<Row>, StoreError> {
    let Some(buckets) = buckets(cql, container, resolution, &starts).await? else {
        return Ok(Vec::new());
    };
    let read = |bucket: u64| {
        cql.rows::<(i64, Vec<u8>, Vec<u8>)>(
            "read segments",
            table::of(resolution).range,
            (
                container.as_str(),
                number(bucket),
                number(starts.start),
                number(starts.end),
            ),
        )
    };
    let rows: Vec<Vec<_>> = futures_util::stream::iter(buckets)
        .map(read)
        .buffered(CONCURRENCY)
        .try_collect()
        .await?;
    let row = |(start, source, bytes): (i64, Vec<u8>, Vec<u8>)| {
        Ok(Row {
            key: Key {
                container: container.clone(),
                resolution,
                start: unsigned(start),
                source: source_of(&source)?,
            },
            form: Form::Packed,
            bytes,
        })
    };
    rows.into_iter().flatten().map(row).collect()
}

/// The partitions that can hold packed rows of `starts`; `None` if there are none.
pub(super) async fn buckets(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    starts: &Range<u64>,
) -> Result<Option<Range<u64>>, StoreError> {
    let buckets = |starts: &Range<u64>| {
        let last = table::bucket(resolution, starts.end.saturating_sub(1));
        table::bucket(resolution, starts.start)..last + 1
    };
    if starts.is_empty() {
        return Ok(None);
    }
    let asked = buckets(starts);
    if asked.end - asked.start <= MAX_PARTITIONS {
        return Ok(Some(asked));
    }
    let rows = life_row::all(cql, container).await?;
    let first = rows.iter().map(|row| row.activity.first).min();
    let last = rows.iter().map(|row| row.activity.last).max();
    let (Some(first), Some(last)) = (first, last) else {
        return Ok(None);
    };
    let known = resolution.packed_start(first).max(starts.start)..last.min(starts.end);
    Ok((!known.is_empty()).then(|| buckets(&known)))
}

/// Sources of a container that belong to recordings.
pub(super) async fn recorded(
    cql: &Cql,
    container: &ContainerId,
) -> Result<Vec<Recorder>, StoreError> {
    let rows = life_row::all(cql, container).await?;
    Ok(life_row::recorded(&rows))
}
