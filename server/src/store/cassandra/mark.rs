//! Marks of dirty spans, in two tables: `mark` by container, for readers, and `dirty` by
//! resolution and time, for roll-up.
//!
//! Several servers put and pack at the same time, and clearing a mark must not clear one that
//! another has just set. So a mark has its writer in its key, and a number of that writer as
//! the timestamp of the write. Clearing deletes *as of that timestamp*, so a later mark of the
//! same writer stays. This needs neither a transaction nor any clock but the writer's own.
//!
//! A writer draws the number after its piece is stored. Whoever sees the mark and then reads
//! the pieces sees that piece, and all pieces with lower numbers.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};

use bubble_common::segment::{ContainerId, Resolution};
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt};

use super::session::{Bound, Cql};
use super::value::{SHARDS, big, bits, container_of, resolution_number, shard, text, tiny};
use crate::clock;
use crate::store::column::{number, unsigned};
use crate::store::error::StoreError;
use crate::store::packing::{DirtySpan, Mark};

/// This process as a writer of marks.
pub(super) struct Writer {
    id: i64,
    last: AtomicI64,
}

impl Writer {
    pub(super) fn new() -> Self {
        Self {
            id: rand::random(),
            last: AtomicI64::new(0),
        }
    }

    /// A number above all earlier ones: µs since the Unix epoch, or the last one plus 1.
    fn next(&self) -> i64 {
        let now = i64::try_from(clock::now_ns() / 1_000).unwrap_or(i64::MAX);
        let next = |last: i64| Some(now.max(last + 1));
        let last = self
            .last
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        now.max(last.unwrap_or_default() + 1)
    }

    /// A new mark, for pieces that are stored by now.
    pub(super) fn mark(&self) -> Mark {
        Mark {
            writer: self.id.cast_unsigned(),
            number: unsigned(self.next()),
        }
    }
}

/// A packed span of a container.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Span {
    pub(super) container: ContainerId,
    pub(super) resolution: Resolution,
    pub(super) start: u64,
}

impl From<&DirtySpan> for Span {
    fn from(dirty: &DirtySpan) -> Self {
        Self {
            container: dirty.container.clone(),
            resolution: dirty.resolution,
            start: dirty.start,
        }
    }
}

impl Span {
    /// Statement that sets the mark in the table `mark`, in the partition of the container.
    pub(super) fn set(&self, mark: Mark, now: u64) -> Bound {
        (
            "INSERT INTO mark (container, resolution, start, writer, touched)
             VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?",
            vec![
                text(self.container.as_str()),
                tiny(resolution_number(self.resolution)),
                big(self.start),
                bits(mark.writer),
                big(now),
                big(mark.number),
            ],
        )
    }

    /// Statement that clears the mark in the table `mark`.
    fn clear(&self, mark: Mark) -> Bound {
        (
            "DELETE FROM mark USING TIMESTAMP ?
             WHERE container = ? AND resolution = ? AND start = ? AND writer = ?",
            vec![
                big(mark.number),
                text(self.container.as_str()),
                tiny(resolution_number(self.resolution)),
                big(self.start),
                bits(mark.writer),
            ],
        )
    }

    /// Statement that lists the span in the table `dirty`.
    pub(super) fn listed(&self, mark: Mark, now: u64) -> Bound {
        (
            "INSERT INTO dirty (resolution, shard, start, container, writer, touched)
             VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
            vec![
                tiny(resolution_number(self.resolution)),
                tiny(shard(&self.container)),
                big(self.start),
                text(self.container.as_str()),
                bits(mark.writer),
                big(now),
                big(mark.number),
            ],
        )
    }

    /// Sets the mark in both tables.
    pub(super) async fn mark(&self, cql: &Cql, mark: Mark, now: u64) -> Result<(), StoreError> {
        let statements = vec![self.set(mark, now), self.listed(mark, now)];
        cql.write_in_parts("mark a span", statements).await
    }

    /// Writes `before`, other statements on the container, with the clearing of the marks. Then it
    /// removes them from the list: a listed span without a mark costs only a useless look.
    pub(super) async fn clear_all(
        &self,
        cql: &Cql,
        mut before: Vec<Bound>,
        marks: &[Mark],
    ) -> Result<(), StoreError> {
        before.extend(marks.iter().map(|mark| self.clear(*mark)));
        cql.write_in_parts("clear a mark", before).await?;
        let unlist = marks.iter().map(|mark| self.unlisted(*mark)).collect();
        cql.write_in_parts("clear a mark", unlist).await
    }

    /// Statement that removes the span from the table `dirty`.
    fn unlisted(&self, mark: Mark) -> Bound {
        (
            "DELETE FROM dirty USING TIMESTAMP ?
             WHERE resolution = ? AND shard = ? AND start = ? AND container = ? AND writer = ?",
            vec![
                big(mark.number),
                tiny(resolution_number(self.resolution)),
                tiny(shard(&self.container)),
                big(self.start),
                text(self.container.as_str()),
                bits(mark.writer),
            ],
        )
    }
}

/// Lists spans in the table `dirty`, with one request for each shard.
pub(super) async fn list_all(
    cql: &Cql,
    spans: &[Span],
    mark: Mark,
    now: u64,
) -> Result<(), StoreError> {
    let mut shards: BTreeMap<(Resolution, i8), Vec<Bound>> = BTreeMap::new();
    for span in spans {
        let shard = (span.resolution, shard(&span.container));
        shards
            .entry(shard)
            .or_default()
            .push(span.listed(mark, now));
    }
    let writes = shards
        .into_values()
        .map(|of_shard| cql.write_in_parts("mark a span", of_shard));
    try_join_all(writes).await.map(drop)
}

/// The marks of a container at a resolution on spans that start in `starts`.
pub(super) async fn of_container(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    starts: Range<u64>,
) -> Result<BTreeMap<u64, Vec<Mark>>, StoreError> {
    let rows: Vec<(i64, i64, i64)> = cql
        .rows(
            "look for dirty spans",
            "SELECT start, writer, writetime(touched) FROM mark
             WHERE container = ? AND resolution = ? AND start >= ? AND start < ?",
            (
                container.as_str(),
                resolution_number(resolution),
                number(starts.start),
                number(starts.end),
            ),
        )
        .await?;
    let mut spans: BTreeMap<u64, Vec<Mark>> = BTreeMap::new();
    for (start, writer, written) in rows {
        spans.entry(unsigned(start)).or_default().push(Mark {
            writer: writer.cast_unsigned(),
            number: unsigned(written),
        });
    }
    Ok(spans)
}

type Listed = (i64, String, i64, i64, i64);

/// At most `limit` dirty spans of all containers, by start and container.
pub(super) async fn dirty(
    cql: &Cql,
    resolution: Resolution,
    before: u64,
    after: Option<&(u64, ContainerId)>,
    limit: usize,
) -> Result<Vec<DirtySpan>, StoreError> {
    let after = after.map_or((-1, ""), |(start, id)| (number(*start), id.as_str()));
    // The limit counts spans, not marks: all writers of a span must be seen.
    let shards = (0..SHARDS).map(|shard| {
        cql.first_rows::<Listed>(
            "look for dirty spans",
            "SELECT start, container, writer, touched, writetime(touched) FROM dirty
             WHERE resolution = ? AND shard = ?
             AND (start, container) > (?, ?) AND (start) < (?)",
            (
                resolution_number(resolution),
                shard.cast_signed(),
                after.0,
                after.1,
                number(before),
            ),
            limit,
            |a, b| (a.0, &a.1) == (b.0, &b.1),
        )
    });
    let shards: Vec<Vec<Listed>> = futures_util::stream::iter(shards)
        .buffered(SHARDS.into())
        .try_collect()
        .await?;
    let spans = group_by_span(resolution, shards.into_iter().flatten())?;
    Ok(spans.take(limit).collect())
}

/// One span, if it is listed.
pub(super) async fn dirty_span(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    start: u64,
) -> Result<Option<DirtySpan>, StoreError> {
    let rows: Vec<Listed> = cql
        .rows(
            "look for a dirty span",
            "SELECT start, container, writer, touched, writetime(touched) FROM dirty
             WHERE resolution = ? AND shard = ? AND start = ? AND container = ?",
            (
                resolution_number(resolution),
                shard(container),
                number(start),
                container.as_str(),
            ),
        )
        .await?;
    Ok(group_by_span(resolution, rows)?.next())
}

/// Groups marks by span, ordered by start and container.
fn group_by_span(
    resolution: Resolution,
    listed: impl IntoIterator<Item = Listed>,
) -> Result<impl Iterator<Item = DirtySpan>, StoreError> {
    let mut spans: BTreeMap<(i64, String), DirtySpan> = BTreeMap::new();
    for (start, container, writer, touched, written) in listed {
        let mark = Mark {
            writer: writer.cast_unsigned(),
            number: unsigned(written),
        };
        let id = container_of(&container)?;
        let span = spans.entry((start, container)).or_insert(DirtySpan {
            container: id,
            resolution,
            start: unsigned(start),
            touched: 0,
            marks: Vec::new(),
        });
        span.touched = span.touched.max(unsigned(touched));
        span.marks.push(mark);
    }
    Ok(spans.into_values())
}
