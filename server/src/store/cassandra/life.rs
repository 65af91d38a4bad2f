//! What a container's entry in the index is made from: rows that say what each
//! piece and each packed span is worth.
//!
//! A sum that several servers add to is either slow (a transaction each time) or
//! wrong (after a crash nobody knows whether it was added). So nothing is added up
//! when it is written: each row says what *its* piece or span is worth, and writing
//! it twice changes nothing. A packed span takes the place of its pieces, and of
//! the finer spans in it: it has a bit for each, and what has its bit set in a
//! coarser row does not count any more. So the rows of a container stay few, its sums
//! are right before, between and after any of these steps, and deleting what does
//! not count is only tidying up.

use std::collections::{BTreeMap, HashMap};

use bubble_common::segment::{ContainerId, Facts, Resolution, SourceId};
use scylla::value::CqlValue;

use super::session::{Bound, Cql};
use super::value::{
    big, bits, blob, corrupt, resolution_number, resolution_of, source_of, text, tiny,
};
use crate::rollup::unite::finer;
use crate::store::column::{number, unsigned};
use crate::store::container::{Container, Recent};
use crate::store::error::StoreError;
use crate::store::recording::Recorder;
use crate::store::row::{Activity, Post, Worth};

/// What is being done when statements of this table are written.
pub(super) const WORTH: &str = "write what a container is worth";

/// What a row tells of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Of {
    /// A packed span.
    Span = 0,
    /// A piece as it was posted.
    Piece = 2,
}

/// Names a row of a container.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Place {
    pub(super) resolution: Resolution,
    pub(super) of: Of,
    /// Start of the piece or the span.
    pub(super) start: u64,
    pub(super) source: SourceId,
}

/// What a piece or a span is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) place: Place,
    /// Bit *i*: slot *i* of the packed span is in it.
    pub(super) slots: u64,
    /// The recording that it belongs to.
    pub(super) recording: Option<SourceId>,
    /// Without facts; CPU by [`Recent::BUCKET`].
    pub(super) activity: Activity,
    /// The time of its write, as Cassandra has it: µs since the Unix epoch; 0 of what is not written yet.
    pub(super) written: i64,
}

/// What a source said of a container, and up to when what it said it with reaches.
#[derive(Debug, Clone)]
pub(super) struct Said {
    pub(super) at: u64,
    pub(super) recorded: bool,
    pub(super) facts: Facts,
}

/// All that is stored of a container, but for its segments.
#[derive(Debug, Clone, Default)]
pub(super) struct Life {
    pub(super) entries: Vec<Entry>,
    pub(super) said: Vec<Said>,
}

type EntryRow = (
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

impl Entry {
    /// Of a posted piece.
    pub(super) fn of_post(post: &Post) -> Self {
        Self {
            place: Place {
                resolution: post.key.resolution,
                of: Of::Piece,
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
            written: 0,
        }
    }

    /// Of the packed span at `start`, in the place of `former` entries: the span's own, its pieces, its finer spans.
    pub(super) fn of_span(
        resolution: Resolution,
        start: u64,
        worth: &Worth,
        former: &[&Entry],
    ) -> Self {
        let mut activity = Activity {
            cpu: bucketed(&worth.activity.cpu),
            facts: Facts::new(),
            ..worth.activity.clone()
        };
        // What is finer knows the edges, and the last moments, better.
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
            // The latest minutes, in buckets that the span itself does not have.
            let mut buckets = BTreeMap::new();
            for (start, seconds, ns) in former.iter().flat_map(|entry| &entry.activity.cpu) {
                let known = buckets.entry(*start).or_insert((*seconds, *ns));
                *known = (*known).max((*seconds, *ns));
            }
            let surplus = buckets.len().saturating_sub(Recent::BUCKETS);
            let buckets = buckets.into_iter().skip(surplus);
            activity.cpu = buckets.map(|(at, (n, ns))| (at, n, ns)).collect();
        }
        Self {
            place: Place {
                resolution,
                of: Of::Span,
                start,
                source: worth.source,
            },
            slots: worth.slots,
            recording: former.iter().find_map(|entry| entry.recording),
            activity,
            written: 0,
        }
    }

    /// Statement that writes it.
    pub(super) fn insert(&self, container: &ContainerId) -> Bound {
        let activity = &self.activity;
        let some = |n: Option<u64>| n.map(|n| CqlValue::BigInt(number(n)));
        (
            "INSERT INTO life (container, resolution, kind, start, source, slots, recording,
                first, last, cpu_ns, bytes_in, bytes_out, memory_peak, memory_now, memory_limit, cpu)
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            vec![
                text(container.as_str()),
                tiny(resolution_number(self.place.resolution)),
                tiny(self.place.of as i8),
                big(self.place.start),
                blob(&self.place.source.0),
                bits(self.slots),
                self.recording.and_then(|id| blob(&id.0)),
                big(activity.first),
                big(activity.last),
                big(activity.cpu_ns),
                big(activity.bytes_in),
                big(activity.bytes_out),
                some(activity.memory_peak),
                some(activity.memory_now),
                some(activity.memory_limit),
                blob(&coded(&activity.cpu)),
            ],
        )
    }

    fn read(row: EntryRow) -> Result<Self, StoreError> {
        let some = |n: Option<i64>| n.map(unsigned);
        Ok(Self {
            place: Place {
                resolution: resolution_of(row.0)?,
                of: if row.1 == 0 { Of::Span } else { Of::Piece },
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
                cpu: decoded(&row.14),
                facts: Facts::new(),
            },
            written: row.15,
        })
    }
}

impl Place {
    /// Statement that deletes the row.
    pub(super) fn delete(&self, container: &ContainerId) -> Bound {
        (
            "DELETE FROM life
             WHERE container = ? AND resolution = ? AND kind = ? AND start = ? AND source = ?",
            vec![
                text(container.as_str()),
                tiny(resolution_number(self.resolution)),
                tiny(self.of as i8),
                big(self.start),
                blob(&self.source.0),
            ],
        )
    }
}

/// Statement that writes what a source said of a container.
pub(super) fn say(
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
/// One for all of them: each statement leaves a tombstone, over which every read of the container
/// goes for a day, and a live container has 86,400 pieces a day.
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
            tiny(Of::Piece as i8),
            big(start),
            big(start + resolution.packed_seconds()),
        ],
    )
}

const ENTRIES: &str = "SELECT resolution, kind, start, source, slots, recording, first, last,
    cpu_ns, bytes_in, bytes_out, memory_peak, memory_now, memory_limit, cpu, writetime(slots)
    FROM life WHERE container = ?";

/// Entries of one resolution, of some kinds.
const SOME: &str = "SELECT resolution, kind, start, source, slots, recording, first, last,
    cpu_ns, bytes_in, bytes_out, memory_peak, memory_now, memory_limit, cpu, writetime(slots)
    FROM life WHERE container = ? AND resolution = ? AND kind IN ? AND start >= ? AND start < ?";

/// Reads the entries of a container.
pub(super) async fn entries(cql: &Cql, container: &ContainerId) -> Result<Vec<Entry>, StoreError> {
    let doing = "read a container";
    let rows: Vec<EntryRow> = cql.rows(doing, ENTRIES, (container.as_str(),)).await?;
    rows.into_iter().map(Entry::read).collect()
}

/// Reads those that a packed span takes the place of: its own, its pieces, its finer spans. A
/// container has many more.
pub(super) async fn entries_of(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    start: u64,
) -> Result<Vec<Entry>, StoreError> {
    let span = start..start + resolution.packed_seconds();
    let read = |resolution: Resolution, of: &'static [Of]| {
        let kinds: Vec<i8> = of.iter().map(|of| *of as i8).collect();
        let place = (container.as_str(), resolution_number(resolution), kinds);
        let starts = (number(span.start), number(span.end));
        let values = (place.0, place.1, place.2, starts.0, starts.1);
        cql.rows::<EntryRow>("read a container", SOME, values)
    };
    let fine = async {
        match finer(resolution) {
            Some(finer) => read(finer, &[Of::Span]).await,
            None => Ok(Vec::new()),
        }
    };
    let (own, fine) = futures_util::try_join!(read(resolution, &[Of::Span, Of::Piece]), fine)?;
    own.into_iter().chain(fine).map(Entry::read).collect()
}

/// The sources of these entries that belong to recordings, of which nothing expires by itself.
pub(super) fn recorded(entries: &[Entry]) -> Vec<Recorder> {
    let mut found: BTreeMap<SourceId, Recorder> = BTreeMap::new();
    for entry in entries {
        let Some(recording) = entry.recording else {
            continue;
        };
        let (source, Activity { first, last, .. }) = (entry.place.source, &entry.activity);
        let known = found.entry(source).or_insert(Recorder {
            source,
            recording,
            span: *first..*last,
        });
        known.span = known.span.start.min(*first)..known.span.end.max(*last);
    }
    found.into_values().collect()
}

/// Reads all of a container's life.
pub(super) async fn read(cql: &Cql, container: &ContainerId) -> Result<Life, StoreError> {
    let said = cql.rows::<(i64, bool, String)>(
        "read a container",
        "SELECT at, recorded, facts FROM fact WHERE container = ?",
        (container.as_str(),),
    );
    let (entries, said) = futures_util::try_join!(entries(cql, container), said)?;
    let said = said.into_iter().map(|(at, recorded, facts)| {
        let facts = serde_json::from_str(&facts)
            .map_err(|error| corrupt(format!("facts of a container ({error})")))?;
        Ok(Said {
            at: unsigned(at),
            recorded,
            facts,
        })
    });
    Ok(Life {
        entries,
        said: said.collect::<Result<_, StoreError>>()?,
    })
}

impl Life {
    /// The entry of the index; none when nothing is known. `recordings` has the
    /// names of those that are not deleted, oldest first.
    pub(super) fn container(
        &self,
        id: &ContainerId,
        recordings: &[(SourceId, String)],
    ) -> Option<Container> {
        if self.entries.is_empty() && self.said.is_empty() {
            return None;
        }
        let counted = Counted::new(&self.entries);
        let mut told: Vec<(Activity, bool)> = Vec::new();
        for entry in &self.entries {
            let mut activity = entry.activity.clone();
            if !counted.holds(entry) {
                (activity.cpu_ns, activity.bytes_in, activity.bytes_out) = (0, 0, 0);
                activity.cpu.clear();
            }
            told.push((activity, entry.recording.is_some()));
        }
        for said in &self.said {
            let activity = Activity {
                first: said.at,
                last: said.at,
                facts: said.facts.clone(),
                ..Activity::default()
            };
            told.push((activity, said.recorded));
        }
        told.sort_by_key(|(activity, _)| activity.last);
        let mut container = Container::new(id.clone());
        for (activity, recorded) in &told {
            container.absorb(activity, *recorded);
        }
        let known = |id: &SourceId| self.entries.iter().any(|e| e.recording == Some(*id));
        let names = recordings.iter().filter(|(id, _)| known(id));
        container.recordings = names.map(|(_, name)| name.clone()).collect();
        Some(container)
    }
}

/// Which entries count, and which are in a coarser one.
pub(super) struct Counted(HashMap<(Resolution, u64, SourceId), u64>);

impl Counted {
    pub(super) fn new(entries: &[Entry]) -> Self {
        let spans = entries.iter().filter(|entry| entry.place.of == Of::Span);
        let name = |place: &Place| (place.resolution, place.start, place.source);
        Self(spans.map(|e| (name(&e.place), e.slots)).collect())
    }

    pub(super) fn holds(&self, entry: &Entry) -> bool {
        let Place {
            resolution,
            of,
            start,
            source,
        } = entry.place;
        let slots = |resolution: Resolution| {
            let span = (resolution, resolution.packed_start(start), source);
            self.0.get(&span).copied().unwrap_or(0)
        };
        if of == Of::Piece {
            return entry.slots & !slots(resolution) != 0;
        }
        !Resolution::ALL
            .into_iter()
            .filter(|coarser| *coarser > resolution)
            .any(|coarser| slots(coarser) & slot_bit(coarser, start) != 0)
    }
}

/// The bit of the slot that holds `at` in its packed span.
pub(super) const fn slot_bit(resolution: Resolution, at: u64) -> u64 {
    1 << ((at - resolution.packed_start(at)) / resolution.seconds())
}

/// CPU by bucket of [`Recent`]; what is longer than one is left out there, too.
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

/// As bytes: (start, seconds, ns) of each, little-endian.
fn coded(cpu: &[(u64, u64, u64)]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(cpu.len() * 17);
    for (start, seconds, ns) in cpu {
        bytes.extend(start.to_le_bytes());
        bytes.push(u8::try_from(*seconds).unwrap_or(0));
        bytes.extend(ns.to_le_bytes());
    }
    bytes
}

fn decoded(bytes: &[u8]) -> Vec<(u64, u64, u64)> {
    let number = |bytes: &[u8]| bytes.first_chunk().map_or(0, |b| u64::from_le_bytes(*b));
    let buckets = bytes.as_chunks::<17>().0.iter();
    buckets
        .map(|b| (number(&b[..8]), b[8].into(), number(&b[9..])))
        .collect()
}
