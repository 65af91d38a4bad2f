//! What a process did before anything told which container it is in.
//!
//! Lists of before the end of 2014 do not tell it, and captures that begin in the middle have no
//! list. The first fork of the process tells it, and then what it did until then is charged.

use std::sync::Arc;

use super::account::Account;
use super::io::{self, Done};
use super::state::descriptor::{Asked, What};
use super::state::thread::{Owner, Process};
use crate::sink::Sink;

/// Most that is held of one process, and of all.
const OF_PROCESS: usize = 1_024;
const OF_ALL: usize = 65_536;

/// Something that is held.
#[derive(Debug)]
pub(super) struct Held {
    thread: u32,
    at: u64,
    did: Did,
}

/// What was done.
#[derive(Debug)]
pub(super) enum Did {
    /// With a descriptor.
    Io(Arc<What>, Done),
    /// CPU time on a core, in ns.
    Cpu(u32, u64),
}

impl Account {
    /// Whether it is yet to be told in which container a thread is.
    pub(super) fn is_untold(&mut self, thread: u32) -> bool {
        let untold = |process: &Process| !process.placed && process.held.len() < OF_PROCESS;
        !self.containers.options.host
            && self.held < OF_ALL
            && self.state.both(thread).is_some_and(|(_, it)| untold(it))
    }

    /// Keeps what a thread did, of which [`Self::is_untold`] is true.
    pub(super) fn hold(&mut self, thread: u32, at: u64, did: Did) {
        if let Some((_, process)) = self.state.both(thread) {
            process.held.push(Held { thread, at, did });
            self.held += 1;
        }
    }

    /// Lets go of what is held: the process has become something else, and what it was before is
    /// not told.
    pub(super) fn forget_held(&mut self, thread: u32) {
        if let Some((_, process)) = self.state.both(thread) {
            let held = std::mem::take(&mut process.held);
            self.held = self.held.saturating_sub(held.len());
        }
    }

    /// Charges what the process of a thread did until it was told where it is.
    pub(super) fn charge_held<S: Sink>(&mut self, thread: u32, sink: &mut S) {
        let Some((_, process)) = self.state.both(thread) else {
            return;
        };
        for Held { thread, at, did } in std::mem::take(&mut process.held) {
            self.held = self.held.saturating_sub(1);
            let owner = self.owner(thread, at, sink);
            match (did, owner) {
                (Did::Io(what, done), owner) => {
                    io::charge(owner, at, &what, &mut Asked::default(), done, sink);
                }
                (Did::Cpu(core, ns), Owner::Process { process, .. }) => {
                    sink.cpu(at, process, core, ns);
                }
                (Did::Cpu(..), Owner::Nobody) => {}
            }
        }
    }
}
