//! Where the time went: running, and waiting by what was waited for.

use std::collections::BTreeMap;

use bubble_common::segment::wait::{KINDS, NAMES, UNIT, Waits};
use serde::Serialize;

use super::gaps::{Gaps, percent_of_known};
use super::ledger::Ledger;

/// Name of the state in which a thread runs.
const RUNNING: &str = "running";

/// The time budget: what the threads of all processes did, in percent of one thread. Together the
/// states are the number of threads times 100.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct TimePanel {
    /// Whether waits were counted at all. If not, only `running` is known.
    pub waits_known: bool,
    /// `running`, and every state in which somebody waited, in a fixed order: `core` (for a core),
    /// `disk`, `network`, `lock`, `events`, `child`, `sleep`, `pipe`, `stopped`, `other`.
    pub states: Vec<StateSeries>,
}

/// A state by slot.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct StateSeries {
    /// Its name.
    pub state: &'static str,
    /// Sum over all slots, ns of thread-time.
    pub ns: u64,
    /// Percent of one thread by slot; null in gaps, and for waits where nobody counted them.
    pub values: Vec<Option<f64>>,
}

impl TimePanel {
    pub(super) fn new(ledger: &Ledger<'_>, gaps: &Gaps<'_>) -> Self {
        let series = |state, ns: &[u64], values| StateSeries {
            state,
            ns: ns.iter().fold(0, |sum, ns| sum.saturating_add(*ns)),
            values,
        };
        let running = gaps.percent(&ledger.cpu);
        let mut states = vec![series(RUNNING, &ledger.cpu, running)];
        for (kind, name) in NAMES.into_iter().enumerate() {
            let ns = ledger.waits.iter().map(|waits| nanoseconds(waits)[kind]);
            let ns: Vec<u64> = ns.collect();
            if ns.iter().any(|ns| *ns > 0) {
                let values = percent_of_known(&ns, &ledger.wait_covered);
                states.push(series(name, &ns, values));
            }
        }
        Self {
            waits_known: !ledger.waits.is_empty(),
            states,
        }
    }
}

/// The waits by kind, ns.
fn nanoseconds(waits: &Waits) -> [u64; KINDS] {
    waits.columns().map(|wait| wait.saturating_mul(UNIT))
}

/// The kinds of waits that are not zero, ns.
pub(super) fn waits_by_name(waits: &Waits) -> BTreeMap<&'static str, u64> {
    let kinds = NAMES.into_iter().zip(nanoseconds(waits));
    kinds.filter(|(_, ns)| *ns > 0).collect()
}

/// The kinds in which nobody does anything until something comes. The others are waits for something that
/// was asked for.
const IDLE: [&str; 4] = ["events", "sleep", "child", "stopped"];

/// Waits for something that was asked for: a core, a disk, a peer, a lock, a pipe. In ns.
pub(super) fn held_up(waits: &BTreeMap<&'static str, u64>) -> u64 {
    let held = waits.iter().filter(|(name, _)| !IDLE.contains(name));
    held.fold(0, |sum, (_, ns)| sum.saturating_add(*ns))
}
