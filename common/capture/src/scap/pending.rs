//! Activity of a process before its container is known.
//!
//! Lists of before the end of 2014 lack the container, and captures that begin in the middle have
//! no list. The first fork of the process has it; then the pending activity is charged.

use std::sync::Arc;

use crate::recording::io::{Operation, Resource};

/// Most pending activities of one process.
const MAX_OF_PROCESS: usize = 1_024;
/// Most pending activities of all processes.
const MAX_IN_ALL: usize = 65_536;

/// An activity that waits for its container.
#[derive(Debug)]
pub(super) struct Pending {
    /// The key of the thread.
    pub(super) thread: u32,
    pub(super) at: u64,
    pub(super) activity: Activity,
}

/// An activity of a thread.
#[derive(Debug)]
pub(super) enum Activity {
    /// It used a descriptor.
    Io(Arc<Resource>, Operation),
    /// It used CPU time.
    Cpu { core: u32, ns: u64 },
}

impl Pending {
    /// The bytes that it moved.
    pub(super) fn bytes(&self) -> u64 {
        match &self.activity {
            Activity::Io(_, operation) => operation.bytes(),
            Activity::Cpu { .. } => 0,
        }
    }
}

/// How many activities are pending, in all processes.
#[derive(Debug, Default)]
pub(super) struct PendingCount(usize);

impl PendingCount {
    /// Whether a process with these pending activities may defer one more.
    pub(super) fn has_room(&self, pending: &[Pending]) -> bool {
        self.0 < MAX_IN_ALL && pending.len() < MAX_OF_PROCESS
    }

    /// Adds an activity to those of a process.
    pub(super) fn push(&mut self, pending: &mut Vec<Pending>, activity: Pending) {
        pending.push(activity);
        self.0 += 1;
    }

    /// Takes all pending activities of a process.
    pub(super) fn take(&mut self, pending: &mut Vec<Pending>) -> Vec<Pending> {
        self.0 = self.0.saturating_sub(pending.len());
        std::mem::take(pending)
    }
}
