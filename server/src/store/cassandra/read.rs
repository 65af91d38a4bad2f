//! Reading rows.
//!
//! Nothing is locked, so the order matters: marks, then pieces, then packed rows. A span
//! that is packed meanwhile is seen both ways, and uniting leaves out what is there twice;
//! in any other order it might be seen in neither.

use std::collections::BTreeSet;
use std::ops::Range;

use bubble_common::segment::{ContainerId, Key, Resolution, SourceId};
use futures_util::{StreamExt, TryStreamExt};

use super::mark::{self, Span};
use super::session::Cql;
use super::value::{resolution_number, source_of};
use super::{life, table};
use crate::store::column::{form_of, number, unsigned};
use crate::store::error::StoreError;
use crate::store::recording::Recorder;
use crate::store::row::{DirtySpan, Form, Row, of_slot};

/// Partitions that are read at the same time.
const PARALLEL: usize = 16;
/// A range of more partitions is cut to what the container has.
const WIDE: u64 = 64;

/// All rows whose span meets `span`, but for those that have expired.
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
            pieces(cql, span)
        })
        .buffered(PARALLEL)
        .try_collect()
        .await?;
    let mut rows = packed(cql, container, resolution, starts).await?;
    // Pieces never expire: without a packed row nothing can.
    if !rows.is_empty() {
        let horizon = horizon(cql, resolution).await?;
        let may_go = |row: &Row| {
            let end = row.key.start + resolution.packed_seconds();
            end <= horizon && !dirty.contains(&row.key.start)
        };
        if rows.iter().any(may_go) {
            let kept = recorded(cql, container).await?;
            rows.retain(|row| !may_go(row) || kept.iter().any(|of| of.source == row.key.source));
        }
    }
    rows.extend(pieces.into_iter().flatten());
    Ok(rows)
}

/// All rows of a span that is listed as dirty. Its marks are not asked: each was given its number
/// when the piece was there, and may be seen later than its place in the list.
pub(super) async fn of_dirty(cql: &Cql, span: &DirtySpan) -> Result<Vec<Row>, StoreError> {
    // In this order, as above.
    let mut rows = pieces(cql, span.into()).await?;
    let starts = span.start..span.start + 1;
    rows.extend(packed(cql, &span.container, span.resolution, starts).await?);
    Ok(rows)
}

/// Rows that tell of the slot at `at`.
pub(super) async fn slot(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    at: u64,
) -> Result<Vec<Row>, StoreError> {
    // Nearly always nothing is known yet, which is seen without reading all else of its span.
    if !may_know(cql, container, resolution, at).await? {
        return Ok(Vec::new());
    }
    let range = range(cql, container, resolution, at..at + 1).await?;
    Ok(of_slot(range, at))
}

/// Whether there may be a row that tells of the slot at `at`: a piece that was rolled into it, or
/// a packed one. Marks are not asked: a piece without one is seen here, too.
async fn may_know(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    at: u64,
) -> Result<bool, StoreError> {
    let span = resolution.packed_start(at);
    // The piece first: when it goes, the packed row that it is in is there.
    let pieces: Vec<(i8,)> = cql
        .rows(
            "look for pieces",
            "SELECT form FROM piece
             WHERE container = ? AND resolution = ? AND span = ? AND start = ?",
            (
                container.as_str(),
                resolution_number(resolution),
                number(span),
                number(at),
            ),
        )
        .await?;
    let mut forms = pieces.into_iter().map(|(form,)| form_of(form));
    if forms.any(|form| form == Form::Rolled) {
        return Ok(true);
    }
    let slots = packed_slots(cql, container, resolution, span).await?;
    Ok(!slots.is_empty())
}

/// Which slots the packed rows of the span at `start` have, by source.
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

type PieceRow = (i64, Vec<u8>, i8, Vec<u8>);

/// The pieces of a span.
pub(super) async fn pieces(cql: &Cql, span: Span) -> Result<Vec<Row>, StoreError> {
    let rows: Vec<PieceRow> = cql
        .rows(
            "read segments",
            "SELECT start, source, form, bytes FROM piece
             WHERE container = ? AND resolution = ? AND span = ?",
            (
                span.container.as_str(),
                resolution_number(span.resolution),
                number(span.start),
            ),
        )
        .await?;
    let row = |(start, source, form, bytes): PieceRow| {
        Ok(Row {
            key: Key {
                container: span.container.clone(),
                resolution: span.resolution,
                start: unsigned(start),
                source: source_of(&source)?,
            },
            form: form_of(form),
            bytes,
        })
    };
    rows.into_iter().map(row).collect()
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
        .buffered(PARALLEL)
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

/// The partitions in which packed rows of `starts` can be.
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
    if asked.end - asked.start <= WIDE {
        return Ok(Some(asked));
    }
    let entries = life::entries(cql, container).await?;
    let first = entries.iter().map(|entry| entry.activity.first).min();
    let last = entries.iter().map(|entry| entry.activity.last).max();
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
    let entries = life::entries(cql, container).await?;
    Ok(life::recorded(&entries))
}

/// Up to when rows have expired.
pub(super) async fn horizon(cql: &Cql, resolution: Resolution) -> Result<u64, StoreError> {
    let rows: Vec<(i64,)> = cql
        .rows(
            "read what has expired",
            "SELECT before FROM horizon WHERE resolution = ?",
            (resolution_number(resolution),),
        )
        .await?;
    Ok(rows.first().map_or(0, |(before,)| unsigned(*before)))
}

/// Remembers up to when rows have expired: the time of the write is what is written, so the greatest stays.
pub(super) async fn set_horizon(
    cql: &Cql,
    resolution: Resolution,
    before: u64,
) -> Result<(), StoreError> {
    cql.write(
        "note what has expired",
        "INSERT INTO horizon (resolution, before) VALUES (?, ?) USING TIMESTAMP ?",
        (
            resolution_number(resolution),
            number(before),
            number(before),
        ),
    )
    .await
}
