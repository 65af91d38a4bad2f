//! How many processes the folded rows stand for.

use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use bubble_common::segment::Resolution;
use bubble_common::segment::census::{Census, begins, bounds};
use bubble_common::segment::process::Process;

use super::Ledger;
use super::placed::{ABSENT, Placed};

/// The census of one segment, of its slots within the window.
struct Part<'p, 'a> {
    placed: &'p Placed<'a>,
    span: Range<u64>,
    census: Census,
}

impl Part<'_, '_> {
    /// Whether it has the second `at` in the window, and knows how many processes of this name
    /// began in it.
    fn knows(&self, at: u64, name: &str) -> bool {
        let segment = self.placed.segment;
        let slot = (at.saturating_sub(self.span.start) / segment.key.resolution.seconds()) as usize;
        self.span.contains(&at)
            && self.placed.is_in_window(slot)
            && !segment.coverage[slot].is_gap()
            && self.census.knows(name)
    }
}

impl Ledger<'_> {
    /// Sets the counts of the folded rows.
    pub(super) fn count_folded(&mut self) {
        let folded: HashSet<String> = (self.processes.iter())
            .filter(|row| row.process.is_folded())
            .map(|row| row.process.name.clone())
            .collect();
        if folded.is_empty() {
            return;
        }
        let names: HashSet<&str> = folded.iter().map(String::as_str).collect();
        let census = self.census();
        let since = self.counted_since();
        let bounds = self.bounds();
        for (index, row) in (0..).zip(&mut self.processes) {
            if !row.process.is_folded() {
                continue;
            }
            let is_one_second = is_in_one_second(&self.segments, index);
            let bound = bounds.get(&index).copied().unwrap_or(0);
            // Otherwise some of its processes may have rows of their own in other segments.
            row.is_count_exact = is_one_second && bound == row.process.count;
            row.process.count = bound;
            let Some(count) = census.count(&row.process.name, &names, since) else {
                continue;
            };
            if count.known > 0 {
                row.present = true;
            }
            let known = u32::try_from(count.known).unwrap_or(u32::MAX);
            row.is_count_exact |= count.is_exact;
            row.process.count = match count.is_exact {
                true => known,
                false => bound.max(known),
            };
        }
    }

    /// Lower bounds of the counts of folded rows, from the segments that are within the window as a
    /// whole.
    fn bounds(&self) -> BTreeMap<u32, u32> {
        let whole: Vec<&Process> = self.processes.iter().map(|row| &row.process).collect();
        let parts = self.segments.iter().filter(|placed| placed.is_whole());
        bounds(
            &whole,
            parts.map(|placed| (&placed.segment.processes[..], &placed.processes[..])),
        )
    }

    /// The first known second of the window, if there is no gap after it.
    fn counted_since(&self) -> Option<u64> {
        let known = |placed: &Placed<'_>| {
            let segment = placed.segment;
            let length = segment.key.resolution.seconds();
            let unit = length / u64::from(segment.key.resolution.sub_slots());
            let mut slots = (segment.key.start..)
                .step_by(length as usize)
                .zip(&segment.coverage);
            let (start, coverage) = slots
                .by_ref()
                .enumerate()
                .find(|(slot, (_, coverage))| !coverage.is_gap() && placed.is_in_window(*slot))
                .map(|(_, found)| found)?;
            Some(start + u64::from(coverage.0.trailing_zeros()) * unit)
        };
        let first = self.covered.iter().position(|seconds| *seconds > 0)?;
        let last = self.covered.iter().rposition(|seconds| *seconds > 0)?;
        let inner = self.covered.get(first + 1..last).unwrap_or_default();
        let is_whole = inner.iter().all(|seconds| *seconds == self.plan.step);
        let since = self.segments.iter().filter_map(known).min();
        since.filter(|_| is_whole)
    }

    /// The census of all segments within the window.
    fn census(&self) -> Census {
        let mut whole = Census::default();
        let mut parts = Vec::new();
        for placed in &self.segments {
            let mut census = Census::default();
            for cell in &placed.segment.totals {
                if placed.is_in_window(cell.slot as usize) && census.add(cell) {
                    whole.add(cell);
                }
            }
            if !census.is_empty() {
                parts.push(Part {
                    placed,
                    span: placed.segment.key.start..placed.segment.end(),
                    census,
                });
            }
        }
        let mut own: Vec<&Process> = (self.processes.iter())
            .map(|row| &row.process)
            .filter(|process| !process.is_folded() && whole.knows(&process.name))
            .collect();
        own.sort_by_key(|process| process.id);
        for (process, begin) in own.iter().zip(begins(&own)) {
            let at = begin.map(|begin| begin / 1_000_000_000);
            if at.is_some_and(|at| parts.iter().any(|part| part.knows(at, &process.name))) {
                whole.add_own(&process.name);
            }
        }
        whole
    }
}

/// Whether a row occurs in one segment only, of one second within the window.
fn is_in_one_second(segments: &[Placed<'_>], process: u32) -> bool {
    let with = |placed: &&Placed<'_>| placed.processes.contains(&process);
    let mut segments = segments.iter().filter(with);
    let is_second = |placed: &Placed<'_>| {
        placed.segment.key.resolution == Resolution::Second && placed.segment.slots() == 1
    };
    let first = segments.next();
    first.is_some_and(|first| is_second(first) && first.is_whole()) && segments.next().is_none()
}

impl Placed<'_> {
    /// Whether all of its slots that are not gaps are in the answer, and within the window.
    fn is_whole(&self) -> bool {
        let mut slots = self.segment.coverage.iter().enumerate();
        slots.all(|(slot, coverage)| coverage.is_gap() || self.is_in_window(slot))
    }

    /// Whether a slot of the segment is in the answer, and within the window.
    fn is_in_window(&self, slot: usize) -> bool {
        self.window[slot] && self.slots[slot] != ABSENT
    }
}
