//! The whole life of a container, for the bar of time.

use bubble_common::segment::facts;
use serde::Serialize;

use super::gaps::Gaps;
use super::ledger::Ledger;
use super::range::Plan;
use crate::store::container::Container;

/// A container's life, in at most 600 slots.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Life {
    /// Start of the first slot, seconds since the Unix epoch.
    pub first: f64,
    /// End of the last slot.
    pub last: f64,
    /// Length of a slot in seconds.
    pub step: u64,
    /// CPU in percent of one core; null in gaps.
    pub cpu: Vec<Option<f64>>,
    /// The known part of each slot, 0 to 1.
    pub covered: Vec<f64>,
    /// Events of the container.
    pub marks: Vec<Mark>,
}

/// An event of a container.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Mark {
    /// When, seconds since the Unix epoch.
    pub at: f64,
    /// `container_start`, `container_end`, `oom_kill`.
    pub kind: &'static str,
}

impl Life {
    /// Number of slots at most.
    pub const MAX_SLOTS: u64 = 600;

    /// Makes the answer from `ledger`.
    pub fn new(container: &Container, plan: &Plan, ledger: &Ledger<'_>) -> Self {
        let gaps = Gaps::new(plan, ledger);
        let kinds = ["container_start", "container_end", "oom_kill"];
        let mut marks: Vec<Mark> = ledger
            .events
            .iter()
            .filter(|(event, _)| kinds.contains(&event.kind.name()))
            .map(|(event, _)| Mark {
                at: event.at as f64 / 1e9,
                kind: event.kind.name(),
            })
            .collect();
        for (fact, kind) in [(facts::STARTED, kinds[0]), (facts::ENDED, kinds[1])] {
            let at = container.number(fact).map(|ns| ns as f64 / 1e9);
            // The event has the same time, give or take.
            let is_marked = |at: f64| {
                marks
                    .iter()
                    .any(|mark| mark.kind == kind && (mark.at - at).abs() < 1.0)
            };
            if let Some(at) = at.filter(|at| !is_marked(*at)) {
                marks.push(Mark { at, kind });
            }
        }
        marks.retain(|mark| plan.allows(&(mark.at as u64..mark.at as u64 + 1)));
        marks.sort_by(|a, b| a.at.total_cmp(&b.at));
        Self {
            first: plan.span.start as f64,
            last: plan.span.end as f64,
            step: plan.step,
            cpu: gaps.percent(&ledger.cpu),
            covered: gaps.covered(),
            marks,
        }
    }
}
