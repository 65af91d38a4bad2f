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
    /// The sums are of a time without an agent.
    pub is_late: bool,
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
        self.processes.touch(key).or_else(|| self.insert_owner(key))
    }

    /// Like [`Self::owner`], of a process that need not have been active.
    pub fn idle_owner(&mut self, key: &ProcessKey) -> Option<Owner> {
        self.processes.owner(key).or_else(|| self.insert_owner(key))
    }

    fn insert_owner(&mut self, key: &ProcessKey) -> Option<Owner> {
        let container = self.container(key.cgroup)?;
        let start = self.host.clock.of_boot(key.start);
        Some(
            self.processes
                .insert_unrecorded(key, start, container, self.sink),
        )
    }

    /// The moment that sums of a cgroup are charged to: if it was removed while no agent ran, that of its
    /// removal, as nothing happens in a container after its end.
    pub fn at_of(&self, cgroup: u64) -> u64 {
        let removed = self.host.containers.removed_at(cgroup);
        removed
            .filter(|_| self.is_late)
            .map_or(self.at, |removed| removed.min(self.at))
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
