//! Census: how many processes a folded row stands for.
//!
//! The counts of two segments do not tell how many processes both have together: the same
//! process may be folded in both. So folding notes how many processes of a folded name began
//! in each slot, whether they keep a row or not. A process begins once, so these numbers add
//! up like any other count, and a slot that arrives twice counts once. A folded row stands
//! for those that have no row of their own. There may be none: then its count is 0.
//!
//! The census consists of metrics of the totals, so that every version merges it:
//!
//! | metrics | what they say of a name and slot |
//! |---|---|
//! | [`BEGUN`] | processes that began to run under this name |
//! | [`EARLIER`] | when the first of those began that are folded in a later segment |
//!
//! A metric is a number, and a name is a text. `BEGUN` is therefore a count-min sketch: four
//! rows of 4,096 numbers. A name adds to one number in each row, and has the least of the
//! four. Only names that share all four numbers with others have too much.
//!
//! A count is exact if all processes of the row began in time that is known. Otherwise it is a
//! lower bound: those that began earlier are not counted, or only in the dictionary's count.

use std::borrow::Borrow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use super::Segment;
use super::cell::{Cell, Row, normalise};
use super::lives::lives;
use super::part::Part;
use super::process::{OTHER, Process};
use super::total::Total;

/// Metrics that count the processes that began. They add up.
pub const BEGUN: Range<u32> = 0x4000..0x8000;
/// Metrics that say when the first folded process began, if that was before its segment:
/// [`LATEST`] minus seconds since the Unix epoch. So the earliest one has the highest number,
/// which counts.
pub const EARLIER: Range<u32> = 0x100_0000..0x200_0000;

/// Latest time of [`EARLIER`].
const LATEST: u64 = 1 << 40;
/// Rows of the sketch.
const ROWS: u32 = 4;
/// Numbers of a row of the sketch.
const ROW: u32 = (BEGUN.end - BEGUN.start) / ROWS;
/// Rows of one process that are searched for the same name.
const MAX_EARLIER_ROWS: usize = 64;
/// Stands for all names beyond the cap. Their number is a lower bound.
const BEYOND_CAP: &str = "";

/// The hash of a name: FNV-1a with 64 bits.
fn hash(name: &str) -> u64 {
    (name.bytes()).fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3)
    })
}

/// The metrics that a process of this name adds to: of row *i* bits 12 *i* to 12 *i* + 11 of
/// the hash.
fn begun(name: &str) -> [u32; ROWS as usize] {
    let mut hash = hash(name);
    std::array::from_fn(|row| {
        let number = hash as u32 % ROW;
        hash >>= ROW.trailing_zeros();
        BEGUN.start + row as u32 * ROW + number
    })
}

/// The metric of earlier processes of this name: the low 24 bits of the hash.
fn earlier(name: &str) -> u32 {
    EARLIER.start + hash(name) as u32 % (EARLIER.end - EARLIER.start)
}

/// The number of processes of a folded row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// How many are known.
    pub known: u64,
    /// Whether there are no more.
    pub is_exact: bool,
}

/// The numbers of processes by name.
#[derive(Debug, Clone, Default)]
pub struct Census {
    /// By metric of [`BEGUN`].
    begun: BTreeMap<u32, u64>,
    /// By metric of [`EARLIER`].
    earlier: BTreeMap<u32, u64>,
    /// Processes that have a row of their own, by hash of the name.
    own: HashMap<u64, u64>,
}

impl Census {
    /// Adds a cell of the totals, if it belongs to the census. Returns whether it does.
    pub fn add(&mut self, cell: &Cell<Total>) -> bool {
        let (metric, value) = (cell.row.0, cell.value.value);
        if BEGUN.contains(&metric) {
            let begun = self.begun.entry(metric).or_default();
            *begun = begun.saturating_add(value);
        } else if EARLIER.contains(&metric) {
            let earlier = self.earlier.entry(metric).or_default();
            *earlier = (*earlier).max(value);
        } else {
            return false;
        }
        true
    }

    /// Whether nothing is folded, or an older version folded it.
    pub fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.earlier.is_empty()
    }

    /// Whether it knows how many processes began under this name.
    pub fn knows(&self, name: &str) -> bool {
        let is_begun = || {
            begun(name)
                .iter()
                .all(|metric| self.begun.contains_key(metric))
        };
        !self.is_empty() && (self.earlier.contains_key(&earlier(name)) || is_begun())
    }

    /// Whether there were more names than a segment may have.
    fn is_cut(&self) -> bool {
        self.earlier.contains_key(&earlier(BEYOND_CAP))
    }

    /// Notes a process with a row of its own, that began where the census [`knows`](Self::knows)
    /// its name.
    pub fn add_own(&mut self, name: &str) {
        *self.own.entry(hash(name)).or_default() += 1;
    }

    /// Processes of a name that began and have no row of their own.
    fn without_row(&self, name: &str) -> u64 {
        let begun = begun(name).map(|metric| self.begun.get(&metric).copied().unwrap_or(0));
        let begun = begun.into_iter().min().unwrap_or(0);
        begun.saturating_sub(self.own.get(&hash(name)).copied().unwrap_or(0))
    }

    /// The number of processes of the row `name`. `folded` are the names of all folded rows; the
    /// other names are in `(other)`. All processes that began `since` then (seconds since the Unix
    /// epoch) are known. `None`: nothing is known.
    pub fn count(&self, name: &str, folded: &HashSet<&str>, since: Option<u64>) -> Option<Count> {
        let (known, earlier) = if name == OTHER {
            let sum = |sum: u64, n: &u64| sum.saturating_add(*n);
            let named: Vec<&str> = folded
                .iter()
                .copied()
                .filter(|name| *name != OTHER)
                .collect();
            let all = self.begun.range(..BEGUN.start + ROW);
            let all = all.map(|(_, begun)| begun).fold(0, sum);
            let own = self.own.values().fold(0, sum);
            let named_begun = named.iter().map(|name| self.without_row(name));
            let named_begun = named_begun.fold(0, u64::saturating_add);
            let hidden: HashSet<u32> = named.iter().map(|name| earlier(name)).collect();
            let others = self
                .earlier
                .iter()
                .filter(|(metric, _)| !hidden.contains(metric));
            let known = all.saturating_sub(own).saturating_sub(named_begun);
            (known, others.map(|(_, earlier)| *earlier).max())
        } else {
            let earlier = self.earlier.get(&earlier(name)).copied();
            (self.without_row(name), earlier)
        };
        (name == OTHER && !self.is_empty() || self.knows(name)).then_some(Count {
            known,
            is_exact: earlier.is_none_or(|earlier| {
                since.is_some_and(|since| LATEST.saturating_sub(earlier) >= since)
            }),
        })
    }
}

/// When each row of a sorted dictionary began, ns. `None` for a folded row, and for one that
/// continues its process under a name that it had before.
pub fn begins<P: Borrow<Process>>(processes: &[P]) -> Vec<Option<u64>> {
    let lives = lives(processes);
    let processes: Vec<&Process> = processes.iter().map(Borrow::borrow).collect();
    (processes.iter().enumerate())
        .map(|(index, process)| {
            let id = process.id;
            let earlier_rows = processes[..index].iter().rev();
            let mut same = earlier_rows
                .take_while(|row| (row.id.pid, row.id.start) == (id.pid, id.start))
                .take(MAX_EARLIER_ROWS);
            let is_first = !process.is_folded() && same.all(|row| row.name != process.name);
            is_first.then_some(lives[index].start)
        })
        .collect()
}

/// Notes that the processes that are not `retained` are about to be folded, with at most
/// `max_names` names. The totals are not canonical afterwards.
pub(super) fn note_fold(segment: &mut Segment, retained: &[bool], max_names: usize) {
    let census = segment.census();
    let is_folded = |index: usize| !retained[index] && !segment.processes[index].is_folded();
    let mut folded: BTreeMap<&str, u64> = BTreeMap::new();
    for (index, process) in segment.processes.iter().enumerate() {
        if is_folded(index) {
            *folded.entry(&process.name).or_default() += 1;
        }
    }
    // The rarest names have no census: it would be as large as their rows.
    let mut ranked: Vec<(&str, u64)> = folded.into_iter().collect();
    ranked.sort_by_key(|(name, count)| (Reverse(*count), *name));
    let rest = ranked.split_off(ranked.len().min(max_names));
    let folded: HashSet<&str> = ranked.into_iter().map(|(name, _)| name).collect();
    let mut new = Counted::default();
    let covered = segment.coverage.iter().position(|slot| !slot.is_gap());
    let first = covered.unwrap_or(0) as u32;
    let end = segment.end().saturating_mul(1_000_000_000);
    for (index, begin) in begins(&segment.processes).into_iter().enumerate() {
        let name = &*segment.processes[index].name;
        let (Some(begin), true) = (begin, folded.contains(name)) else {
            continue;
        };
        match segment.covered_slot_of(begin) {
            // A known slot counts all of its processes.
            Some(_) if census.knows(name) => {}
            Some(slot) => new.add_begun(name, slot),
            // An imprecise clock may move a beginning behind the end.
            None if is_folded(index) && begin >= end => new.add_earlier(name, first, 0),
            None if is_folded(index) => new.add_earlier(name, first, begin),
            None => {}
        }
    }
    if !rest.is_empty() {
        new.add_earlier(BEYOND_CAP, first, 0);
    }
    segment.totals.extend(new.cells());
}

/// Numbers by metric and slot.
#[derive(Default)]
struct Counted(BTreeMap<(u32, u32), u64>);

impl Counted {
    fn add_begun(&mut self, name: &str, slot: u32) {
        for metric in begun(name) {
            *self.0.entry((metric, slot)).or_default() += 1;
        }
    }

    /// `begin` is in ns; 0 is unknown.
    fn add_earlier(&mut self, name: &str, slot: u32, begin: u64) {
        let earlier = self.0.entry((earlier(name), slot)).or_default();
        *earlier = (*earlier).max(LATEST.saturating_sub(begin / 1_000_000_000));
    }

    fn cells(self) -> impl Iterator<Item = Cell<Total>> {
        self.0.into_iter().map(|((metric, slot), value)| Cell {
            row: Row(metric, 0),
            slot,
            value: Total { value },
        })
    }
}

/// Adds what the parts without a census of a name know of it from their rows, if another part
/// has one.
pub(super) fn complete(whole: &mut Segment, parts: &[Part<'_>]) {
    let of = |segment: &Segment| {
        let mut census = Census::default();
        for cell in census_cells(segment) {
            census.add(cell);
        }
        census
    };
    let all = of(whole);
    if all.is_empty() || parts.len() < 2 {
        return;
    }
    let mut new = Counted::default();
    for part in parts {
        let segment = part.segment;
        let known = of(segment);
        if known.is_cut() {
            continue;
        }
        for (process, begin) in segment.processes.iter().zip(begins(&segment.processes)) {
            let slot = begin.and_then(|begin| segment.covered_slot_of(begin));
            if let Some(slot) = slot.and_then(|slot| part.targets[slot as usize])
                && !known.knows(&process.name)
                && all.knows(&process.name)
            {
                new.add_begun(&process.name, slot);
            }
        }
    }
    if !new.0.is_empty() {
        whole.totals.extend(new.cells());
        normalise(&mut whole.totals);
    }
}

/// Lower bounds of the counts of folded rows in the union of `parts`, by index in `whole`. Each part is
/// a dictionary and the index of each of its rows in `whole`.
///
/// A process that is folded in one part may have a row of its own in another one, or be in another
/// folded row there. So a part's count is reduced by the rows that only other parts have. That of
/// `(other)` does not count at all if the part folds fewer names than the whole.
pub fn bounds<'a>(
    whole: &[&Process],
    parts: impl IntoIterator<Item = (&'a [Process], &'a [u32])>,
) -> BTreeMap<u32, u32> {
    let whole_named = whole.iter().filter(|row| is_named(row)).count();
    let own = own_rows(whole.iter().copied());
    let mut bounds = BTreeMap::new();
    for (rows, indices) in parts {
        if !rows.iter().any(Process::is_folded) {
            continue;
        }
        let is_complete = rows.iter().filter(|row| is_named(row)).count() == whole_named;
        // A row may have another name in the whole.
        let in_whole = indices
            .iter()
            .filter_map(|index| whole.get(*index as usize));
        let part_own = own_rows(in_whole.copied());
        let missing = |name: &str| {
            let of = |own: &HashMap<&str, u32>| own.get(name).copied().unwrap_or(0);
            of(&own).saturating_sub(of(&part_own))
        };
        let all_missing = || own.keys().map(|name| missing(name)).sum();
        for (row, index) in rows.iter().zip(indices).filter(|(row, _)| row.is_folded()) {
            let bound = match row.name == OTHER {
                true if !is_complete => 0,
                true => row.count.saturating_sub(all_missing()),
                false => row.count.saturating_sub(missing(&row.name)),
            };
            let known = bounds.entry(*index).or_insert(0);
            *known = bound.max(*known);
        }
    }
    bounds
}

/// Whether a row is the folded one of a name.
fn is_named(row: &Process) -> bool {
    row.is_folded() && row.name != OTHER
}

/// The number of rows that are not folded, by name.
fn own_rows<'a>(rows: impl Iterator<Item = &'a Process>) -> HashMap<&'a str, u32> {
    let mut own = HashMap::new();
    for row in rows.filter(|row| !row.is_folded()) {
        *own.entry(&*row.name).or_default() += 1;
    }
    own
}

/// Sets the counts of folded rows. Unless `is_whole`, the counts that they have are those of
/// more slots than the segment has.
pub(super) fn recount(segment: &mut Segment, is_whole: bool) {
    let rows = segment.processes.iter().take_while(|row| row.is_folded());
    let folded: HashSet<&str> = rows.clone().map(|row| &*row.name).collect();
    if folded.is_empty() {
        return;
    }
    let census = segment.census();
    let since = segment.counted_since();
    let counts: Vec<Option<Count>> = rows
        .map(|row| census.count(&row.name, &folded, since))
        .collect();
    for (row, count) in segment.processes.iter_mut().zip(counts) {
        let Some(count) = count else {
            continue;
        };
        let known = u32::try_from(count.known).unwrap_or(u32::MAX);
        row.count = match count.is_exact || !is_whole {
            true => known,
            false => row.count.max(known),
        };
    }
}

impl Segment {
    /// The first second that is known, if there is no gap from then to the last one. All
    /// processes that began since then are known.
    pub fn counted_since(&self) -> Option<u64> {
        let sub_slots = u64::from(self.key.resolution.sub_slots());
        let length = self.key.resolution.seconds() / sub_slots;
        let is_known = |sub_slot: &u64| {
            let slot = self.coverage.get((sub_slot / sub_slots) as usize);
            slot.is_some_and(|slot| slot.0 >> (sub_slot % sub_slots) & 1 == 1)
        };
        let all = 0..self.coverage.len() as u64 * sub_slots;
        let first = all.clone().find(is_known)?;
        let last = all.rev().find(is_known)?;
        let is_whole = (first..=last).all(|sub_slot| is_known(&sub_slot));
        is_whole.then_some(self.key.start + first * length)
    }

    /// The slot that holds the moment `at` (ns), unless it is a gap. Only such a slot has a census:
    /// a process that began in a gap is an earlier one, whose beginning no segment counts.
    fn covered_slot_of(&self, at: u64) -> Option<u32> {
        let slot = self.slot_of(at)?;
        (!self.coverage[slot as usize].is_gap()).then_some(slot)
    }

    /// What is known about the number of processes of its folded rows.
    pub fn census(&self) -> Census {
        let mut census = Census::default();
        for cell in census_cells(self) {
            census.add(cell);
        }
        if census.is_empty() {
            return census;
        }
        for (process, begin) in self.processes.iter().zip(begins(&self.processes)) {
            let slot = begin.and_then(|begin| self.covered_slot_of(begin));
            if slot.is_some() && census.knows(&process.name) {
                census.add_own(&process.name);
            }
        }
        census
    }
}

/// The cells of a canonical segment that belong to the census.
fn census_cells(segment: &Segment) -> impl Iterator<Item = &Cell<Total>> {
    [BEGUN, EARLIER].into_iter().flat_map(|metrics| {
        let before = |metric: u32| segment.totals.partition_point(|cell| cell.row.0 < metric);
        &segment.totals[before(metrics.start)..before(metrics.end)]
    })
}
