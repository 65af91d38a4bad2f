//! The table `life`: what each piece and each packed span adds to a container's sums.
//!
//! Several servers cannot add to one sum: that is slow (a transaction each time) or wrong
//! (after a crash nobody knows whether it was added). So nothing is added on writing.
//! Each row holds the contribution of *one* piece or span, and writing it twice changes
//! nothing.
//!
//! A packed span replaces its pieces and the finer spans in it. It has a bit for each, and a
//! row with its bit set in a coarser row no longer counts. So a container has few rows, and
//! its sums are right before, between and after these steps. Deleting rows that no longer
//! count is only tidying up.
//!
//! A posted minute, hour or day is different: its slot may be packed already, and it changes the sums by
//! what it has beside that, which may be less than nothing. So its row counts as long as it exists, and
//! is deleted together with the write of the packed span that contains it.

use std::collections::{BTreeMap, HashMap};

use bubble_common::segment::{ContainerId, Facts, Resolution, SourceId};
use scylla::value::CqlValue;

use super::session::{Bound, Cql};
use super::value::{big, bits, blob, resolution_number, resolution_of, source_of, text, tiny};
use crate::span::activity::{Activity, Sums};
use crate::span::unite::{finer, slot_bit};
use crate::store::column::{number, unsigned};
use crate::store::error::StoreError;
use crate::store::packing::Contribution;
use crate::store::recent::Recent;
use crate::store::recording::Recorder;
use crate::store::segments::Post;

/// Names a write to this table in errors.
pub(super) const DOING: &str = "write the sums of a container";

/// Kind of row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Kind {
    /// A packed span.
    Span = 0,
    /// A posted piece.
    Piece = 2,
}

/// Key of a row within a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct LifeKey {
    pub(super) resolution: Resolution,
    pub(super) kind: Kind,
    /// Start of the piece or the span.
    pub(super) start: u64,
    pub(super) source: SourceId,
}

/// What one piece or packed span adds to the sums.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct LifeRow {
    pub(super) key: LifeKey,
    /// Bit *i*: it contains slot *i* of the packed span.
    pub(super) slots: u64,
    /// The recording that it belongs to.
    pub(super) recording: Option<SourceId>,
    /// Without facts; CPU by [`Recent::BUCKET`].
    pub(super) activity: Activity,
    /// What it takes from the sums. In the table, a sum is negative then.
    pub(super) withdrawn: Sums,
    /// Timestamp of its write in Cassandra: µs since the Unix epoch; 0 if it is not written yet.
    pub(super) written: i64,
}

type LifeColumns = (
    i8,
    i8,
    i64,
    Vec<u8>,
    i64,
    Option<Vec<u8>>,
    i64,
    i64,
    i64,
    i64,
    i64,
    Option<i64>,
    Option<i64>,
    Option<i64>,
    Vec<u8>,
    i64,
);

impl LifeRow {
    /// The row of a posted piece.
    pub(super) fn of_post(post: &Post) -> Self {
        Self {
            key: LifeKey {
                resolution: post.key.resolution,
                kind: Kind::Piece,
                start: post.key.start,
                source: post.key.source,
            },
            slots: post.slots,
            recording: post.recording.as_ref().map(|label| label.id),
            activity: Activity {
                cpu: bucketed(&post.activity.cpu),
                facts: Facts::new(),
                ..post.activity.clone()
            },
            withdrawn: post.withdrawn,
            written: 0,
        }
    }

    /// The row of the packed span at `start`. It replaces `former` rows: the span's own, its pieces and
    /// its finer spans.
    pub(super) fn of_span(
        resolution: Resolution,
        start: u64,
        contribution: &Contribution,
        former: &[&LifeRow],
    ) -> Self {
        let mut activity = Activity {
            cpu: bucketed(&contribution.activity.cpu),
            facts: Facts::new(),
            ..contribution.activity.clone()
        };
        // Finer rows know the edges and the latest measurements better.
        if let Some(latest) = former.iter().max_by_key(|entry| entry.activity.last) {
            let of = &latest.activity;
            activity.first = former.iter().map(|e| e.activity.first).min().unwrap_or(0);
            activity.last = of.last;
            activity.memory_now = of.memory_now.or(activity.memory_now);
            activity.memory_limit = of.memory_limit.or(activity.memory_limit);
        }
        for entry in former {
            let peak = entry.activity.memory_peak;
            activity.memory_peak = activity.memory_peak.max(peak);
        }
        if resolution != Resolution::Second {
            // The latest minutes, in buckets finer than the slots of the span.
            let mut buckets = BTreeMap::new();
            for (start, seconds, ns) in former.iter().flat_map(|entry| &entry.activity.cpu) {
                let bucket = buckets.entry(*start).or_insert((*seconds, *ns));
                *bucket = (*bucket).max((*seconds, *ns));
            }
            let surplus = buckets.len().saturating_sub(Recent::BUCKETS);
            let buckets = buckets.into_iter().skip(surplus);
            activity.cpu = buckets.map(|(at, (n, ns))| (at, n, ns)).collect();
        }
        Self {
            key: LifeKey {
                resolution,
                kind: Kind::Span,
                start,
                source: contribution.source,
            },
            slots: contribution.slots,
            recording: former.iter().find_map(|entry| entry.recording),
            activity,
            withdrawn: Sums::default(),
            written: 0,
        }
    }

    /// Statement that writes the row.
    pub(super) fn insert(&self, container: &ContainerId) -> Bound {
        let (activity, withdrawn) = (&self.activity, &self.withdrawn);
        let sum = |added, withdrawn| Some(CqlValue::BigInt(number(added) - number(withdrawn)));
        let some = |n: Option<u64>| n.map(|n| CqlValue::BigInt(number(n)));
        (
            "INSERT INTO life (container, resolution, kind, start, source, slots, recording,
                first, last, cpu_ns, bytes_in, bytes_out, memory_peak, memory_now, memory_limit, cpu)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            vec![
                text(container.as_str()),
                tiny(resolution_number(self.key.resolution)),
                tiny(self.key.kind as i8),
                big(self.key.start),
                blob(&self.key.source.0),
                bits(self.slots),
                self.recording.and_then(|id| blob(&id.0)),
                big(activity.first),
                big(activity.last),
                sum(activity.cpu_ns, withdrawn.cpu_ns),
                sum(activity.bytes_in, withdrawn.bytes_in),
                sum(activity.bytes_out, withdrawn.bytes_out),
                some(activity.memory_peak),
                some(activity.memory_now),
                some(activity.memory_limit),
                blob(&encode(&activity.cpu)),
            ],
        )
    }

    fn read(row: LifeColumns) -> Result<Self, StoreError> {
        let some = |n: Option<i64>| n.map(unsigned);
        let taken = |n: i64| unsigned(n.saturating_neg());
        Ok(Self {
            key: LifeKey {
                resolution: resolution_of(row.0)?,
                kind: if row.1 == 0 { Kind::Span } else { Kind::Piece },
                start: unsigned(row.2),
                source: source_of(&row.3)?,
            },
            slots: row.4.cast_unsigned(),
            recording: row.5.as_deref().map(source_of).transpose()?,
            activity: Activity {
                first: unsigned(row.6),
                last: unsigned(row.7),
                cpu_ns: unsigned(row.8),
                bytes_in: unsigned(row.9),
                bytes_out: unsigned(row.10),
                memory_peak: some(row.11),
                memory_now: some(row.12),
                memory_limit: some(row.13),
                cpu: decode(&row.14),
                facts: Facts::new(),
            },
            withdrawn: Sums {
                cpu_ns: taken(row.8),
                bytes_in: taken(row.9),
                bytes_out: taken(row.10),
            },
            written: row.15,
        })
    }
}

impl LifeKey {
    /// Whether it is of a posted minute, hour or day.
    pub(super) fn is_coarse_piece(&self) -> bool {
        self.kind == Kind::Piece && self.resolution != Resolution::Second
    }

    /// Statement that deletes the row.
    pub(super) fn delete(&self, container: &ContainerId) -> Bound {
        (
            "DELETE FROM life
             WHERE container = ? AND resolution = ? AND kind = ? AND start = ? AND source = ?",
            vec![
                text(container.as_str()),
                tiny(resolution_number(self.resolution)),
                tiny(self.kind as i8),
                big(self.start),
                blob(&self.source.0),
            ],
        )
    }
}

impl LifeRow {
    /// Statement that deletes the row, unless it was written again since it was read.
    pub(super) fn delete_as_read(&self, container: &ContainerId) -> Bound {
        let key = &self.key;
        (
            "DELETE FROM life USING TIMESTAMP ?
             WHERE container = ? AND resolution = ? AND kind = ? AND start = ? AND source = ?",
            vec![
                Some(CqlValue::BigInt(self.written)),
                text(container.as_str()),
                tiny(resolution_number(key.resolution)),
                tiny(key.kind as i8),
                big(key.start),
                blob(&key.source.0),
            ],
        )
    }
}

/// Statement that writes the facts that a source reported of a container.
pub(super) fn insert_facts(
    container: &ContainerId,
    source: SourceId,
    at: u64,
    recorded: bool,
    facts: &str,
) -> Bound {
    (
        "INSERT INTO fact (container, source, at, recorded, facts) VALUES (?, ?, ?, ?, ?)",
        vec![
            text(container.as_str()),
            blob(&source.0),
            big(at),
            Some(CqlValue::Boolean(recorded)),
            text(facts),
        ],
    )
}

/// Statement that deletes the pieces of the packed span at `start` that were written up to `until`.
///
/// It covers all of them at once. Each statement leaves a tombstone, which slows every read of the
/// container for a day, and a live container has 86,400 pieces a day.
pub(super) fn delete_pieces(
    container: &ContainerId,
    resolution: Resolution,
    start: u64,
    until: i64,
) -> Bound {
    (
        "DELETE FROM life USING TIMESTAMP ?
         WHERE container = ? AND resolution = ? AND kind = ? AND start >= ? AND start < ?",
        vec![
            Some(CqlValue::BigInt(until)),
            text(container.as_str()),
            tiny(resolution_number(resolution)),
            tiny(Kind::Piece as i8),
            big(start),
            big(start + resolution.packed_seconds()),
        ],
    )
}

/// Selects all rows of a container.
const SELECT_ALL: &str = "SELECT resolution, kind, start, source, slots, recording, first, last,
    cpu_ns, bytes_in, bytes_out, memory_peak, memory_now, memory_limit, cpu, writetime(slots)
    FROM life WHERE container = ?";

/// Selects rows of one resolution and some kinds.
const SELECT_SOME: &str = "SELECT resolution, kind, start, source, slots, recording, first, last,
    cpu_ns, bytes_in, bytes_out, memory_peak, memory_now, memory_limit, cpu, writetime(slots)
    FROM life WHERE container = ? AND resolution = ? AND kind IN ? AND start >= ? AND start < ?";

/// Reads all rows of a container.
pub(super) async fn all(cql: &Cql, container: &ContainerId) -> Result<Vec<LifeRow>, StoreError> {
    let doing = "read a container";
    let rows: Vec<LifeColumns> = cql.rows(doing, SELECT_ALL, (container.as_str(),)).await?;
    rows.into_iter().map(LifeRow::read).collect()
}

/// Reads the rows that a packed span replaces: its own, its pieces and its finer spans. A container
/// has many more.
pub(super) async fn of_span(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    start: u64,
) -> Result<Vec<LifeRow>, StoreError> {
    let span = start..start + resolution.packed_seconds();
    let read = |resolution: Resolution, of: &'static [Kind]| {
        let kinds: Vec<i8> = of.iter().map(|of| *of as i8).collect();
        let values = (
            container.as_str(),
            resolution_number(resolution),
            kinds,
            number(span.start),
            number(span.end),
        );
        cql.rows::<LifeColumns>("read a container", SELECT_SOME, values)
    };
    let fine = async {
        match finer(resolution) {
            Some(finer) => read(finer, &[Kind::Span]).await,
            None => Ok(Vec::new()),
        }
    };
    let (own, fine) = futures_util::try_join!(read(resolution, &[Kind::Span, Kind::Piece]), fine)?;
    own.into_iter().chain(fine).map(LifeRow::read).collect()
}

/// The sources of these rows that belong to recordings. Their packed rows never expire.
pub(super) fn recorded(entries: &[LifeRow]) -> Vec<Recorder> {
    let mut found: BTreeMap<SourceId, Recorder> = BTreeMap::new();
    for entry in entries {
        let Some(recording) = entry.recording else {
            continue;
        };
        let (source, Activity { first, last, .. }) = (entry.key.source, &entry.activity);
        let recorder = found.entry(source).or_insert(Recorder {
            source,
            recording,
            span: *first..*last,
        });
        recorder.span = recorder.span.start.min(*first)..recorder.span.end.max(*last);
    }
    found.into_values().collect()
}

/// Tells which rows count, and which are contained in a coarser one.
pub(super) struct Counted(HashMap<(Resolution, u64, SourceId), u64>);

impl Counted {
    pub(super) fn new(entries: &[LifeRow]) -> Self {
        let spans = entries.iter().filter(|entry| entry.key.kind == Kind::Span);
        let name = |key: &LifeKey| (key.resolution, key.start, key.source);
        Self(spans.map(|e| (name(&e.key), e.slots)).collect())
    }

    /// Whether a row counts.
    pub(super) fn holds(&self, entry: &LifeRow) -> bool {
        let LifeKey {
            resolution,
            kind,
            start,
            source,
        } = entry.key;
        if entry.key.is_coarse_piece() {
            return true;
        }
        let slots = |resolution: Resolution| {
            let span = (resolution, resolution.packed_start(start), source);
            self.0.get(&span).copied().unwrap_or(0)
        };
        if kind == Kind::Piece {
            return entry.slots & !slots(resolution) != 0;
        }
        !Resolution::ALL
            .into_iter()
            .filter(|coarser| *coarser > resolution)
            .any(|coarser| slots(coarser) & slot_bit(coarser, start) != 0)
    }
}

/// CPU by bucket of [`Recent`], without longer slots, which [`Recent`] ignores too.
fn bucketed(cpu: &[(u64, u64, u64)]) -> Vec<(u64, u64, u64)> {
    let mut buckets: BTreeMap<u64, (u64, u64)> = BTreeMap::new();
    for (start, seconds, ns) in cpu.iter().filter(|slot| slot.1 <= Recent::BUCKET) {
        let bucket = buckets.entry(start - start % Recent::BUCKET).or_default();
        bucket.0 = (bucket.0 + seconds).min(Recent::BUCKET);
        bucket.1 = bucket.1.saturating_add(*ns);
    }
    let buckets = buckets.into_iter();
    buckets
        .map(|(at, (seconds, ns))| (at, seconds, ns))
        .collect()
}

/// Encodes (start, seconds, ns) of each bucket, little-endian.
fn encode(cpu: &[(u64, u64, u64)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(cpu.len() * 17);
    for (start, seconds, ns) in cpu {
        bytes.extend(start.to_le_bytes());
        bytes.push(u8::try_from(*seconds).unwrap_or(0));
        bytes.extend(ns.to_le_bytes());
    }
    bytes
}

fn decode(bytes: &[u8]) -> Vec<(u64, u64, u64)> {
    let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
    let buckets = bytes.as_chunks::<17>().0.iter();
    buckets
        .map(|b| (number(&b[..8]), b[8].into(), number(&b[9..])))
        .collect()
}
