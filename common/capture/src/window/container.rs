//! A container in the window, with its processes, files and connections.

use std::collections::{HashMap, VecDeque};
use std::hash::Hash;

use bubble_common::segment::file::File;
use bubble_common::segment::network::Connection;
use bubble_common::segment::process::{Process, ProcessId};
use bubble_common::segment::{ContainerId, Facts};

use super::second::Second;
use super::wait::Rests;
use crate::slab::Slab;

/// Maximum number of files, and of connections, of one container at a time. The rest is counted as
/// "others". Far above the maximum of a segment.
pub(super) const MAX_ENTRIES: usize = 8_192;
/// The same for all containers together.
const MAX_HOST_ENTRIES: usize = 65_536;

#[derive(Debug)]
pub(super) struct Container {
    pub(super) id: ContainerId,
    pub(super) facts: Facts,
    /// Some facts are in no segment yet.
    pub(super) facts_changed: bool,
    /// Open seconds in order.
    pub(super) open: VecDeque<Second>,
    pub(super) processes: HashMap<(ProcessId, Box<str>), u32>,
    pub(super) files: HashMap<File, u32>,
    pub(super) connections: HashMap<Connection, u32>,
    /// New or changed processes, for the next segment.
    pub(super) changed: Vec<u32>,
    /// Released processes, each with the last open second that may refer to it.
    pub(super) ending: Vec<(u32, u64)>,
    pub(super) released: bool,
}

impl Container {
    pub(super) fn new(id: ContainerId) -> Self {
        Self {
            id,
            facts: Facts::new(),
            facts_changed: true,
            open: VecDeque::new(),
            processes: HashMap::new(),
            files: HashMap::new(),
            connections: HashMap::new(),
            changed: Vec::new(),
            ending: Vec::new(),
            released: false,
        }
    }

    pub(super) fn has_unreported_facts(&self) -> bool {
        self.facts_changed && !self.facts.is_empty()
    }

    /// Processes that a segment lists although they may have done nothing: the new and changed ones,
    /// or all of them. `end` is the end of the segment's second, ns.
    pub(super) fn take_reported(
        &mut self,
        processes: &mut Slab<ProcessEntry>,
        all: bool,
        end: u64,
    ) -> Vec<u32> {
        let mut reported: Vec<u32> = Vec::new();
        if all {
            reported.extend(self.processes.values());
        }
        for handle in std::mem::take(&mut self.changed) {
            let Some(entry) = processes.get_mut(handle) else {
                continue;
            };
            if entry.process.id.start < end {
                reported.push(handle);
            }
            // A process that starts or ends later is reported again in that second.
            entry.is_changed = entry.process.id.start >= end || entry.process.end >= end;
            if entry.is_changed {
                self.changed.push(handle);
            }
        }
        reported
    }
}

#[derive(Debug)]
pub(super) struct ProcessEntry {
    pub(super) container: u32,
    pub(super) process: Process,
    /// It is in the container's list of changed processes.
    pub(super) is_changed: bool,
    /// Rests of its waits that are in no segment yet.
    pub(super) rests: Rests,
}

/// A file or a connection.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) container: u32,
    pub(super) key: T,
    /// The last second in which its handle was asked for or used.
    pub(super) last_used: u64,
}

/// The handle of `key`; that of `other` if there are too many.
pub(super) fn get_or_insert<T: Clone + Eq + Hash>(
    slab: &mut Slab<Entry<T>>,
    known: &mut HashMap<T, u32>,
    container: u32,
    key: &T,
    now: u64,
    other: fn() -> T,
) -> u32 {
    if let Some(handle) = known.get(key) {
        if let Some(entry) = slab.get_mut(*handle) {
            entry.last_used = now;
        }
        return *handle;
    }
    let mut key = key.clone();
    if known.len() >= MAX_ENTRIES || slab.len() >= MAX_HOST_ENTRIES {
        key = other();
        if let Some(handle) = known.get(&key) {
            return *handle;
        }
    }
    let handle = slab.insert(Entry {
        container,
        key: key.clone(),
        last_used: now,
    });
    known.insert(key, handle);
    handle
}
