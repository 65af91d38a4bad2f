//! The processes that descend from one, as a container without a cgroup.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::total::Metric;

use crate::container::rule::Found;
use crate::container::{HostFacts, describe};
use crate::proc::{ProcessFolder, unless_gone};
use crate::sink::{ContainerHandle, Sink};

/// CPU time of processes that have ended, as wait4(2) tells it, in ns. It is exact for processes of
/// any lifetime.
#[derive(Debug, Default)]
pub struct Waited {
    /// In user mode.
    pub user: AtomicU64,
    /// In the kernel.
    pub system: AtomicU64,
}

/// The processes that descend from one.
#[derive(Debug)]
pub struct Tree {
    /// The process that they descend from, which is not counted itself.
    root: u32,
    found: Found,
    facts: HostFacts,
    waited: Arc<Waited>,
    /// What of `waited` the sink has.
    reported: (u64, u64),
    handle: Option<ContainerHandle>,
    members: HashSet<u32>,
    /// The parent of each process, as last read.
    parents: HashMap<u32, u32>,
    /// Whether the last search has seen all processes.
    is_complete: bool,
}

impl Tree {
    /// The descendants of the process `root`, as the container `found`.
    pub fn new(root: u32, found: Found, facts: HostFacts, waited: Arc<Waited>) -> Self {
        Self {
            root,
            found,
            facts,
            waited,
            reported: (0, 0),
            handle: None,
            members: HashSet::new(),
            parents: HashMap::new(),
            is_complete: true,
        }
    }

    /// Whether a process that is no member may be one, as the last search has not seen all.
    pub(super) fn is_unknown(&self, pid: u32) -> bool {
        !self.is_complete && !self.members.contains(&pid)
    }

    /// The container of a process. `None`: it is not one of them.
    pub(super) fn container(&self, pid: u32) -> Option<ContainerHandle> {
        self.handle.filter(|_| self.members.contains(&pid))
    }

    /// Finds the processes in `proc`, and reports the time of those that have ended.
    pub(super) fn find<S: Sink>(&mut self, proc: &Path, at: u64, sink: &mut S) {
        let handle = *self.handle.get_or_insert_with(|| {
            let handle = sink.container(&self.found.id);
            describe(handle, &self.found, &self.facts, sink);
            handle
        });
        sink.alive(at, handle);
        let user = self.waited.user.load(Ordering::Relaxed);
        let system = self.waited.system.load(Ordering::Relaxed);
        let before = std::mem::replace(&mut self.reported, (user, system));
        for (metric, grown) in [
            (Metric::CPU_USER, user.saturating_sub(before.0)),
            (Metric::CPU_SYSTEM, system.saturating_sub(before.1)),
        ] {
            sink.total(at, handle, metric, grown);
        }
        self.is_complete = true;
        match self.read_parents(proc) {
            Ok(parents) => {
                self.members = descendants(self.root, &parents);
                self.parents = parents;
            }
            // The last members stay.
            Err(error) => self.miss(&error),
        }
        if !self.is_complete {
            sink.loss(
                at,
                Some(handle),
                Reason::UNREADABLE,
                Loss { count: 1, bytes: 0 },
            );
        }
    }

    /// The parent of each process in `proc`. One that cannot be read has its last known parent.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn read_parents(&mut self, proc: &Path) -> io::Result<HashMap<u32, u32>> {
        let mut parents = HashMap::new();
        for entry in fs::read_dir(proc)? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            match unless_gone(ProcessFolder::new(proc, pid).stat()) {
                Ok(stat) => parents.extend(stat.flatten().map(|stat| (pid, stat.parent))),
                Err(error) => match self.parents.get(&pid) {
                    Some(parent) => drop(parents.insert(pid, *parent)),
                    // Those of other users, as the mount option hidepid hides them.
                    None if error.kind() == ErrorKind::PermissionDenied => {}
                    None => self.miss(&error),
                },
            }
        }
        Ok(parents)
    }

    fn miss(&mut self, error: &io::Error) {
        tracing::debug!(%error, "cannot find all processes");
        self.is_complete = false;
    }
}

fn descendants(root: u32, parents: &HashMap<u32, u32>) -> HashSet<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, parent) in parents {
        children.entry(*parent).or_default().push(*pid);
    }
    let mut found = HashSet::new();
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if *child != root && found.insert(*child) {
                open.push(*child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::{HashMap, HashSet};

    use super::descendants;

    #[test]
    fn descendants_are_found_at_any_depth() {
        let parents = HashMap::from([(2, 1), (10, 2), (11, 10), (12, 11), (20, 2), (10_000, 12)]);
        let found = descendants(10, &parents);
        assert_eq!(found, HashSet::from([11, 12, 10_000]));
        // A number that was used again may make a circle.
        let parents = HashMap::from([(10, 12), (11, 10), (12, 11)]);
        assert_eq!(descendants(10, &parents), HashSet::from([11, 12]));
    }
}
