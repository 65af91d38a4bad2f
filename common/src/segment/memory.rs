//! Memory of several processes together.
//!
//! The memory of processes adds up only while all of them exist, and pages that they share
//! belong to each of them. Both make a plain sum too high. The cgroup's own figure has no such
//! error, so it bounds the sum.

use std::collections::HashMap;
use std::ops::Range;

use super::Segment;
use super::cell::Value as _;
use super::lives::highest_sum;
use super::process::Memory;
use super::total::Metric;

impl Memory {
    /// The highest sum of each column at one time. Each value comes with the life of its
    /// process, in ns. Resident and swapped memory are at most the `bound` (0: unknown), or that
    /// of the largest process, which may use files that another cgroup holds.
    pub fn at_one_time(values: &[(Range<u64>, Self)], bound: Option<Self>) -> Self {
        let bound = bound.unwrap_or_default();
        let mut sum = Self::default();
        for column in 0..Self::COLUMNS {
            let of = |value: &Self| value.get(column);
            let all = values.iter().map(|(life, value)| (life.clone(), of(value)));
            let largest = values.iter().map(|(_, value)| of(value)).max();
            sum.set(
                column,
                bounded(highest_sum(all), of(&bound), largest.unwrap_or(0)),
            );
        }
        sum
    }
}

/// `sum`, but at most `bound` (0: unknown) or the `largest` of its parts.
pub fn bounded(sum: u64, bound: u64, largest: u64) -> u64 {
    match bound {
        0 => sum,
        bound => sum.min(bound.max(largest)),
    }
}

/// What the cgroup had at most, by slot; 0 where that is unknown, and for the virtual size.
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
    bounds
}
