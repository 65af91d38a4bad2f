//! What a concern is given when it passes on what it found: the moment, whom to
//! ask whose a sum is, and the sink.

use bubble_common::kernel::process::ProcessKey;

use super::cgroup::Ignored;
use super::process::{Owner, Processes};
use crate::sink::Sink;
use crate::source::Host;

/// One turn of a poll or a drain.
pub struct Turn<'a, 'h, S> {
    /// To which moment sums are charged: ns since the Unix epoch.
    pub at: u64,
    /// The processes that are known.
    pub processes: &'a mut Processes,
    /// The cgroups that are left out.
    pub ignored: &'a mut Ignored,
    /// The host's clock and containers.
    pub host: &'a mut Host<'h>,
    /// Where everything goes.
    pub sink: &'a mut S,
}

impl<S: Sink> Turn<'_, '_, S> {
    /// Whose a sum under this key is; nothing for what is not in a container.
    pub fn owner(&mut self, key: &ProcessKey) -> Option<Owner> {
        if let Some(owner) = self.processes.known(key) {
            return Some(owner);
        }
        let container = self.container(key.cgroup)?;
        let start = self.host.clock.of_boot(key.start);
        Some(self.processes.meet(key, start, container, self.sink))
    }

    /// The container of a cgroup; the kernel is told to leave it out when there is none.
    pub fn container(&mut self, cgroup: u64) -> Option<crate::sink::ContainerHandle> {
        let container = self.host.containers.of_cgroup(self.at, cgroup, self.sink);
        if container.is_none() {
            self.ignored.add(cgroup);
        }
        container
    }
}
