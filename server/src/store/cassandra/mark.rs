//! Marks: which spans are dirty, in two tables: by container for those who read,
//! by resolution and time for roll-up.
//!
//! Several servers put and pack at the same time, and clearing a mark must not
//! clear what another has just set. So a mark has its writer in its key, and the
//! writer's own count as the time of the write: to clear is to delete *as of that
//! time*, and what the same writer wrote later stays. No clock but the writer's own
//! is in it, and no transaction. A writer draws the number after its piece is
//! stored, so whoever sees the mark and then reads the pieces sees that piece, and
//! all the pieces of lower numbers.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicI64, Ordering};

use bubble_common::segment::{ContainerId, Resolution};
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt};

use super::session::{Bound, Cql};
use super::value::{SHARDS, big, container_of, resolution_number, shard, text, tiny};
use crate::clock;
use crate::store::column::{number, unsigned};
use crate::store::error::StoreError;
use crate::store::row::{DirtySpan, Mark};

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

    /// A number above all that it gave: µs since the Unix epoch, or one more than the last.
    fn next(&self) -> i64 {
        let now = i64::try_from(clock::now_ns() / 1_000).unwrap_or(i64::MAX);
        let next = |last: i64| Some(now.max(last + 1));
        let last = self
            .last
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, next);
        now.max(last.unwrap_or_default() + 1)
    }

    /// A mark on what is stored by now.
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
    /// Statement that sets the mark beside the container, to go with others of the container.
    pub(super) fn set(&self, mark: Mark, now: u64) -> Bound {
        (
            "INSERT INTO mark (container, resolution, start, writer, touched)
             VALUES (?, ?, ?, ?, ?) USING TIMESTAMP ?",
            vec![
                text(self.container.as_str()),
                tiny(resolution_number(self.resolution)),
                big(self.start),
                super::value::bits(mark.writer),
                big(now),
                big(mark.number),
            ],
        )
    }

    /// Statement that clears it.
    fn clear(&self, mark: Mark) -> Bound {
        (
            "DELETE FROM mark USING TIMESTAMP ?
             WHERE container = ? AND resolution = ? AND start = ? AND writer = ?",
            vec![
                big(mark.number),
                text(self.container.as_str()),
                tiny(resolution_number(self.resolution)),
                big(self.start),
                super::value::bits(mark.writer),
            ],
        )
    }

    /// Statement that lists the span for roll-up.
    pub(super) fn listed(&self, mark: Mark, now: u64) -> Bound {
        (
            "INSERT INTO dirty (resolution, shard, start, container, writer, touched)
             VALUES (?, ?, ?, ?, ?, ?) USING TIMESTAMP ?",
            vec![
                tiny(resolution_number(self.resolution)),
                tiny(shard(&self.container)),
                big(self.start),
                text(self.container.as_str()),
                super::value::bits(mark.writer),
                big(now),
                big(mark.number),
            ],
        )
    }

    /// Sets the mark beside the container, and lists the span for roll-up.
    pub(super) async fn mark(&self, cql: &Cql, mark: Mark, now: u64) -> Result<(), StoreError> {
        let statements = vec![self.set(mark, now), self.listed(mark, now)];
        cql.write_in_parts("mark a span", statements).await
    }

    /// Writes `before`, other statements on the container, and clears marks, and then takes them
    /// from the list: what is listed without a mark is looked at in vain.
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

    /// Statement that takes it from the list.
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
                super::value::bits(mark.writer),
            ],
        )
    }
}

/// Lists spans for roll-up: those of one shard together.
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
    // Of the writers of one span all must be seen, so that none is counted here.
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
    let spans = united(resolution, shards.into_iter().flatten())?;
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
    Ok(united(resolution, rows)?.next())
}

/// The marks of each span together, by start and container.
fn united(
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
