//! A segment, with the places of its slots and processes in the answer.

use std::ops::Range;

use bubble_common::segment::Segment;

use crate::query::range::Plan;

/// Place of a slot or process that the answer leaves out.
pub(super) const ABSENT: u32 = u32::MAX;

/// A segment, with the places of its slots and processes in the answer.
pub(super) struct Placed<'a> {
    pub(super) segment: &'a Segment,
    /// By slot of the segment: the slot of the answer.
    pub(super) slots: Vec<u32>,
    /// By slot of the segment: whether it is within the window.
    pub(super) window: Vec<bool>,
    /// By process of the dictionary: its index in the answer.
    pub(super) processes: Vec<u32>,
}

impl<'a> Placed<'a> {
    /// Places the slots; the processes are for the caller to place. `None` if no slot is in the answer.
    pub(super) fn new(segment: &'a Segment, plan: &Plan, window: &Range<u64>) -> Option<Self> {
        let length = segment.key.resolution.seconds();
        let starts = (0..segment.coverage.len() as u64)
            .map(|slot| segment.key.start + slot * length)
            .collect::<Vec<u64>>();
        let place = |start: &u64| match plan.slot_of(*start) {
            Some(slot) if plan.allows(&(*start..*start + length)) => slot as u32,
            _ => ABSENT,
        };
        let slots: Vec<u32> = starts.iter().map(place).collect();
        if slots.iter().all(|slot| *slot == ABSENT) {
            return None;
        }
        Some(Self {
            segment,
            slots,
            window: starts.iter().map(|start| window.contains(start)).collect(),
            processes: Vec::with_capacity(segment.processes.len()),
        })
    }

    /// Known seconds of each slot, with its place in the answer.
    pub(super) fn covered(&self) -> impl Iterator<Item = (u32, u64)> {
        let resolution = self.segment.key.resolution;
        let unit = resolution.seconds() / u64::from(resolution.sub_slots());
        let seconds = self.segment.coverage.iter();
        let seconds = seconds.map(move |coverage| u64::from(coverage.count()) * unit);
        self.slots.iter().copied().zip(seconds)
    }
}
