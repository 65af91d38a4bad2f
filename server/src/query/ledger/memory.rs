//! Memory by name and slot, and how much of it there was at one time.

use std::collections::HashMap;
use std::ops::Range;

use bubble_common::segment::lives::{highest_held, lives};
use bubble_common::segment::memory::{bounded, memory_bounds};
use bubble_common::segment::process::Memory;

use super::placed::{ABSENT, Placed};
use super::series::{Largest, NameSeries};
use super::{Ledger, ns};

/// Memory by name and slot, in bytes.
#[derive(Debug)]
pub struct MemoryByName {
    /// It is the virtual size, as no resident set was measured.
    pub is_virtual: bool,
    /// Of the names with most, then of all others together: what their processes held at one time,
    /// at most what the cgroup had. A single process has its own highest value, which may be of
    /// another moment of the slot than that of the next. The pages in `shared` are not in it.
    pub series: Vec<NameSeries>,
    /// Resident pages that other processes may have too, of the process with most: at most what
    /// the cgroup had. 0 where they are not known.
    pub shared: Vec<u64>,
    /// Highest sum over all processes that lived at one time, with the shared pages of the one of
    /// them with most.
    pub at_one_time: Vec<u64>,
}

/// The memory of several processes in one slot of a segment. Each has memory of its own, and pages
/// that others may have too.
#[derive(Default)]
struct Held {
    /// Own memory of those that lived all the time, together.
    throughout: u64,
    /// Shared memory of the one of them with most.
    shared_throughout: u64,
    /// Own and shared memory of the others, with their lives.
    partly: Vec<(Range<u64>, u64, u64)>,
    /// Own memory of the process with most.
    largest: u64,
    /// Shared memory of the process with most.
    shared: u64,
}

/// What groups of processes held, by slot of the segment and group.
type HeldByGroup = HashMap<(u32, usize), Held>;

impl Held {
    fn add(&mut self, life: &Range<u64>, slot: &Range<u64>, own: u64, shared: u64) {
        self.largest = self.largest.max(own);
        self.shared = self.shared.max(shared);
        if life.start <= slot.start && life.end >= slot.end {
            self.throughout = self.throughout.saturating_add(own);
            self.shared_throughout = self.shared_throughout.max(shared);
        } else {
            self.partly.push((life.clone(), own, shared));
        }
    }

    fn unite(&mut self, other: &Self) {
        self.largest = self.largest.max(other.largest);
        self.shared = self.shared.max(other.shared);
        self.throughout = self.throughout.saturating_add(other.throughout);
        self.shared_throughout = self.shared_throughout.max(other.shared_throughout);
        self.partly.extend_from_slice(&other.partly);
    }

    /// The highest sum of own memory at one time.
    fn sum(&self) -> u64 {
        self.sum_with_shared(0)
    }

    /// The highest sum of own memory at one time, with the shared memory of the process with most at
    /// that time, but at most `bound` of it.
    fn sum_with_shared(&self, bound: u64) -> u64 {
        let throughout = (0..u64::MAX, self.throughout, self.shared_throughout);
        let all = self.partly.iter().cloned().chain([throughout]);
        highest_held(all.map(|(life, own, shared)| (life, own, shared.min(bound))))
    }
}

impl Ledger<'_> {
    /// Memory of the `top` names that held most, then of all others together: resident, or
    /// the virtual size if nothing else was measured (by a chisel).
    ///
    /// Of the resident set each process has its private memory. The rest counts once for all of
    /// them, as far as the two are told apart.
    pub fn memory_by_name(&self, top: usize) -> MemoryByName {
        let slots = self.cpu.len();
        let any = |of: fn(&Memory) -> u64| self.processes.iter().any(|row| of(&row.highest) > 0);
        let is_virtual = !any(|memory| memory.rss) && any(|memory| memory.vm);
        let of = move |memory: &Memory| {
            if is_virtual {
                memory.vm
            } else {
                memory.private
            }
        };
        let ranks = self.memory_ranks(of);
        let mut largest = Largest::new(&self.processes, slots, top, &ranks);
        let (mut at_one_time, mut shared) = (vec![0; slots], vec![0; slots]);
        for placed in &self.segments {
            let by_series = held(placed, of, &largest.of);
            let bounds = self.bounds_of(placed);
            let mut all: HashMap<u32, Held> = HashMap::new();
            for ((slot, series), held) in &by_series {
                let bound = bounds.get(slot).map_or(0, of);
                let sum = bounded(held.sum(), bound, held.largest);
                let at = placed.slots[*slot as usize] as usize;
                let value = &mut largest.series[*series].values[at];
                *value = sum.max(*value);
                all.entry(*slot).or_default().unite(held);
            }
            for (slot, held) in all {
                let index = placed.slots[slot as usize] as usize;
                // Pages that another cgroup holds are not the container's.
                let bound = match bounds.get(&slot).map_or(0, |bound| bound.rss) {
                    _ if is_virtual => 0,
                    0 => u64::MAX,
                    bound => bound,
                };
                shared[index] = held.shared.min(bound).max(shared[index]);
                at_one_time[index] = held.sum_with_shared(bound).max(at_one_time[index]);
            }
        }
        MemoryByName {
            is_virtual,
            series: largest.into_series(),
            shared,
            at_one_time,
        }
    }

    /// The most that the processes of each name held at one time.
    fn memory_ranks(&self, of: impl Fn(&Memory) -> u64 + Copy) -> HashMap<&str, u64> {
        let mut names: HashMap<&str, usize> = HashMap::new();
        let by_process: Vec<usize> = (self.processes.iter())
            .map(|row| {
                let next = names.len();
                *names.entry(&row.process.name).or_insert(next)
            })
            .collect();
        let mut highest = vec![0; names.len()];
        for placed in &self.segments {
            let bounds = self.bounds_of(placed);
            for ((slot, name), held) in held(placed, of, &by_process) {
                let bound = bounds.get(&slot).map_or(0, of);
                highest[name] = bounded(held.sum(), bound, held.largest).max(highest[name]);
            }
        }
        let ranks = names.into_iter();
        ranks.map(|(name, index)| (name, highest[index])).collect()
    }

    /// What the cgroup had at most, by slot of the segment. Unknown in the scope of one process.
    fn bounds_of(&self, placed: &Placed<'_>) -> HashMap<u32, Memory> {
        // The cgroup's memory does not bound that of one process.
        match self.is_scoped {
            true => HashMap::new(),
            false => memory_bounds(placed.segment),
        }
    }
}

/// What groups of processes held in a segment. `groups` has the group of each process.
fn held(placed: &Placed<'_>, of: impl Fn(&Memory) -> u64, groups: &[usize]) -> HeldByGroup {
    let segment = placed.segment;
    let lives = lives(&segment.processes);
    let length = segment.key.resolution.seconds();
    let mut held = HeldByGroup::new();
    for cell in &segment.memory {
        let process = placed.processes[cell.row.0 as usize];
        let (own, shared) = (of(&cell.value), cell.value.shared());
        let is_empty = own == 0 && shared == 0;
        if process == ABSENT || placed.slots[cell.slot as usize] == ABSENT || is_empty {
            continue;
        }
        let start = segment.key.start + u64::from(cell.slot) * length;
        let span = ns(start)..ns(start + length);
        let group = groups[process as usize];
        let held = held.entry((cell.slot, group)).or_default();
        held.add(&lives[cell.row.0 as usize], &span, own, shared);
    }
    held
}
