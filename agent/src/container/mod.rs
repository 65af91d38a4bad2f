//! Which container a process is in, what it is called, and the container's own figures.
//!
//! A container is a cgroup that a [`rule`] matches. [`Containers`] knows them by
//! path and by the number of each cgroup in or below them, which is what the kernel
//! side reports. It learns of new ones from the kernel's events where there are
//! any, and by looking through the tree; and what they are called from Docker.

pub mod docker;
mod files;
pub mod glob;
pub mod hierarchy;
pub mod rule;
pub mod totals;

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::os::unix::fs::DirEntryExt;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::mpsc::Receiver;

use bubble_common::segment::event::EventKind;
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::{ContainerId, facts};

use crate::clock::SECOND;
use crate::sink::{ContainerHandle, Sink};
use docker::Update;
use hierarchy::Hierarchies;
use rule::{Found, Rules};
use totals::Totals;

/// How long a container is kept after its end: what Docker says of it may come late.
const GRACE: u64 = 3 * SECOND;
/// How long the end of a container waits for Docker to tell the exit code.
const CODE_WAIT: u64 = SECOND;
/// Most updates of containers that are not found (yet) that are kept.
const UNCLAIMED: usize = 512;
/// Deepest cgroup that is looked at: a guard against a hostile tree.
const DEPTH: usize = 32;

/// What every container's facts say of the host it is on.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {
    /// Name of the host.
    pub host: String,
    /// Cores it has.
    pub cores: u32,
    /// Its memory in bytes.
    pub memory: u64,
    /// The family of hooks that counts: `vfs`, `syscall` or `procfs`.
    pub hooks: String,
}

/// All containers of the host.
#[derive(Debug)]
pub struct Containers {
    hierarchies: Hierarchies,
    rules: Rules,
    facts: HostFacts,
    include_host: bool,
    /// Containers by the path of their own cgroup.
    known: HashMap<String, Known>,
    /// Path of the container (empty: none) that a cgroup belongs to, by its number.
    cgroups: HashMap<u64, Box<str>>,
    host: Option<ContainerHandle>,
    updates: Option<Receiver<Update>>,
    /// What Docker said of containers that are not known here.
    unclaimed: VecDeque<Update>,
    /// Whether all there is was looked through once: what is found later is new.
    looked: bool,
}

#[derive(Debug)]
struct Known {
    id: ContainerId,
    runtime: &'static str,
    handle: ContainerHandle,
    totals: Totals,
    /// Whether its cgroup was gone before its last figures were read.
    unread: bool,
    ended: Option<Ended>,
}

#[derive(Debug)]
struct Ended {
    at: u64,
    told: bool,
}

impl Containers {
    /// No containers yet: they are found by [`Self::look`].
    pub fn new(hierarchies: Hierarchies, rules: Rules, include_host: bool) -> Self {
        Self {
            hierarchies,
            rules,
            facts: HostFacts::default(),
            include_host,
            known: HashMap::new(),
            cgroups: HashMap::new(),
            host: None,
            updates: None,
            unclaimed: VecDeque::new(),
            looked: false,
        }
    }

    /// The host's trees of cgroups; numbers of cgroups are those of the primary one.
    pub fn hierarchies(&self) -> &Hierarchies {
        &self.hierarchies
    }

    /// Sets what is said of the host; to be called before the first container is found.
    pub fn set_facts(&mut self, facts: HostFacts) {
        self.facts = facts;
    }

    /// From where names, images and exit codes come.
    pub fn set_updates(&mut self, updates: Receiver<Update>) {
        self.updates = Some(updates);
    }

    /// How many containers there are now.
    pub fn count(&self) -> usize {
        self.known
            .values()
            .filter(|one| one.ended.is_none())
            .count()
    }

    /// On hybrid hosts: if containers are in v1 trees and none is in the unified one, the
    /// unified one cannot tell them apart, and a v1 tree becomes the primary.
    pub fn choose_primary(&mut self) {
        let has_container = |hierarchies: &Hierarchies| {
            let mut found = false;
            walk(&hierarchies.primary().root, &mut |path, _| {
                found = found || self.rules.find(path).is_some_and(|it| it.path == path);
            });
            found
        };
        if self.hierarchies.mode() == "hybrid" && !has_container(&self.hierarchies) {
            self.hierarchies.use_v1();
            if !has_container(&self.hierarchies) {
                self.hierarchies.use_unified();
            }
        }
    }

    /// The container of the cgroup with this number; `None` for the host's own, unless
    /// they are wanted too.
    pub fn of_cgroup<S: Sink>(
        &mut self,
        at: u64,
        id: u64,
        sink: &mut S,
    ) -> Option<ContainerHandle> {
        if !self.cgroups.contains_key(&id) {
            self.look(at, sink);
            // One that has gone before it was seen: not to be looked for again and again.
            self.cgroups.entry(id).or_default();
        }
        match self.known.get(&**self.cgroups.get(&id)?) {
            Some(known) => Some(known.handle),
            None => self.of_host(sink),
        }
    }

    /// The container of the cgroup at `path`, from the root of the primary tree.
    pub fn of_path<S: Sink>(
        &mut self,
        at: u64,
        path: &str,
        sink: &mut S,
    ) -> Option<ContainerHandle> {
        match self.rules.find(path) {
            Some(found) => Some(self.meet(at, found, sink)),
            None => self.of_host(sink),
        }
    }

    /// A cgroup was made.
    pub fn created<S: Sink>(&mut self, at: u64, id: u64, path: &str, sink: &mut S) {
        let container = self.rules.find(path).map(|found| {
            let path = found.path.clone();
            self.meet(at, found, sink);
            path
        });
        self.cgroups
            .insert(id, container.unwrap_or_default().into());
    }

    /// A cgroup was removed.
    pub fn removed<S: Sink>(&mut self, at: u64, id: u64, path: &str, sink: &mut S) {
        // The number stays known: sums of what ran in it may still come. It goes with the container.
        if !self.cgroups.contains_key(&id) {
            self.created(at, id, path, sink);
        }
        if let Some(known) = self.known.get_mut(path) {
            known.end(at);
        }
    }

    /// Looks through the tree for containers that are new or gone.
    pub fn look<S: Sink>(&mut self, at: u64, sink: &mut S) {
        let mut there: HashSet<String> = HashSet::new();
        let mut unseen: Vec<(u64, String)> = Vec::new();
        let mut met: HashSet<u64> = HashSet::new();
        walk(&self.hierarchies.primary().root, &mut |path, id| {
            met.insert(id);
            match self.cgroups.get(&id) {
                None => unseen.push((id, path.to_owned())),
                Some(container) if **container == *path => {
                    there.insert(path.to_owned());
                }
                Some(_) => {}
            }
        });
        for (id, path) in unseen {
            self.created(at, id, &path, sink);
            there.insert(path);
        }
        for (path, known) in &mut self.known {
            if !there.contains(path) {
                known.end(at);
            }
        }
        let known = &self.known;
        self.cgroups
            .retain(|id, container| met.contains(id) || known.contains_key(&**container));
        self.looked = true;
    }

    /// Reads the figures of all containers, as of `at`.
    pub fn read_totals<S: Sink>(&mut self, at: u64, sink: &mut S) {
        for (path, known) in &mut self.known {
            known.read(&self.hierarchies, path, at, sink);
        }
        if let Some(host) = self.host {
            sink.alive(at, host);
        }
    }

    /// Reads the figures of one container, as one of its processes has ended and it may soon be gone.
    /// If it is gone already, its own count is short, which is said.
    pub fn read_totals_of<S: Sink>(&mut self, at: u64, handle: ContainerHandle, sink: &mut S) {
        let one = self
            .known
            .iter_mut()
            .find(|(_, known)| known.handle == handle);
        if let Some((path, known)) = one
            && !known.read(&self.hierarchies, path, at, sink)
            && !known.unread
        {
            known.unread = true;
            let loss = Loss { count: 1, bytes: 0 };
            sink.loss(at, Some(handle), Reason::CGROUP_GONE, loss);
        }
    }

    /// Takes in what Docker says, and lets go of those that have long ended.
    pub fn poll<S: Sink>(&mut self, at: u64, sink: &mut S) {
        while let Some(update) = self.updates.as_ref().and_then(|from| from.try_recv().ok()) {
            if !self.take(at, &update, sink) {
                if self.unclaimed.len() >= UNCLAIMED {
                    self.unclaimed.pop_front();
                }
                self.unclaimed.push_back(update);
            }
        }
        let cgroups = &mut self.cgroups;
        self.known.retain(|path, known| {
            let Some(ended) = &mut known.ended else {
                return true;
            };
            let since = at.saturating_sub(ended.at);
            let by_docker = self.updates.is_some() && known.runtime == "docker";
            if !ended.told && (!by_docker || since > CODE_WAIT) {
                ended.told = true;
                sink.event(ended.at, known.handle, EventKind::CONTAINER_END, None, "");
                sink.fact(known.handle, facts::ENDED, &ended.at.to_string());
            }
            if since < GRACE {
                return true;
            }
            sink.release_container(known.handle);
            cgroups.retain(|_, container| **container != **path);
            false
        });
    }

    /// Passes what Docker says on; `false` when the container is not known.
    fn take<S: Sink>(&mut self, at: u64, update: &Update, sink: &mut S) -> bool {
        let short = update.id.get(..12).unwrap_or(&update.id);
        let one = self
            .known
            .values_mut()
            .find(|known| known.id.as_str() == short);
        let Some(known) = one else {
            return false;
        };
        for (name, value) in &update.facts {
            sink.fact(known.handle, name, value);
        }
        if let Some(code) = &update.exit_code {
            known.end(at);
            if let Some(ended) = known.ended.as_mut().filter(|ended| !ended.told) {
                ended.told = true;
                sink.event(ended.at, known.handle, EventKind::CONTAINER_END, None, code);
            }
        }
        true
    }

    /// The handle of a container that was found, new or not.
    fn meet<S: Sink>(&mut self, at: u64, found: Found, sink: &mut S) -> ContainerHandle {
        if let Some(known) = self.known.get_mut(&found.path) {
            // An agent that missed the end of the one before meets the next of the same path.
            if known.ended.is_some() && self.hierarchies.primary().folder(&found.path).is_dir() {
                known.ended = None;
                known.unread = false;
            }
            return known.handle;
        }
        let handle = sink.container(&found.id);
        describe(handle, &found, &self.facts, sink);
        let new = self.looked;
        if new {
            sink.fact(handle, facts::STARTED, &at.to_string());
            sink.event(at, handle, EventKind::CONTAINER_START, None, "");
        }
        sink.alive(at, handle);
        let short = found.id.as_str().to_owned();
        self.known.insert(
            found.path,
            Known {
                id: found.id,
                runtime: found.runtime,
                handle,
                totals: Totals::new(new),
                unread: false,
                ended: None,
            },
        );
        let (mine, others) = std::mem::take(&mut self.unclaimed)
            .into_iter()
            .partition(|update| update.id.get(..12) == Some(&short));
        self.unclaimed = others;
        for update in VecDeque::<Update>::into_iter(mine) {
            self.take(at, &update, sink);
        }
        handle
    }

    /// The handle of the host as a container, if it is wanted as one.
    fn of_host<S: Sink>(&mut self, sink: &mut S) -> Option<ContainerHandle> {
        if !self.include_host {
            return None;
        }
        if self.host.is_none() {
            let found = self.rules.host()?;
            let handle = sink.container(&found.id);
            describe(handle, &found, &self.facts, sink);
            self.host = Some(handle);
        }
        self.host
    }
}

impl Known {
    fn end(&mut self, at: u64) {
        self.ended.get_or_insert(Ended { at, told: false });
    }

    /// `false` when its cgroup is not there.
    fn read<S: Sink>(
        &mut self,
        hierarchies: &Hierarchies,
        path: &str,
        at: u64,
        sink: &mut S,
    ) -> bool {
        let handle = self.handle;
        let there = self.totals.read(hierarchies, path, |metric, value| {
            sink.total(at, handle, metric, value)
        });
        if there && self.ended.is_none() {
            sink.alive(at, handle);
        }
        there
    }
}

/// Notes what is known of a container by its path, and of its host.
pub fn describe<S: Sink>(handle: ContainerHandle, found: &Found, host: &HostFacts, sink: &mut S) {
    let facts = [
        (facts::HOST, host.host.as_str()),
        (facts::RUNTIME, found.runtime),
        (facts::CGROUP, &found.path),
        (facts::HOOKS, &host.hooks),
        (facts::CORES, &host.cores.to_string()),
        (facts::HOST_MEMORY, &host.memory.to_string()),
    ];
    for (name, value) in facts {
        sink.fact(handle, name, value);
    }
    if let Some(full) = &found.full_id {
        sink.fact(handle, facts::FULL_ID, full);
    }
    if let Some(name) = &found.name {
        sink.fact(handle, facts::NAME, name);
    }
    if let Some(pod) = &found.pod {
        sink.fact(
            handle,
            &format!("{}io.kubernetes.pod.uid", facts::LABEL),
            pod,
        );
    }
}

/// Calls `each` with path and number of every cgroup below `root`, and the root itself.
fn walk(root: &Path, each: &mut impl FnMut(&str, u64)) {
    fn below(folder: &Path, path: &mut String, depth: usize, each: &mut impl FnMut(&str, u64)) {
        // A cgroup may go while its folder is read: what is left of it is nothing.
        let Ok(entries) = fs::read_dir(folder) else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name();
            if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                continue;
            }
            let length = path.len();
            path.push('/');
            path.push_str(&name.to_string_lossy());
            each(path, entry.ino());
            if depth < DEPTH {
                below(&entry.path(), path, depth + 1, each);
            }
            path.truncate(length);
        }
    }
    if let Ok(metadata) = fs::metadata(root) {
        each("/", metadata.ino());
    }
    below(root, &mut String::new(), 0, each);
}
