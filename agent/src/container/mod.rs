//! The containers of this host: which cgroups they own, their names and their own figures.
//!
//! A container is a cgroup that a [`rule`] matches. [`Containers`] finds it by the id of each
//! cgroup in or below it, which is what the kernel side reports. New containers come from the
//! kernel's events, where there are any, and from scans of the cgroup tree; names come from
//! Docker.
//!
//! A container that is restarted gets a new cgroup at the same path: another [`life::Life`] of
//! the same container. Everything that happens is matched to the life it is about, the kernel's
//! events by the id of the cgroup, and Docker's by their time.

pub mod docker;
mod entry;
mod error;
mod files;
pub mod hierarchy;
mod life;
mod slurm;
pub mod totals;
mod walk;

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::sync::Arc;
use std::sync::mpsc::Receiver;
use std::time::Duration;

use bubble_capture::container::rule::{Found, Rules};
pub use bubble_capture::container::{HostFacts, describe, glob, rule};
use bubble_common::segment::ContainerId;
use bubble_common::segment::loss::{Loss, Reason};

use self::docker::Update;
use self::entry::Entry;
use self::error::is_exhausted;
use self::hierarchy::{Hierarchies, Maker};
use self::life::{Life, id_of};
use self::walk::{Unread, walk};
use crate::sink::{ContainerHandle, Sink};

/// Time that a removed cgroup stays known: sums of its processes may come late.
const REMOVED_TTL: Duration = Duration::from_secs(30);
/// Maximum number of paths whose user is retained.
const MAX_USERS: usize = 10_000;
/// Maximum number of retained updates of containers that are not known (yet).
const MAX_UNCLAIMED: usize = 512;

/// All containers of the host.
#[derive(Debug)]
pub struct Containers {
    hierarchies: Hierarchies,
    rules: Rules,
    facts: HostFacts,
    include_host: bool,
    entries: HashMap<ContainerId, Entry>,
    /// Users who can make cgroups at these paths, which are those of containers.
    users: HashMap<String, u32>,
    /// All cgroups of the host by id, and those that were removed not long ago.
    cgroups: HashMap<u64, Cgroup>,
    host: Option<ContainerHandle>,
    updates: Option<Receiver<Update>>,
    /// Updates of containers, or lives, that are not known here.
    unclaimed: VecDeque<Update>,
    /// Time of the last scan. `None` before the first: containers found later are new.
    scanned: Option<u64>,
    /// What the last scan could not read.
    unread: Unread,
    forgotten: Forgotten,
}

/// A cgroup that exists, or did not long ago.
#[derive(Debug)]
struct Cgroup {
    owner: Owner,
    /// Its path; empty if that is not known.
    path: Box<str>,
    removed: Option<u64>,
    /// When a scan first missed it. That may be long after its removal, if no agent ran.
    missed: Option<u64>,
}

/// Who a cgroup belongs to.
#[derive(Debug, Clone)]
enum Owner {
    /// A container, in the life with this cgroup.
    Container(Arc<Found>, u64),
    /// The host.
    Host,
    /// It was gone before anything was known about it, or the cgroups cannot be read.
    Unknown,
}

/// What is not known any more. Sources drop what they know of it.
#[derive(Debug, Default)]
pub struct Forgotten {
    /// Released containers, with the time of the release.
    pub containers: Vec<(ContainerHandle, u64)>,
    /// Ids of removed cgroups.
    pub cgroups: Vec<u64>,
}

impl Containers {
    /// No containers yet: [`Self::scan`] finds them.
    pub fn new(hierarchies: Hierarchies, rules: Rules, include_host: bool) -> Self {
        Self {
            hierarchies,
            rules,
            facts: HostFacts::default(),
            include_host,
            entries: HashMap::new(),
            users: HashMap::new(),
            cgroups: HashMap::new(),
            host: None,
            updates: None,
            unclaimed: VecDeque::new(),
            scanned: None,
            unread: Unread::default(),
            forgotten: Forgotten::default(),
        }
    }

    /// The cgroup hierarchies of the host. Ids of cgroups are those of the primary one.
    pub fn hierarchies(&self) -> &Hierarchies {
        &self.hierarchies
    }

    /// Sets the facts of the host. Call it before the first scan.
    pub fn set_facts(&mut self, facts: HostFacts) {
        self.facts = facts;
    }

    /// Sets where names, images and exit codes come from.
    pub fn set_updates(&mut self, updates: Receiver<Update>) {
        self.updates = Some(updates);
    }

    /// Number of running containers.
    pub fn count(&self) -> usize {
        let running = self.entries.values().filter(|entry| entry.is_running());
        running.count()
    }

    /// Chooses the primary hierarchy of a hybrid host: v1 when containers are only there, as
    /// the unified hierarchy cannot distinguish them then.
    ///
    /// # Errors
    /// When no container was found, and the host has no descriptors or memory to look at all cgroups.
    pub fn choose_primary(&mut self) -> io::Result<()> {
        let has_container = |hierarchies: &Hierarchies| {
            let mut found = false;
            let unread = walk(&hierarchies.primary().root, &mut |path, _| {
                found = found || self.rules.find(path).is_some_and(|it| it.path == path);
            });
            match unread.error {
                Some(error) if !found && is_exhausted(&error) => return Err(error),
                Some(error) => {
                    tracing::warn!(%error, "cannot read all cgroups while looking for containers");
                }
                None => {}
            }
            Ok(found)
        };
        if self.hierarchies.mode() == "hybrid" && !has_container(&self.hierarchies)? {
            self.hierarchies.use_v1();
            if !has_container(&self.hierarchies)? {
                self.hierarchies.use_unified();
            }
        }
        Ok(())
    }

    /// The container of a cgroup, by cgroup id. `None` for the host's own cgroups, unless the
    /// host is shown as a container, and for unknown ones: see [`Self::is_unknown`].
    pub fn of_cgroup<S: Sink>(
        &mut self,
        at: u64,
        id: u64,
        sink: &mut S,
    ) -> Option<ContainerHandle> {
        if !self.cgroups.contains_key(&id) {
            self.scan(at, sink);
        }
        let cgroup = self.cgroups.entry(id).or_insert_with(|| {
            // No event or scan has found it. One scan for each such cgroup is enough.
            let loss = Loss { count: 1, bytes: 0 };
            sink.loss(at, None, Reason::CGROUP_UNKNOWN, loss);
            Cgroup {
                owner: Owner::Unknown,
                path: Box::default(),
                removed: Some(at),
                missed: None,
            }
        });
        match cgroup.owner.clone() {
            Owner::Container(found, life) => Some(self.handle(at, found, life, sink)),
            Owner::Host => self.of_host(sink),
            Owner::Unknown => None,
        }
    }

    /// Whether nothing is known about a cgroup: its processes may be those of a container.
    pub fn is_unknown(&self, id: u64) -> bool {
        let cgroup = self.cgroups.get(&id);
        cgroup.is_none_or(|cgroup| matches!(cgroup.owner, Owner::Unknown))
    }

    /// When a cgroup was removed. `None` if it exists, or nothing is known of its end.
    pub fn removed_at(&self, id: u64) -> Option<u64> {
        self.cgroups.get(&id)?.removed
    }

    /// The container of the cgroup at `path`, from the root of the primary hierarchy.
    pub fn of_path<S: Sink>(
        &mut self,
        at: u64,
        path: &str,
        sink: &mut S,
    ) -> Option<ContainerHandle> {
        // So the kernel marks the cgroup of a process that ends after it was removed.
        let (path, removed) = match path.strip_suffix(" (deleted)") {
            Some(path) => (path, true),
            None => (path, false),
        };
        let Some(found) = self.find(path) else {
            return self.of_host(sink);
        };
        let known = self.entries.get(&found.id).filter(|entry| {
            let mut lives = entry.lives.iter();
            removed || lives.any(|life| life.is_running() && life.found.path == found.path)
        });
        if known.is_some() || removed {
            return known.map(|entry| entry.handle);
        }
        let cgroup = self.id_or_unknown(&found.path);
        Some(self.begin(at, cgroup, Arc::new(found), sink))
    }

    /// Takes in that a cgroup was created. Without a path (it was too long for the record), a
    /// scan finds it.
    pub fn created<S: Sink>(&mut self, at: u64, id: u64, path: Option<&str>, sink: &mut S) {
        let Some(path) = path else {
            self.of_cgroup(at, id, sink);
            return;
        };
        if let Some(cgroup) = self.cgroups.get(&id)
            && let Owner::Container(found, life) = &cgroup.owner
        {
            // A scan was faster than the record, which knows the time.
            let life = self
                .entries
                .get_mut(&found.id)
                .and_then(|entry| entry.life(*life));
            if let Some(life) = life.filter(|life| life.cgroup == id && life.earliest <= at) {
                life.began = life.began.min(at);
                life.earliest = life.began;
            }
            return;
        }
        self.discover(at, at, id, path, sink);
    }

    /// Takes in that a cgroup was removed.
    pub fn removed<S: Sink>(&mut self, at: u64, id: u64, path: Option<&str>, sink: &mut S) {
        if self.is_unknown(id)
            && let Some(path) = path
        {
            self.discover(at, self.last_absent(path), id, path, sink);
        }
        // Sums of its processes may still come, so the id stays known for a while.
        let Some(cgroup) = self.cgroups.get_mut(&id) else {
            return;
        };
        cgroup.removed = Some(at);
        if let Owner::Container(found, life) = &cgroup.owner
            && *life == id
            && let Some(life) = self
                .entries
                .get_mut(&found.id)
                .and_then(|entry| entry.life(id))
        {
            life.end(at);
        }
    }

    /// Scans the cgroup tree for containers that are new or gone.
    pub fn scan<S: Sink>(&mut self, at: u64, sink: &mut S) {
        if self.hierarchies.is_none() {
            return;
        }
        let mut new: Vec<(u64, String)> = Vec::new();
        let mut ids: HashSet<u64> = HashSet::new();
        let unread = walk(&self.hierarchies.primary().root, &mut |path, id| {
            ids.insert(id);
            if self.is_unknown(id) {
                new.push((id, path.to_owned()));
            }
        });
        for (id, path) in new {
            self.discover(at, self.last_absent(&path), id, &path, sink);
        }
        if let Some(error) = &unread.error {
            let count = unread.count_new(&self.unread) as u64;
            if count > 0 {
                tracing::warn!(count, %error, "cannot read all cgroups: no container below these is ended");
                let loss = Loss { count, bytes: 0 };
                sink.loss(at, None, Reason::CGROUP_UNKNOWN, loss);
            }
        }
        self.scanned = Some(at);
        let lives = self.entries.values_mut().flat_map(|entry| &mut entry.lives);
        for life in lives.filter(|life| life.is_running() && !ids.contains(&life.cgroup)) {
            // One that was not found there may well run.
            if !unread.covers(&life.found.path) {
                life.end(at);
            }
        }
        let forgotten = &mut self.forgotten.cgroups;
        self.cgroups.retain(|id, cgroup| {
            if ids.contains(id) {
                return true;
            }
            if cgroup.removed.is_none() && unread.covers(&cgroup.path) {
                return true;
            }
            cgroup.removed.get_or_insert(at);
            let missed = *cgroup.missed.get_or_insert(at);
            let is_known = Duration::from_nanos(at.saturating_sub(missed)) < REMOVED_TTL;
            if !is_known {
                forgotten.push(*id);
            }
            is_known
        });
        self.unread = unread;
    }

    /// The last time at which the cgroup at `path`, found now, is known to have been absent. 0 if there is
    /// none.
    fn last_absent(&self, path: &str) -> u64 {
        let scanned = self.scanned.filter(|_| !self.unread.covers(path));
        scanned.unwrap_or(0)
    }

    /// Reads the figures of all containers, as of `at`.
    pub fn read_totals<S: Sink>(&mut self, at: u64, sink: &mut S) {
        for entry in self.entries.values_mut() {
            for life in entry.lives.iter_mut().filter(|life| life.is_running()) {
                life.read_totals(&self.hierarchies, entry.handle, at, sink);
                life.find_job(&self.hierarchies, entry.handle, sink);
            }
        }
        if let Some(host) = self.host {
            sink.alive(at, host);
        }
    }

    /// Reads the figures of the container of a cgroup after a process of it ended, as its cgroup
    /// may be removed soon. Reports a loss when it is removed already: its last figures are
    /// missing.
    pub fn read_totals_of<S: Sink>(&mut self, at: u64, cgroup: u64, sink: &mut S) {
        let Some(Owner::Container(found, life)) = self.cgroups.get(&cgroup).map(|it| &it.owner)
        else {
            return;
        };
        let Some(entry) = self.entries.get_mut(&found.id) else {
            return;
        };
        let handle = entry.handle;
        if let Some(life) = entry.life(*life)
            && !life.read_totals(&self.hierarchies, handle, at, sink)
            && !life.is_gone_reported
        {
            life.is_gone_reported = true;
            let loss = Loss { count: 1, bytes: 0 };
            sink.loss(at, Some(handle), Reason::CGROUP_GONE, loss);
        }
    }

    /// Reports the loss of the last figures of lives that have ended, for sources that do not read these
    /// when a process ends.
    pub fn report_unread_ends<S: Sink>(&mut self, sink: &mut S) {
        for entry in self.entries.values_mut() {
            let handle = entry.handle;
            for life in &mut entry.lives {
                if let Some(ended) = &life.ended
                    && !life.is_gone_reported
                {
                    life.is_gone_reported = true;
                    let loss = Loss { count: 1, bytes: 0 };
                    sink.loss(ended.at, Some(handle), Reason::CGROUP_GONE, loss);
                }
            }
        }
    }

    /// Takes in Docker's updates, reports starts and ends, and releases containers that ended
    /// long enough ago.
    pub fn poll<S: Sink>(&mut self, at: u64, sink: &mut S) {
        while let Some(update) = self.updates.as_ref().and_then(|from| from.try_recv().ok()) {
            self.apply(at, update, sink);
        }
        let has_docker = self.updates.is_some();
        let forgotten = &mut self.forgotten.containers;
        self.entries.retain(|_, entry| {
            let is_docker = entry.lives.iter().any(|it| it.found.runtime == "docker");
            let by_docker = has_docker && is_docker;
            entry.report(at, by_docker, sink);
            let is_known = entry.retain_lives(at, by_docker);
            if !is_known {
                sink.release_container(entry.handle);
                forgotten.push((entry.handle, at));
            }
            is_known
        });
    }

    /// Takes what was forgotten since the last call.
    pub fn take_forgotten(&mut self) -> Forgotten {
        std::mem::take(&mut self.forgotten)
    }

    /// The container of the cgroup at `path`. Its id is the full one, or says whose it is.
    fn find(&mut self, path: &str) -> Option<Found> {
        let found = self.rules.find(path)?;
        if self.rules.only.is_some() {
            return Some(found);
        }
        let maker = self.hierarchies.primary().maker(&found.path);
        let user = match maker {
            Maker::Root => {
                self.users.remove(&found.path);
                None
            }
            Maker::User(user) => Some(user),
            Maker::Unknown => {
                let known = self.users.get(&found.path).copied();
                known.or_else(|| rule::user_of(&found.path))
            }
        };
        let Some(user) = user else {
            let full = found.full_id.as_deref().map(ContainerId::new);
            return Some(match full {
                Some(Ok(id)) => Found { id, ..found },
                _ => found,
            });
        };
        if self.users.len() >= MAX_USERS {
            self.users.clear();
        }
        self.users.insert(found.path.clone(), user);
        self.rules.of_user(found, user)
    }

    /// The container of an update.
    fn id_of(&self, update: &Update) -> Option<ContainerId> {
        match update.user {
            None => ContainerId::new(&update.id).ok(),
            Some(user) => self.rules.digits_of_user(&update.id, user),
        }
    }

    /// Passes an update on, or retains it until its container is known.
    fn apply<S: Sink>(&mut self, at: u64, update: Update, sink: &mut S) {
        let entry = self.id_of(&update).and_then(|id| self.entries.get_mut(&id));
        if !entry.is_some_and(|entry| entry.apply(at, &update, sink)) {
            if self.unclaimed.len() >= MAX_UNCLAIMED {
                self.unclaimed.pop_front();
            }
            self.unclaimed.push_back(update);
        }
    }

    /// Takes in a cgroup that was found at `path`. It cannot have been created before `earliest`.
    fn discover<S: Sink>(&mut self, at: u64, earliest: u64, id: u64, path: &str, sink: &mut S) {
        let owner = match self.find(path) {
            None => Owner::Host,
            Some(found) => {
                let life = if found.path == path {
                    id
                } else {
                    // Its parents are known, unless their records were lost.
                    let entry = self.entries.get(&found.id);
                    let lives = entry.map_or(&[][..], |entry| &entry.lives);
                    let life = lives
                        .iter()
                        .rfind(|life| life.is_running() && life.found.path == found.path);
                    life.map_or_else(|| self.id_or_unknown(&found.path), |life| life.cgroup)
                };
                let found = Arc::new(found);
                self.begin_after(at, earliest, life, Arc::clone(&found), sink);
                Owner::Container(found, life)
            }
        };
        let cgroup = Cgroup {
            owner,
            path: path.into(),
            removed: None,
            missed: None,
        };
        self.cgroups.insert(id, cgroup);
    }

    /// Id of the cgroup at `path` now. 0 if it is removed or cannot be looked at, which is logged.
    fn id_or_unknown(&self, path: &str) -> u64 {
        id_of(&self.hierarchies, path)
            .unwrap_or_else(|error| {
                tracing::warn!(cgroup = path, %error, "cannot look at a cgroup");
                None
            })
            .unwrap_or(0)
    }

    /// Begins a life that a look at one cgroup has found.
    fn begin<S: Sink>(
        &mut self,
        at: u64,
        cgroup: u64,
        found: Arc<Found>,
        sink: &mut S,
    ) -> ContainerHandle {
        let owner = Owner::Container(Arc::clone(&found), cgroup);
        let known = Cgroup {
            owner,
            path: found.path.as_str().into(),
            removed: None,
            missed: None,
        };
        self.cgroups.insert(cgroup, known);
        self.begin_after(at, self.last_absent(&found.path), cgroup, found, sink)
    }

    /// Begins a life, unless it is known. Returns the handle of the container.
    fn begin_after<S: Sink>(
        &mut self,
        at: u64,
        earliest: u64,
        cgroup: u64,
        found: Arc<Found>,
        sink: &mut S,
    ) -> ContainerHandle {
        let entry = self.entries.entry(found.id.clone()).or_insert_with(|| {
            let handle = sink.container(&found.id);
            describe(handle, &found, &self.facts, sink);
            Entry {
                handle,
                lives: Vec::new(),
            }
        });
        let handle = entry.handle;
        if entry.life(cgroup).is_some() {
            return handle;
        }
        // A record tells when it was created, or an earlier scan did not find it. One that was removed
        // before the first scan may have begun at any time.
        let was_absent = self.scanned.is_some() && !self.unread.covers(&found.path);
        let is_new = earliest == at || was_absent && self.scanned.is_some_and(|it| it <= at);
        let id = found.id.clone();
        let mut life = Life::new(cgroup, found, at, earliest, is_new);
        life.read_limits(&self.hierarchies);
        entry.begin(life, sink);
        let (mine, others): (VecDeque<_>, _) = std::mem::take(&mut self.unclaimed)
            .into_iter()
            .partition(|update| self.id_of(update).as_ref() == Some(&id));
        self.unclaimed = others;
        for update in mine {
            self.apply(at, update, sink);
        }
        handle
    }

    /// The handle of a container. One that was released comes back: a sum of its former life is
    /// late.
    fn handle<S: Sink>(
        &mut self,
        at: u64,
        found: Arc<Found>,
        life: u64,
        sink: &mut S,
    ) -> ContainerHandle {
        if let Some(entry) = self.entries.get(&found.id) {
            return entry.handle;
        }
        let handle = sink.container(&found.id);
        describe(handle, &found, &self.facts, sink);
        let mut life = Life::new(life, found, at, at, false);
        let id = life.found.id.clone();
        life.end(at).is_reported = true;
        life.is_gone_reported = true;
        let lives = vec![life];
        self.entries.insert(id, Entry { handle, lives });
        handle
    }

    /// The handle of the host, if it is shown as a container.
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

#[cfg(test)]
mod tests;
