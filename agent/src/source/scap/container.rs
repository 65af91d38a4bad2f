//! Containers: found by the cgroups of threads, named by events.

use std::collections::HashMap;

use bubble_common::segment::event::EventKind;
use bubble_common::segment::process::Exit;
use bubble_common::segment::{ContainerId, facts};

use crate::clock::SECOND;
use crate::container::rule::{Found, Rules};
use crate::container::{HostFacts, describe};
use crate::sink::{ContainerHandle, Sink};
use crate::slab::{self, Slab};

/// Most containers of one capture; threads of those beyond are counted to none.
const MOST: usize = 16_384;
/// Most lists of cgroups whose container is remembered; then it is begun anew.
const REMEMBERED: usize = 4_096;
/// Most containers of which something was told before they were found.
const TOLD: usize = 1_024;
/// For how long one that has ended is remembered, in ns: it may be started again.
const ENDED: u64 = 60 * SECOND;
/// How long a container without a process is still taken for running, in ns: its runtime
/// may be between two of them.
const EMPTY: u64 = 100_000_000;

/// What is counted of a capture.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What is taken for a container; the host's name is the capture's.
    pub rules: Rules,
    /// Processes outside of containers are counted too, as a container that stands for the host.
    pub host: bool,
}

/// All containers that were met.
#[derive(Debug)]
pub(super) struct Containers {
    pub(super) options: Options,
    pub(super) facts: HostFacts,
    list: Slab<Container>,
    by_id: HashMap<ContainerId, u32>,
    /// The container of a list of cgroups.
    by_cgroups: HashMap<Box<[u8]>, Option<u32>>,
    /// What events told, by the id.
    told: HashMap<Box<str>, Vec<(String, String)>>,
    host: Option<u32>,
}

#[derive(Debug)]
struct Container {
    id: ContainerId,
    handle: ContainerHandle,
    /// A process was seen in it.
    met: bool,
    /// Processes that live in it.
    processes: u32,
    /// When the last of them ended.
    empty_since: u64,
    /// How the first of its processes (that with number 1 in it) ended.
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
            told: HashMap::new(),
            host: None,
        }
    }

    /// The machine is another one: what was found by its paths is not found again by them.
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

    /// The place of the container of a list of cgroups; nothing for none.
    pub(super) fn of_cgroups<S: Sink>(&mut self, cgroups: &[u8], sink: &mut S) -> Option<u32> {
        match self.by_cgroups.get(cgroups) {
            Some(None) => return None,
            Some(Some(place)) if self.list.get(*place).is_some() => return Some(*place),
            _ => {}
        }
        let found = cgroups.split(|byte| *byte == 0).find_map(|item| {
            // `subsystem=/path`; a named hierarchy has another `=` before its path.
            let begin = item.iter().position(|byte| *byte == b'/')?;
            let path = std::str::from_utf8(&item[begin..]).ok()?;
            self.options.rules.find(path)
        });
        let place = found.and_then(|found| self.meet(&found, sink));
        if self.by_cgroups.len() >= REMEMBERED {
            self.by_cgroups.clear();
        }
        self.by_cgroups.insert(cgroups.into(), place);
        place
    }

    /// The place of the container that stands for the host, if that is wanted.
    pub(super) fn of_host<S: Sink>(&mut self, sink: &mut S) -> Option<u32> {
        if !self.options.host {
            return None;
        }
        if self.host.is_none_or(|place| self.list.get(place).is_none()) {
            let found = self.options.rules.host()?;
            self.host = self.meet(&found, sink);
        }
        self.host
    }

    fn meet<S: Sink>(&mut self, found: &Found, sink: &mut S) -> Option<u32> {
        if let Some(place) = self.by_id.get(&found.id) {
            return Some(*place);
        }
        if self.list.len() >= MOST {
            return None;
        }
        let handle = sink.container(&found.id);
        describe(handle, found, &self.facts, sink);
        for (name, value) in self.told.remove(found.id.as_str()).unwrap_or_default() {
            sink.fact(handle, &name, &value);
        }
        let place = self.list.insert(Container {
            id: found.id.clone(),
            handle,
            met: false,
            processes: 0,
            empty_since: 0,
            exit: None,
            ended: false,
        });
        if place == slab::NOTHING {
            return None;
        }
        self.by_id.insert(found.id.clone(), place);
        Some(place)
    }

    /// Takes in what an event tells of a container.
    pub(super) fn tell<S: Sink>(&mut self, id: &str, told: Vec<(String, String)>, sink: &mut S) {
        let known = ContainerId::new(id).ok().and_then(|id| self.by_id.get(&id));
        match known.and_then(|place| self.list.get(*place)) {
            Some(container) => {
                for (name, value) in told {
                    sink.fact(container.handle, &name, &value);
                }
            }
            None if self.told.len() < TOLD => {
                self.told.insert(id.into(), told);
            }
            None => {}
        }
    }

    /// Tells the sink which containers are there at `at`.
    pub(super) fn alive<S: Sink>(&self, at: u64, sink: &mut S) {
        for container in self.list.iter().filter(|one| one.processes > 0) {
            sink.alive(at, container.handle);
        }
    }

    /// Tells the sink of those that have ended before `at`, and lets go of those that have long.
    pub(super) fn end_empty<S: Sink>(&mut self, at: u64, sink: &mut S) {
        let since = |since: u64, time: u64| since.saturating_add(time) <= at;
        let empty = |one: &&mut Container| one.processes == 0 && one.empty_since != 0;
        let mut over = Vec::new();
        for container in self.list.iter_mut().filter(empty) {
            if !container.ended && since(container.empty_since, EMPTY) {
                container.end(sink);
            }
            if container.ended && since(container.empty_since, ENDED) {
                over.push(container.id.clone());
            }
        }
        for id in over {
            let place = self.by_id.remove(&id);
            if let Some(container) = place.and_then(|place| self.list.remove(place)) {
                sink.release_container(container.handle);
            }
        }
    }

    pub(super) fn handle(&self, place: u32) -> Option<ContainerHandle> {
        Some(self.list.get(place)?.handle)
    }

    /// A process has come to live in the container; `born`: it was made just now, so that
    /// the container may be new.
    pub(super) fn enter<S: Sink>(&mut self, place: u32, at: u64, born: bool, sink: &mut S) {
        let Some(container) = self.list.get_mut(place) else {
            return;
        };
        if born && !container.met {
            sink.event(at, container.handle, EventKind::CONTAINER_START, None, "");
            sink.fact(container.handle, facts::STARTED, &at.to_string());
        }
        container.met = true;
        container.ended = false;
        container.processes += 1;
    }

    /// A process has left it, by its end or another way; `first` if it was number 1 in it.
    pub(super) fn leave(&mut self, place: u32, at: u64, first: bool, exit: Option<Exit>) {
        if let Some(container) = self.list.get_mut(place) {
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
            // As shells and Docker have it.
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
