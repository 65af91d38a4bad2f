//! A piece of what is united.

use super::Segment;

/// A piece, and where its slots go.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) segment: &'a Segment,
    /// For each slot of the piece the slot of the whole; `None` leaves it out. Ascending;
    /// several slots may go to one.
    pub(super) targets: Vec<Option<u32>>,
}

impl Part<'_> {
    /// Whether all slots that are not gaps go into the whole.
    pub(super) fn is_whole(&self) -> bool {
        let mut slots = self.targets.iter().zip(&self.segment.coverage);
        slots.all(|(target, coverage)| target.is_some() || coverage.is_gap())
    }
}
