//! The containers of a recording, by the id that lines carry.

use std::collections::{HashMap, HashSet};

use bubble_common::segment::{ContainerId, facts};

use super::handles::Handles;
use super::line::Line;
use crate::sink::{ContainerHandle, Sink};

/// Most containers of a recording; lines of further ones are not counted.
const MAX_CONTAINERS: usize = 65_536;
/// Most server ends of one container that are remembered.
const MAX_LISTENING: usize = 1_024;

/// All containers so far.
#[derive(Debug, Default)]
pub(super) struct Containers {
    /// The container that stands for the host, if the host is counted.
    host: Option<ContainerId>,
    ids: HashMap<Box<[u8]>, usize>,
    list: Vec<Container>,
}

/// A container.
#[derive(Debug)]
pub(super) struct Container {
    /// Its index among all.
    pub(super) index: usize,
    pub(super) handle: ContainerHandle,
    pub(super) handles: Handles,
    name: Box<[u8]>,
    /// Its ends of connections that it accepted.
    listening: HashSet<Box<[u8]>>,
}

impl Containers {
    /// No containers yet; `host` stands for the host, if that is counted.
    pub(super) fn new(host: Option<ContainerId>) -> Self {
        Self {
            host,
            ..Self::default()
        }
    }

    /// The index of a line's container, if it is counted.
    pub(super) fn of_line<S: Sink>(&mut self, line: &Line<'_>, sink: &mut S) -> Option<usize> {
        if let Some(index) = self.ids.get(line.container) {
            let container = &mut self.list[*index];
            if *container.name != *line.container_name {
                container.name = line.container_name.into();
                report_name(container.handle, line, sink);
            }
            return Some(*index);
        }
        let id = match line.container {
            b"host" => self.host.clone()?,
            id => ContainerId::new(std::str::from_utf8(id).ok()?).ok()?,
        };
        if self.list.len() >= MAX_CONTAINERS {
            return None;
        }
        let handle = sink.container(&id);
        sink.fact(handle, facts::HOOKS, "capture");
        report_name(handle, line, sink);
        sink.alive(line.at, handle);
        let index = self.list.len();
        self.list.push(Container {
            index,
            handle,
            handles: Handles::default(),
            name: line.container_name.into(),
            listening: HashSet::new(),
        });
        self.ids.insert(line.container.into(), index);
        Some(index)
    }

    pub(super) fn get(&self, index: usize) -> &Container {
        &self.list[index]
    }

    pub(super) fn get_mut(&mut self, index: usize) -> &mut Container {
        &mut self.list[index]
    }

    /// Forgets the handles that have to be asked for again.
    pub(super) fn expire_handles(&mut self, now: u64) {
        for container in &mut self.list {
            container.handles.expire(now);
        }
    }
}

impl Container {
    /// Notes that it accepts connections at this end.
    pub(super) fn add_listening(&mut self, server: &[u8]) {
        if self.listening.len() < MAX_LISTENING && !self.listening.contains(server) {
            self.listening.insert(server.into());
        }
    }

    /// Whether it accepts connections at this end.
    pub(super) fn is_listening(&self, server: &[u8]) -> bool {
        self.listening.contains(server)
    }
}

fn report_name<S: Sink>(container: ContainerHandle, line: &Line<'_>, sink: &mut S) {
    if !line.container_name.is_empty() {
        let name = String::from_utf8_lossy(line.container_name);
        sink.fact(container, facts::NAME, &name);
    }
}
