//! Which slots answer a question: resolution, step, and where they begin and end.

use std::ops::Range;

use bubble_common::segment::{Resolution, Segment};

use crate::rollup::retention::Retention;

/// At most so many slots in an answer.
pub const MAX_SLOTS: u64 = 2_000;

/// Steps that people know, in slots of a resolution.
const NICE: [u64; 12] = [1, 2, 3, 5, 6, 10, 12, 15, 20, 30, 60, 120];

/// The slots of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The resolution of the segments that are read.
    pub resolution: Resolution,
    /// Length of a slot of the answer, in seconds: a multiple of the resolution.
    pub step: u64,
    /// From the start of the first slot to the end of the last; seconds since the Unix epoch.
    pub span: Range<u64>,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Seconds since the Unix epoch.
    pub span: Range<u64>,
    /// A step in seconds; none to have it chosen.
    pub step: Option<u64>,
    /// At most so many slots.
    pub slots: u64,
    /// Since when the container was seen live: before that nothing can have expired.
    pub live_since: u64,
    /// Seconds since the Unix epoch.
    pub now: u64,
}

impl Plan {
    /// The finest slots that are still there and not too many.
    pub fn new(question: &Question, retention: &Retention) -> Self {
        let Question {
            span, slots, now, ..
        } = question;
        let slots = (*slots).clamp(1, MAX_SLOTS);
        let length = span.end.saturating_sub(span.start).max(1);
        let oldest = span.start.max(question.live_since.min(*now));
        let there = |resolution: &Resolution| retention.holds(*resolution, oldest, *now);
        // Each resolution has what is read, and what that costs, within bounds.
        let few = |resolution: &Resolution| {
            let limit = Segment::MAX_SLOTS.min(slots.saturating_mul(3));
            length.div_ceil(resolution.seconds()) <= limit
        };
        let fine = |resolution: &Resolution| {
            question
                .step
                .is_none_or(|step| resolution.seconds() <= step.max(1))
        };
        let resolution = match question.step {
            // The coarsest that still has this step; finer only costs more.
            Some(_) => Resolution::ALL
                .into_iter()
                .rev()
                .find(|resolution| fine(resolution) && there(resolution) && few(resolution)),
            None => None,
        };
        let resolution = resolution
            .or_else(|| {
                Resolution::ALL
                    .into_iter()
                    .find(|resolution| there(resolution) && few(resolution))
            })
            .unwrap_or(Resolution::Day);
        let unit = resolution.seconds();
        let asked = question.step.unwrap_or(1).div_ceil(unit).max(1);
        let units = length.div_ceil(unit);
        // Rounding outwards to whole steps may add a slot.
        let least = match units.div_ceil(asked) > slots {
            true => units.div_ceil(slots.saturating_sub(1).max(1)),
            false => asked,
        };
        let factor = if least == asked {
            asked
        } else {
            NICE.into_iter()
                .find(|factor| *factor >= least)
                .unwrap_or(least)
        };
        let step = unit * factor;
        let start = span.start - span.start % step;
        let count = (span.end.max(span.start + 1) - start).div_ceil(step);
        Self {
            resolution,
            step,
            span: start..start + count * step,
        }
    }

    /// Number of slots of the answer.
    pub fn slots(&self) -> usize {
        ((self.span.end - self.span.start) / self.step) as usize
    }

    /// The slot of the answer that holds `at`.
    pub fn slot_of(&self, at: u64) -> Option<usize> {
        self.span
            .contains(&at)
            .then(|| ((at - self.span.start) / self.step) as usize)
    }
}
