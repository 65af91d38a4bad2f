//! Containers: found by the cgroups of threads, named by events.

use std::collections::HashMap;

use bubble_common::segment::event::EventKind;
use bubble_common::segment::process::Exit;
use bubble_common::segment::{ContainerId, facts};

use crate::container::rule::{Found, Rules};
use crate::container::{HostFacts, describe};
use crate::sink::{ContainerHandle, Sink};
use crate::slab::{self, Slab};
use crate::time::SECOND;

/// Most containers of one capture; threads of further ones are not counted.
const MAX_CONTAINERS: usize = 16_384;
/// Most lists of cgroups in the cache; a full one is emptied.
const MAX_CACHED_CGROUPS: usize = 4_096;
/// Most containers with facts that came before their first process.
const MAX_EARLY_FACTS: usize = 1_024;
/// How long a container is remembered after its end, in ns: it may be started again.
const ENDED_TTL: u64 = 60 * SECOND;
/// How long a container without a process still counts as running, in ns: its runtime may be
/// between two of them.
const EMPTY_TIMEOUT: u64 = 100_000_000;

/// Which processes of a capture are counted.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Which cgroups are containers; the host's name is the capture's.
    pub rules: Rules,
    /// Counts processes outside containers too, as a container that stands for the host.
    pub host: bool,
}

/// All containers with a process so far.
#[derive(Debug)]
pub(super) struct Containers {
    pub(super) options: Options,
    pub(super) facts: HostFacts,
    list: Slab<Container>,
    by_id: HashMap<ContainerId, u32>,
    /// The container of a list of cgroups.
    by_cgroups: HashMap<Box<[u8]>, Option<u32>>,
    /// Facts of containers that are not known yet, by the id.
    early_facts: HashMap<Box<str>, Vec<(String, String)>>,
    host: Option<u32>,
}

#[derive(Debug)]
struct Container {
    id: ContainerId,
    handle: ContainerHandle,
    /// A process was seen in it.
    is_seen: bool,
    /// Processes that live in it.
    processes: u32,
    /// When the last of them ended.
    empty_since: u64,
    /// How its first process (number 1 in it) ended.
    exit: Option<Exit>,
    ended: bool,
}

impl Containers {
    pub(super) fn new(options: Options) -> Self {
        Self {
            options,
            facts: HostFacts::default(),
            list: Slab::new(),
            by_id: HashMap::new(),
            by_cgroups: HashMap::new(),
            early_facts: HashMap::new(),
            host: None,
        }
    }

    /// The machine is another one: its paths name other containers.
    pub(super) fn restart(&mut self, facts: HostFacts) {
        self.options.rules.host.clone_from(&facts.host);
        self.facts = facts;
        self.by_cgroups.clear();
        self.host = None;
        for container in self.list.iter_mut() {
            container.processes = 0;
            container.empty_since = 0;
        }
    }

    /// The key of the container of a list of cgroups; `None` outside containers.
    pub(super) fn of_cgroups<S: Sink>(&mut self, cgroups: &[u8], sink: &mut S) -> Option<u32> {
        match self.by_cgroups.get(cgroups) {
            Some(None) => return None,
            Some(Some(key)) if self.list.get(*key).is_some() => return Some(*key),
            _ => {}
        }
        let found = cgroups.split(|byte| *byte == 0).find_map(|item| {
            // `subsystem=/path`; a named hierarchy has another `=` before its path.
            let begin = item.iter().position(|byte| *byte == b'/')?;
            let path = std::str::from_utf8(&item[begin..]).ok()?;
            self.options.rules.find(path)
        });
        let key = found.and_then(|found| self.get_or_insert(&found, sink));
        if self.by_cgroups.len() >= MAX_CACHED_CGROUPS {
            self.by_cgroups.clear();
        }
        self.by_cgroups.insert(cgroups.into(), key);
        key
    }

    /// The key of the container that stands for the host, if the host is counted.
    pub(super) fn of_host<S: Sink>(&mut self, sink: &mut S) -> Option<u32> {
        if !self.options.host {
            return None;
        }
        if self.host.is_none_or(|key| self.list.get(key).is_none()) {
            let found = self.options.rules.host()?;
            self.host = self.get_or_insert(&found, sink);
        }
        self.host
    }

    fn get_or_insert<S: Sink>(&mut self, found: &Found, sink: &mut S) -> Option<u32> {
        if let Some(key) = self.by_id.get(&found.id) {
            return Some(*key);
        }
        if self.list.len() >= MAX_CONTAINERS {
            return None;
        }
        let handle = sink.container(&found.id);
        describe(handle, found, &self.facts, sink);
        for (name, value) in self
            .early_facts
            .remove(found.id.as_str())
            .unwrap_or_default()
        {
            sink.fact(handle, &name, &value);
        }
        let key = self.list.insert(Container {
            id: found.id.clone(),
            handle,
            is_seen: false,
            processes: 0,
            empty_since: 0,
            exit: None,
            ended: false,
        });
        if key == slab::NOTHING {
            return None;
        }
        self.by_id.insert(found.id.clone(), key);
        Some(key)
    }

    /// Takes in the facts that an event carries of a container.
    pub(super) fn add_facts<S: Sink>(
        &mut self,
        id: &str,
        facts: Vec<(String, String)>,
        sink: &mut S,
    ) {
        let known = ContainerId::new(id).ok().and_then(|id| self.by_id.get(&id));
        match known.and_then(|key| self.list.get(*key)) {
            Some(container) => {
                for (name, value) in facts {
                    sink.fact(container.handle, &name, &value);
                }
            }
            None if self.early_facts.len() < MAX_EARLY_FACTS => {
                self.early_facts.insert(id.into(), facts);
            }
            None => {}
        }
    }

    /// Reports the containers that run at `at`.
    pub(super) fn alive<S: Sink>(&self, at: u64, sink: &mut S) {
        for container in self.list.iter().filter(|one| one.processes > 0) {
            sink.alive(at, container.handle);
        }
    }

    /// Reports the containers that have ended before `at`, and forgets those that ended long ago.
    pub(super) fn end_empty<S: Sink>(&mut self, at: u64, sink: &mut S) {
        let since = |since: u64, time: u64| since.saturating_add(time) <= at;
        let empty = |one: &&mut Container| one.processes == 0 && one.empty_since != 0;
        let mut over = Vec::new();
        for container in self.list.iter_mut().filter(empty) {
            if !container.ended && since(container.empty_since, EMPTY_TIMEOUT) {
                container.end(sink);
            }
            if container.ended && since(container.empty_since, ENDED_TTL) {
                over.push(container.id.clone());
            }
        }
        for id in over {
            let key = self.by_id.remove(&id);
            if let Some(container) = key.and_then(|key| self.list.remove(key)) {
                sink.release_container(container.handle);
            }
        }
    }

    pub(super) fn handle(&self, key: u32) -> Option<ContainerHandle> {
        Some(self.list.get(key)?.handle)
    }

    /// A process has come to live in the container. One that was just made (`born`) may begin
    /// the container.
    pub(super) fn enter<S: Sink>(&mut self, key: u32, at: u64, born: bool, sink: &mut S) {
        let Some(container) = self.list.get_mut(key) else {
            return;
        };
        if born && !container.is_seen {
            sink.event(at, container.handle, EventKind::CONTAINER_START, None, "");
            sink.fact(container.handle, facts::STARTED, &at.to_string());
        }
        container.is_seen = true;
        container.ended = false;
        container.processes += 1;
    }

    /// A process has left it, by its end or another way; `first`: it was number 1 in it.
    pub(super) fn leave(&mut self, key: u32, at: u64, first: bool, exit: Option<Exit>) {
        if let Some(container) = self.list.get_mut(key) {
            container.processes = container.processes.saturating_sub(1);
            container.empty_since = at;
            if first {
                container.exit = exit;
            }
        }
    }
}

impl Container {
    fn end<S: Sink>(&mut self, sink: &mut S) {
        self.ended = true;
        let at = self.empty_since;
        let code = match self.exit {
            Some(Exit::Code(code)) => code.to_string(),
            // As in shells and Docker.
            Some(Exit::Signal(signal)) => (128 + u32::from(signal)).to_string(),
            None => String::new(),
        };
        sink.event(at, self.handle, EventKind::CONTAINER_END, None, &code);
        sink.fact(self.handle, facts::ENDED, &at.to_string());
        if !code.is_empty() {
            sink.fact(self.handle, facts::EXIT_CODE, &code);
        }
    }
}
