//! Totals of rows, independent of how they are packed. They compare a copy with its source.

use std::collections::BTreeMap;
use std::fmt;

use bubble_common::segment::SourceId;
use bubble_common::segment::merge::MergeError;

use crate::span::activity::activity;
use crate::span::row::Piece;
use crate::span::unite::unite;

/// Totals of rows.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Total {
    /// Slots that are not gaps.
    pub slots: u64,
    /// CPU time, ns.
    pub cpu_ns: u64,
    /// Bytes read from files and received.
    pub bytes_in: u64,
    /// Bytes written to files and sent.
    pub bytes_out: u64,
}

impl Total {
    /// Adds another total.
    pub fn add(&mut self, other: &Self) {
        self.slots += other.slots;
        self.cpu_ns = self.cpu_ns.saturating_add(other.cpu_ns);
        self.bytes_in = self.bytes_in.saturating_add(other.bytes_in);
        self.bytes_out = self.bytes_out.saturating_add(other.bytes_out);
    }
}

impl fmt::Display for Total {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            slots,
            cpu_ns,
            bytes_in,
            bytes_out,
        } = self;
        write!(
            f,
            "{slots} slots, {cpu_ns} ns of CPU, {bytes_in} bytes in, {bytes_out} out"
        )
    }
}

/// Adds up rows of one container and resolution, counting each slot of each source once.
pub(super) fn total(pieces: Vec<Piece>) -> Result<Total, MergeError> {
    let mut groups: BTreeMap<(u64, SourceId), Vec<Piece>> = BTreeMap::new();
    for piece in pieces {
        let key = &piece.segment.key;
        let span = (key.resolution.packed_start(key.start), key.source);
        groups.entry(span).or_default().push(piece);
    }
    let mut total = Total::default();
    for group in groups.into_values() {
        let united = unite(&group)?;
        let sums = activity(&united);
        total.add(&Total {
            slots: united.coverage.iter().filter(|c| !c.is_gap()).count() as u64,
            cpu_ns: sums.cpu_ns,
            bytes_in: sums.bytes_in,
            bytes_out: sums.bytes_out,
        });
    }
    Ok(total)
}
