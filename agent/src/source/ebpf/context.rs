//! What a concern needs to pass its sums on: the moment, the owners of sums, the sink.

use bubble_common::kernel::key::ProcessKey;

use super::cgroup::Ignored;
use super::process::table::{Owner, Processes};
use crate::sink::Sink;
use crate::source::Host;

/// The context of one poll or drain.
pub struct Context<'a, 'h, S> {
    /// The moment that sums are charged to: ns since the Unix epoch.
    pub at: u64,
    /// The known processes.
    pub processes: &'a mut Processes,
    /// The cgroups that are not counted.
    pub ignored: &'a mut Ignored,
    /// The host's clock and containers.
    pub host: &'a mut Host<'h>,
    /// Receives all figures.
    pub sink: &'a mut S,
}

impl<S: Sink> Context<'_, '_, S> {
    /// The owner of a sum. `None` when its process is not in a container.
    pub fn owner(&mut self, key: &ProcessKey) -> Option<Owner> {
        if let Some(owner) = self.processes.touch(key) {
            return Some(owner);
        }
        let container = self.container(key.cgroup)?;
        let start = self.host.clock.of_boot(key.start);
        Some(
            self.processes
                .insert_unrecorded(key, start, container, self.sink),
        )
    }

    /// Drops what is known of containers and cgroups that are gone. Their late sums are counted
    /// anew.
    pub fn forget(&mut self) {
        let forgotten = self.host.containers.take_forgotten();
        for (container, at) in forgotten.containers {
            self.processes.release(container, at, self.sink);
        }
        for cgroup in forgotten.cgroups {
            self.ignored.remove(cgroup);
        }
    }

    /// The container of a cgroup. Makes the kernel ignore the cgroups of the host.
    pub fn container(&mut self, cgroup: u64) -> Option<crate::sink::ContainerHandle> {
        let container = self.host.containers.of_cgroup(self.at, cgroup, self.sink);
        if container.is_none() && !self.host.containers.is_unknown(cgroup) {
            self.ignored.add(cgroup);
        }
        container
    }
}
