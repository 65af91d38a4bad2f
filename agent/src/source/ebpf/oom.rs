//! Out-of-memory kills.

use bubble_common::kernel::record::Header;
use bubble_common::segment::event::EventKind;

use super::context::Context;
use super::hook::{Attach, Family, Hook};
use crate::sink::Sink;

/// Hooks that report them.
pub const HOOKS: &[Hook] = &[Hook {
    program: "oom_kill",
    attach: Attach::Tracepoint("mark_victim"),
    family: Family::Both,
    gives: "out-of-memory kills",
    needs: "the tracepoint mark_victim",
    fallback: "only their count by cgroup is seen",
    required: false,
    unless: None,
    instead: None,
}];

impl<S: Sink> Context<'_, '_, S> {
    /// Takes in that the kernel is about to kill a process.
    pub fn oom(&mut self, header: &Header) {
        // Before 6.8 the kernel reports only a pid.
        let key = if header.process.cgroup != 0 {
            header.process
        } else {
            match self.processes.newest(header.process.pid) {
                Some(key) => key,
                None => return,
            }
        };
        if let Some(owner) = self.owner(&key) {
            let at = self.host.clock.of_boot(header.at);
            self.sink.event(
                at,
                owner.container,
                EventKind::OOM_KILL,
                Some(owner.process),
                "",
            );
        }
    }
}
