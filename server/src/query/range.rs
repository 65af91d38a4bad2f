//! The slots that answer a query: their resolution, their length, their start and end.

use std::ops::Range;

use bubble_common::segment::{Resolution, Segment};
use serde::Serialize;

use crate::span::retention::Retention;

/// Slots in an answer at most.
pub const MAX_SLOTS: u64 = 2_000;

/// Round steps, in slots of a resolution.
const ROUND_STEPS: [u64; 12] = [1, 2, 3, 5, 6, 10, 12, 15, 20, 30, 60, 120];

/// The slots of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Resolution of the segments to read.
    pub resolution: Resolution,
    /// Length of a slot of the answer, in seconds: a multiple of the resolution.
    pub step: u64,
    /// From the start of the first slot to the end of the last; seconds since the Unix epoch.
    pub span: Range<u64>,
    /// Only stored slots that lie within this are read, although `span` may be a little longer.
    pub within: Option<Range<u64>>,
}

/// Input of a plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Seconds since the Unix epoch.
    pub span: Range<u64>,
    /// Length of a slot in seconds; `None` to choose it.
    pub step: Option<u64>,
    /// Slots at most.
    pub slots: u64,
    /// When the container was first seen live: nothing from before can have expired.
    pub live_since: u64,
    /// When the container was last seen.
    pub last_seen: u64,
    /// Seconds since the Unix epoch.
    pub now: u64,
    /// The range that may be shown, if not all may.
    pub within: Option<Range<u64>>,
}

/// The slots of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RangeInfo {
    /// Start of the first slot, seconds since the Unix epoch.
    pub from: f64,
    /// End of the last slot.
    pub to: f64,
    /// Length of a slot in seconds.
    pub step: u64,
    /// Resolution that was read: `second`, `minute`, `hour`, `day`.
    pub resolution: &'static str,
    /// Number of slots, at most 2,000.
    pub slots: u64,
}

impl Plan {
    /// Chooses the finest slots that are still stored and not too many.
    pub fn new(question: &Question, retention: &Retention) -> Self {
        let Question {
            span, slots, now, ..
        } = question;
        let slots = (*slots).clamp(1, MAX_SLOTS);
        let length = span.end.saturating_sub(span.start).max(1);
        let oldest = span.start.max(question.live_since.min(*now));
        let last_seen = question.last_seen;
        let stored =
            |resolution: &Resolution| retention.holds(*resolution, oldest, last_seen, *now);
        // Bounds the number of slots that are read.
        let few = |resolution: &Resolution| {
            let limit = Segment::MAX_SLOTS.min(slots.saturating_mul(3));
            length.div_ceil(resolution.seconds()) <= limit
        };
        let fine = |resolution: &Resolution| {
            question
                .step
                .is_none_or(|step| resolution.seconds() <= step.max(1))
        };
        // Slots that reach beyond the range are not read.
        let fits = |resolution: &Resolution| {
            let unit = resolution.seconds();
            let bounds = question
                .within
                .as_ref()
                .map(|within| [within.start, within.end]);
            let is_whole = |bound: u64| bound.is_multiple_of(unit);
            bounds.is_none_or(|bounds| bounds.into_iter().all(is_whole))
        };
        let is_good = |resolution: &Resolution| {
            fine(resolution) && stored(resolution) && few(resolution) && fits(resolution)
        };
        let resolution = match question.step {
            // The coarsest resolution with this step: finer ones take more reading.
            Some(_) => Resolution::ALL.into_iter().rev().find(is_good),
            None => None,
        };
        let resolution = resolution
            .or_else(|| {
                Resolution::ALL
                    .into_iter()
                    .find(|resolution| stored(resolution) && few(resolution))
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
            ROUND_STEPS
                .into_iter()
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
            within: question.within.clone(),
        }
    }

    /// Whether all of the seconds `of` may be shown.
    pub fn allows(&self, of: &Range<u64>) -> bool {
        let Some(within) = &self.within else {
            return true;
        };
        within.start <= of.start && of.end <= within.end
    }

    /// The part of `window` that may be shown; an empty range if nothing may.
    pub fn allowed(&self, window: Range<u64>) -> Range<u64> {
        let Some(within) = &self.within else {
            return window;
        };
        let start = window.start.max(within.start);
        start..window.end.min(within.end).max(start)
    }

    /// Number of slots of the answer.
    pub fn slots(&self) -> usize {
        ((self.span.end - self.span.start) / self.step) as usize
    }

    /// The slot that contains `at`.
    pub fn slot_of(&self, at: u64) -> Option<usize> {
        self.span
            .contains(&at)
            .then(|| ((at - self.span.start) / self.step) as usize)
    }
}

impl RangeInfo {
    /// The slots of `plan`.
    pub fn new(plan: &Plan) -> Self {
        Self {
            from: plan.span.start as f64,
            to: plan.span.end as f64,
            step: plan.step,
            resolution: plan.resolution.name(),
            slots: plan.slots() as u64,
        }
    }
}
