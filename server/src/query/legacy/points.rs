//! Sums by process id and slot.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::ops::Range;

use bubble_common::segment::Segment;
use bubble_common::segment::cell::Cell;

/// Rows by process id.
pub type ByProcess<T> = BTreeMap<u32, Vec<T>>;

/// A core (or 0, where cores are added up) and the start of a slot.
type CoreSlot = (u32, u64);

/// Values by process id, then by core and slot.
pub(super) struct Points {
    /// Length of a slot in seconds.
    slot: u64,
    pub(super) values: BTreeMap<u32, BTreeMap<CoreSlot, u64>>,
    /// How two values of one slot become one.
    combine: fn(u64, u64) -> u64,
}

impl Points {
    /// No points, in slots of this many seconds.
    pub(super) fn new(slot: u64) -> Self {
        Self {
            slot,
            values: BTreeMap::new(),
            combine: u64::saturating_add,
        }
    }

    /// Adds cells with a process as first index. Folded processes have no id and are left out.
    pub(super) fn add<V>(
        &mut self,
        segment: &Segment,
        cells: &[Cell<V>],
        core: impl Fn(u32) -> u32,
        value: impl Fn(&V) -> u64,
        combine: fn(u64, u64) -> u64,
    ) {
        self.combine = combine;
        let length = segment.key.resolution.seconds();
        for cell in cells {
            let process = &segment.processes[cell.row.0 as usize];
            if process.is_folded() {
                continue;
            }
            let start = segment.key.start + u64::from(cell.slot) * length;
            let start = start - start % self.slot;
            let points = self.values.entry(process.id.pid).or_default();
            let sum = points.entry((core(cell.row.1), start)).or_default();
            *sum = combine(*sum, value(&cell.value));
        }
    }

    /// Adds the points of another part of the container.
    pub(super) fn merge(&mut self, other: Self) {
        self.combine = other.combine;
        for (pid, points) in other.values {
            let known = self.values.entry(pid).or_default();
            for (at, value) in points {
                let sum = known.entry(at).or_default();
                *sum = (self.combine)(*sum, value);
            }
        }
    }

    /// Removes points outside `span`: packed rows are read whole.
    pub(super) fn retain(&mut self, span: &Range<u64>) {
        for points in self.values.values_mut() {
            points.retain(|(_, at), _| span.contains(at));
        }
        self.values.retain(|_, points| !points.is_empty());
    }

    /// The `top` processes by the sum of their values, each value made a `point`.
    pub(super) fn top<T>(
        self,
        top: usize,
        point: impl Fn(u32, CoreSlot, u64) -> T,
    ) -> ByProcess<T> {
        let mut ranked: Vec<_> = self.values.into_iter().collect();
        ranked.sort_by_cached_key(|(_, points)| {
            let sum = points.values().fold(0_u64, |sum, n| sum.saturating_add(*n));
            Reverse(sum)
        });
        ranked.truncate(top);
        let row = |(pid, points): (u32, BTreeMap<CoreSlot, u64>)| {
            let points = points.into_iter().map(|(at, n)| point(pid, at, n));
            (pid, points.collect())
        };
        ranked.into_iter().map(row).collect()
    }
}
