//! Memory of several processes together.
//!
//! The memory of processes adds up only while all of them exist, and pages that they share
//! belong to each of them. Both make a plain sum too high. The cgroup's own figure has no such
//! error, so it bounds the sum.

use std::collections::HashMap;
use std::ops::Range;

use super::Segment;
use super::lives::{highest_held, highest_sum};
use super::process::Memory;
use super::total::Metric;

impl Memory {
    /// What several processes held at one time, at most. Each value comes with the life of its
    /// process, in ns.
    ///
    /// Private memory adds up. The shared pages count once: those of the process with most at that
    /// time, as the others may have the same. Resident and swapped memory are at most the `bound`
    /// (0: unknown), or that of the largest process, which may use files that another cgroup holds.
    ///
    /// The private part is the highest one, which may be of another moment than the resident set. So
    /// the shared part can be less than that of each process, even 0, which means unknown.
    pub fn at_one_time(values: &[(Range<u64>, Self)], bound: Option<Self>) -> Self {
        let bound = bound.unwrap_or_default();
        let sum = |of: fn(&Self) -> u64| {
            highest_sum(values.iter().map(|(life, value)| (life.clone(), of(value))))
        };
        let largest =
            |of: fn(&Self) -> u64| values.iter().map(|(_, value)| of(value)).max().unwrap_or(0);
        let private = sum(|value| value.private);
        let resident = highest_held(
            (values.iter()).map(|(life, value)| (life.clone(), value.private, value.shared())),
        );
        let rss = bounded(resident, bound.rss, largest(|value| value.rss));
        Self {
            vm: sum(|value| value.vm),
            rss,
            swap: bounded(
                sum(|value| value.swap),
                bound.swap,
                largest(|value| value.swap),
            ),
            private: private.min(rss),
        }
    }
}

/// `sum`, but at most `bound` (0: unknown) or the `largest` of its parts.
pub fn bounded(sum: u64, bound: u64, largest: u64) -> u64 {
    match bound {
        0 => sum,
        bound => sum.min(bound.max(largest)),
    }
}

/// What the cgroup had at most, by slot; 0 where that is unknown, and for the virtual size. All that
/// it had may be private.
///
/// It is the kernel's own peak, which knows what came and went between two readings. Without it
/// (cgroup v2 before Linux 5.19) it is the highest reading.
pub fn memory_bounds(segment: &Segment) -> HashMap<u32, Memory> {
    let mut bounds: HashMap<u32, Memory> = HashMap::new();
    let mut peaks: HashMap<u32, u64> = HashMap::new();
    for cell in &segment.totals {
        let value = cell.value.value;
        match Metric(cell.row.0) {
            Metric::MEMORY_CURRENT => bounds.entry(cell.slot).or_default().rss = value,
            Metric::MEMORY_SWAP => bounds.entry(cell.slot).or_default().swap = value,
            Metric::MEMORY_PEAK => {
                peaks.insert(cell.slot, value);
            }
            _ => {}
        }
    }
    for (slot, peak) in peaks {
        bounds.entry(slot).or_default().rss = peak;
    }
    for bound in bounds.values_mut() {
        bound.private = bound.rss;
    }
    bounds
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn memory(rss: u64, private: u64) -> Memory {
        Memory {
            vm: 2 * rss,
            rss,
            swap: 0,
            private,
        }
    }

    #[test]
    fn shared_pages_count_once() {
        let all = 0..u64::MAX;
        let workers = vec![(all.clone(), memory(105 * MIB, 5 * MIB)); 21];
        let held = Memory::at_one_time(&workers, None);
        assert_eq!((held.rss, held.private), (205 * MIB, 105 * MIB));
        // A folded row is added like a process.
        let halves = [&workers[..10], &workers[10..]].map(|half| {
            let held = Memory::at_one_time(half, None);
            (all.clone(), held)
        });
        assert_eq!(Memory::at_one_time(&halves, None), held);
        let bound = memory(150 * MIB, 150 * MIB);
        let held = Memory::at_one_time(&workers, Some(bound));
        assert_eq!((held.rss, held.private), (150 * MIB, 105 * MIB));
    }

    #[test]
    fn shared_pages_count_while_their_process_lives() {
        let one_after_the_other = [
            (0..10, memory(100 * MIB, 100 * MIB)),
            (10..20, memory(100 * MIB, 0)),
        ];
        let held = Memory::at_one_time(&one_after_the_other, None);
        assert_eq!((held.rss, held.private), (100 * MIB, 100 * MIB));
        let together = one_after_the_other.map(|(_, value)| (0..20, value));
        let held = Memory::at_one_time(&together, None);
        assert_eq!((held.rss, held.private), (200 * MIB, 100 * MIB));
    }

    #[test]
    fn memory_that_is_not_told_apart_may_be_private() {
        let all = 0..u64::MAX;
        let mixed = [
            (all.clone(), memory(100 * MIB, 100 * MIB)),
            (all.clone(), memory(100 * MIB, 100 * MIB)),
            (all, memory(9 * MIB, 2 * MIB)),
        ];
        let held = Memory::at_one_time(&mixed, None);
        assert_eq!((held.rss, held.private), (209 * MIB, 202 * MIB));
    }
}
