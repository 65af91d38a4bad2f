//! What was counted, but will not reach the server: it becomes a loss in the data.
//!
//! The spool notes it, and the counting thread takes it at the end of the next second.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use bubble_common::segment::loss::Reason;
use bubble_common::segment::{ContainerId, Segment};

/// Maximum number of containers that are told apart until the next second. The seconds of others
/// count as those of any container.
const MAX_CONTAINERS: usize = 4_096;

/// Reasons for which seconds are given up.
const REASONS: [Reason; 3] = [Reason::SPOOL_FULL, Reason::SPOOL_DAMAGED, Reason::REFUSED];

/// The container, if it is known, and the reason.
type Kind = (Option<ContainerId>, Reason);

/// Seconds that were counted and given up. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Undelivered(Arc<Mutex<BTreeMap<Kind, u64>>>);

impl Undelivered {
    /// Notes `seconds` seconds, of one container or of any.
    pub fn add(&self, container: Option<&ContainerId>, reason: Reason, seconds: u64) {
        if seconds == 0 {
            return;
        }
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let known = container.filter(|_| noted.len() < MAX_CONTAINERS);
        let sum = noted.entry((known.cloned(), reason)).or_default();
        *sum = sum.saturating_add(seconds);
    }

    /// Notes again the losses that segments were to tell, as these are given up.
    pub fn add_told(&self, segments: &[Segment]) {
        for segment in segments {
            for loss in &segment.losses {
                let reason = Reason(loss.row.0);
                if REASONS.contains(&reason) {
                    self.add(Some(&segment.key.container), reason, loss.value.count);
                }
            }
        }
    }

    /// Takes what was noted since the last call.
    pub fn take(&self) -> Vec<(Kind, u64)> {
        let mut noted = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *noted).into_iter().collect()
    }
}

/// Number of seconds that a segment of seconds or minutes covers. The agent makes no coarser ones.
pub fn covered_seconds(segment: &Segment) -> u64 {
    let coverage = segment.coverage.iter();
    coverage.map(|coverage| u64::from(coverage.count())).sum()
}
