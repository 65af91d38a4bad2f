//! Swept recordings, which are swept once more after a delay.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bubble_common::segment::{ContainerId, SourceId};

/// Longer than packing can take, or is waited for.
pub(super) const SWEEP_DELAY: Duration = Duration::from_secs(60);

/// Recordings that were swept once.
pub(super) struct Swept {
    delay: Duration,
    past: Mutex<Vec<Past>>,
}

pub(super) struct Past {
    pub(super) at: Instant,
    pub(super) id: SourceId,
    pub(super) parts: Vec<(ContainerId, SourceId)>,
}

impl Swept {
    /// An empty list, with the delay before the second sweep.
    pub(super) fn new(delay: Duration) -> Self {
        Self {
            delay,
            past: Mutex::default(),
        }
    }

    pub(super) fn add(&self, past: Past) {
        let mut all = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        all.push(past);
    }

    /// Removes and returns the recordings whose second sweep is due.
    pub(super) fn due(&self) -> Vec<Past> {
        let mut all = self.past.lock().unwrap_or_else(PoisonError::into_inner);
        let due = all.extract_if(.., |past| past.at.elapsed() >= self.delay);
        due.collect()
    }
}
