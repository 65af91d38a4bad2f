//! The processes that descend from one, as a container without a cgroup.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io::{self, ErrorKind};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::total::Metric;

use crate::container::rule::Found;
use crate::container::totals::Surroundings;
use crate::container::{HostFacts, describe};
use crate::proc::{ProcessFolder, TICK, unless_gone};
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

/// Tells whether a process of a session runs: [`crate::proc::runs_in_session`], but in tests.
pub(super) type Runs = fn(pid: u32, session: u32) -> bool;

/// The parent of a process, its session and start, and the folder in /proc that they were read from.
#[derive(Debug, Clone, Copy)]
struct Parent {
    pid: u32,
    session: u32,
    start: u64,
    folder: Option<FolderId>,
}

/// Tells the folder of a process in /proc from that of a later process of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FolderId {
    /// Changes if the process runs a program of another user.
    owner: u32,
    /// Changes if the kernel is short of memory, and reads the folder again.
    inode: u64,
}

impl FolderId {
    /// `None` if the folder cannot be looked up.
    fn read(proc: &Path, pid: u32) -> Option<Self> {
        let folder = fs::metadata(proc.join(pid.to_string())).ok()?;
        Some(Self {
            owner: folder.uid(),
            inode: folder.ino(),
        })
    }

    /// Whether it may be the folder of the same process.
    fn may_be(self, other: Self) -> bool {
        self.owner == other.owner || self.inode == other.inode
    }
}

/// The processes that descend from one.
#[derive(Debug)]
pub struct Tree {
    /// The process that they descend from, which is not counted itself.
    root: u32,
    found: Found,
    facts: HostFacts,
    waited: Arc<Waited>,
    /// The CPU time that the sink has: in user mode and in the kernel, ns.
    reported: [u64; 2],
    handle: Option<ContainerHandle>,
    members: HashSet<u32>,
    /// The parent of each process, as last read.
    parents: HashMap<u32, Parent>,
    /// Whether the last search has seen all processes.
    is_complete: bool,
    /// The limits that hold for them.
    surroundings: Surroundings,
}

impl Tree {
    /// The descendants of the process `root`, as the container `found`.
    pub fn new(root: u32, found: Found, facts: HostFacts, waited: Arc<Waited>) -> Self {
        Self {
            root,
            found,
            facts,
            waited,
            reported: [0; 2],
            handle: None,
            members: HashSet::new(),
            parents: HashMap::new(),
            is_complete: true,
            surroundings: Surroundings::default(),
        }
    }

    /// Reports these limits, too.
    #[must_use]
    pub fn within(self, surroundings: Surroundings) -> Self {
        Self {
            surroundings,
            ..self
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
    pub(super) fn find<S: Sink>(&mut self, proc: &Path, runs: Runs, at: u64, sink: &mut S) {
        let handle = *self.handle.get_or_insert_with(|| {
            let handle = sink.container(&self.found.id);
            describe(handle, &self.found, &self.facts, sink);
            handle
        });
        sink.alive(at, handle);
        // Before any process is read: one that ends meanwhile would count twice.
        let waited = [&self.waited.user, &self.waited.system];
        let waited = waited.map(|ns| ns.load(Ordering::Relaxed));
        self.is_complete = true;
        match self.read_parents(proc, runs) {
            Ok(parents) => {
                let members = descendants(self.root, &parents);
                self.members = members.iter().copied().collect();
                self.parents = parents;
                self.report_cpu(proc, waited, &members, at, handle, sink);
            }
            // The last members stay.
            Err(error) => self.miss(&error),
        }
        let limits = self.surroundings.read(|metric, value| {
            sink.total(at, handle, metric, value);
        });
        if let Err(error) = &limits {
            tracing::debug!(%error, "cannot read the limits of this process");
        }
        if !self.is_complete || limits.is_err() {
            sink.loss(
                at,
                Some(handle),
                Reason::UNREADABLE,
                Loss { count: 1, bytes: 0 },
            );
        }
    }

    /// Reports the growth of the CPU time of those that were waited for, and of the members with their
    /// children that they have waited for. It is never more than they used: `members` are read after those
    /// above them, which get the time of one that ends. What is missed now counts later.
    fn report_cpu<S: Sink>(
        &mut self,
        proc: &Path,
        waited: [u64; 2],
        members: &[u32],
        at: u64,
        handle: ContainerHandle,
        sink: &mut S,
    ) {
        let mut sums = waited;
        for pid in members {
            let Ok(Some(stat)) = ProcessFolder::new(proc, *pid).stat() else {
                continue;
            };
            if self
                .parents
                .get(pid)
                .is_some_and(|it| it.start == stat.start)
            {
                for (sum, ticks) in sums.iter_mut().zip([stat.family_user, stat.family_system]) {
                    *sum = sum.saturating_add(ticks.saturating_mul(TICK));
                }
            }
        }
        let metrics = [Metric::CPU_USER, Metric::CPU_SYSTEM];
        for ((metric, now), reported) in metrics.into_iter().zip(sums).zip(&mut self.reported) {
            sink.total(at, handle, metric, now.saturating_sub(*reported));
            *reported = now.max(*reported);
        }
    }

    /// The parent of each process in `proc`. One that cannot be read has its last known parent, or the
    /// root if that has ended.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn read_parents(&mut self, proc: &Path, runs: Runs) -> io::Result<HashMap<u32, Parent>> {
        let mut parents = HashMap::new();
        let mut unread = Vec::new();
        for entry in fs::read_dir(proc)? {
            let name = entry?.file_name();
            let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
                continue;
            };
            match unless_gone(ProcessFolder::new(proc, pid).stat()) {
                Ok(stat) => parents.extend(stat.flatten().map(|stat| {
                    let parent = Parent {
                        pid: stat.parent,
                        session: stat.session,
                        start: stat.start,
                        folder: FolderId::read(proc, pid),
                    };
                    (pid, parent)
                })),
                Err(error) => {
                    let is_hidden = error.kind() == ErrorKind::PermissionDenied;
                    match self.last_parent(proc, pid, is_hidden) {
                        Some(parent) => unread.push((pid, parent)),
                        // Those of other users, as the mount option hidepid=1 hides them.
                        None if is_hidden => {}
                        None => self.miss(&error),
                    }
                }
            }
        }
        // With hidepid=2 they are not even listed.
        for pid in &self.members {
            if !parents.contains_key(pid)
                && unread.iter().all(|(known, _)| known != pid)
                && let Some(last) = self.parents.get(pid)
                && runs(*pid, last.session)
            {
                unread.push((*pid, *last));
            }
        }
        parents.extend(unread.iter().copied());
        for (pid, mut parent) in unread {
            if self.members.contains(&pid) && !parents.contains_key(&parent.pid) {
                // The root has adopted it.
                parent.pid = self.root;
                parents.insert(pid, parent);
            }
        }
        Ok(parents)
    }

    /// The last known parent of a process that cannot be read. `None` if the process is hidden and the
    /// number is that of another process now.
    fn last_parent(&self, proc: &Path, pid: u32, is_hidden: bool) -> Option<Parent> {
        let last = *self.parents.get(&pid)?;
        if !is_hidden {
            return Some(last);
        }
        let folder = FolderId::read(proc, pid)?;
        let is_same = last.folder.is_none_or(|last| folder.may_be(last));
        is_same.then_some(Parent {
            folder: Some(folder),
            ..last
        })
    }

    fn miss(&mut self, error: &io::Error) {
        tracing::debug!(%error, "cannot find all processes");
        self.is_complete = false;
    }
}

/// The processes that descend from `root`, each after its parent.
fn descendants(root: u32, parents: &HashMap<u32, Parent>) -> Vec<u32> {
    let mut children: HashMap<u32, Vec<u32>> = HashMap::new();
    for (pid, parent) in parents {
        children.entry(parent.pid).or_default().push(*pid);
    }
    let mut found = Vec::new();
    let mut known = HashSet::from([root]);
    let mut open = vec![root];
    while let Some(pid) = open.pop() {
        for child in children.get(&pid).into_iter().flatten() {
            if known.insert(*child) {
                found.push(*child);
                open.push(*child);
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::fs;

    use bubble_common::segment::ContainerId;

    use super::{FolderId, Parent, Tree, descendants};
    use crate::container::HostFacts;
    use crate::container::rule::Found;

    fn parents<const N: usize>(of: [(u32, u32); N]) -> HashMap<u32, Parent> {
        let parent = |pid| Parent {
            pid,
            session: 1,
            start: 0,
            folder: None,
        };
        let of = of.into_iter();
        of.map(|(process, pid)| (process, parent(pid))).collect()
    }

    #[test]
    fn descendants_are_found_at_any_depth() {
        let known = parents([(2, 1), (10, 2), (11, 10), (12, 11), (20, 2), (10_000, 12)]);
        assert_eq!(descendants(10, &known), [11, 12, 10_000]);
        // A number that was used again may make a circle.
        let known = parents([(10, 12), (11, 10), (12, 11)]);
        assert_eq!(descendants(10, &known), [11, 12]);
    }

    #[test]
    fn a_hidden_process_keeps_its_parent_unless_its_number_is_of_another() {
        let proc = tempfile::tempdir().unwrap();
        let found = Found {
            id: ContainerId::new("run").unwrap(),
            full_id: None,
            runtime: "run",
            name: None,
            pod: None,
            job: None,
            user: None,
            path: String::new(),
        };
        let mut tree = Tree::new(10, found, HostFacts::default(), std::sync::Arc::default());
        fs::create_dir(proc.path().join("11")).unwrap();
        let now = FolderId::read(proc.path(), 11).unwrap();
        let other = |owner, inode| FolderId {
            owner: now.owner + owner,
            inode: now.inode + inode,
        };
        for (folder, is_kept) in [
            (other(0, 0), true),
            // It runs a program of another user.
            (other(1, 0), true),
            (other(0, 1), true),
            (other(1, 1), false),
        ] {
            let folder = Some(folder);
            let parent = Parent {
                pid: 10,
                session: 1,
                start: 0,
                folder,
            };
            tree.parents.insert(11, parent);
            let parent = tree.last_parent(proc.path(), 11, true);
            assert_eq!(parent.is_some(), is_kept, "{folder:?}");
            // An error that may pass says nothing about the process.
            assert!(tree.last_parent(proc.path(), 11, false).is_some());
        }
        assert!(tree.last_parent(proc.path(), 12, true).is_none());
    }
}
