//! Builds a canonical segment from calls in any order.
//!
//! The agent's window and the server's roll-up make their segments here.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::cell::{Cell, Row, named, normalise};
use super::event::Event;
use super::facts::STARTED;
use super::file::{File, FileIo};
use super::loss::{Loss, Reason};
use super::network::{Connection, NetworkIo};
use super::process::{Cpu, Memory, Process, ProcessId};
use super::total::{Metric, Total};
use super::wait::Waits;
use super::{Coverage, Facts, Key, Segment};

/// A segment under construction. The indices that it returns are valid until [`Builder::build`].
#[derive(Debug)]
pub struct Builder {
    segment: Segment,
    processes: HashMap<(ProcessId, Box<str>), u32>,
    files: HashMap<File, u32>,
    connections: HashMap<Connection, u32>,
}

impl Builder {
    /// Starts a segment of `slots` slots, all gaps.
    pub fn new(key: Key, slots: usize) -> Self {
        Self {
            segment: Segment::empty(key, slots),
            processes: HashMap::new(),
            files: HashMap::new(),
            connections: HashMap::new(),
        }
    }

    /// The segment so far. It is not canonical yet.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Marks sub-slots of `slot` as covered. Ignores a slot beyond the last.
    pub fn cover(&mut self, slot: u32, coverage: Coverage) {
        if let Some(covered) = self.segment.coverage.get_mut(slot as usize) {
            covered.0 |= coverage.0;
        }
    }

    /// Sets a fact about the container.
    pub fn fact(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.segment.facts.insert(name.into(), value.into());
    }

    /// Sets facts about the container.
    pub fn facts(&mut self, facts: &Facts) {
        self.segment.facts.extend(
            facts
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
    }

    /// Inserts `process`, or merges its details into the entry that exists. Returns the index.
    pub fn process(&mut self, process: Process) -> u32 {
        let (id, name) = process.identity();
        let next = self.segment.processes.len() as u32;
        let index = *self.processes.entry((id, name.into())).or_insert(next);
        match self.segment.processes.get_mut(index as usize) {
            Some(entry) => entry.absorb(&process),
            None => self.segment.processes.push(process),
        }
        index
    }

    /// Gets or inserts `file`, and returns its index.
    pub fn file(&mut self, file: File) -> u32 {
        get_or_insert(&mut self.files, &mut self.segment.files, file)
    }

    /// Gets or inserts `connection`, and returns its index.
    pub fn connection(&mut self, connection: Connection) -> u32 {
        get_or_insert(
            &mut self.connections,
            &mut self.segment.connections,
            connection,
        )
    }

    /// Adds CPU time of a process on a core.
    pub fn cpu(&mut self, process: u32, core: u32, slot: u32, value: Cpu) {
        self.segment.cpu.push(Cell {
            row: Row(process, core),
            slot,
            value,
        });
    }

    /// Adds a measurement of a process's memory.
    pub fn memory(&mut self, process: u32, slot: u32, value: Memory) {
        self.segment.memory.push(Cell {
            row: Row(process, 0),
            slot,
            value: Memory {
                private: value.private.min(value.rss),
                ..value
            },
        });
    }

    /// Adds what a process did with a file.
    pub fn file_io(&mut self, process: u32, file: u32, slot: u32, value: FileIo) {
        self.segment.file_io.push(Cell {
            row: Row(process, file),
            slot,
            value,
        });
    }

    /// Adds what a process did with a connection.
    pub fn network_io(&mut self, process: u32, connection: u32, slot: u32, value: NetworkIo) {
        self.segment.network_io.push(Cell {
            row: Row(process, connection),
            slot,
            value,
        });
    }

    /// Adds what a process waited for.
    pub fn waits(&mut self, process: u32, slot: u32, value: Waits) {
        self.segment.waits.push(Cell {
            row: Row(process, 0),
            slot,
            value,
        });
    }

    /// Adds a figure of the container.
    pub fn total(&mut self, metric: Metric, slot: u32, value: u64) {
        self.segment.totals.push(Cell {
            row: Row(metric.0, 0),
            slot,
            value: Total { value },
        });
    }

    /// Adds a loss.
    pub fn loss(&mut self, reason: Reason, slot: u32, value: Loss) {
        self.segment.losses.push(Cell {
            row: Row(reason.0, 0),
            slot,
            value,
        });
    }

    /// Adds an event. Its process is an index that this builder returned.
    pub fn event(&mut self, event: Event) {
        self.segment.events.push(event);
    }

    /// Adds the dictionaries, cells and events of `other`. `target` maps its slots to those of
    /// this segment; `None` leaves the slot's cells and events out.
    pub fn take(&mut self, other: &Segment, target: impl Fn(u32) -> Option<u32>) {
        let processes: Vec<u32> = other
            .processes
            .iter()
            .map(|process| self.process(process.clone()))
            .collect();
        // Inserted only if a remaining cell names them.
        let mut files = vec![None; other.files.len()];
        let mut connections = vec![None; other.connections.len()];
        for cell in &other.cpu {
            let Some(slot) = target(cell.slot) else {
                continue;
            };
            self.cpu(processes[cell.row.0 as usize], cell.row.1, slot, cell.value);
        }
        for cell in &other.memory {
            let Some(slot) = target(cell.slot) else {
                continue;
            };
            self.memory(processes[cell.row.0 as usize], slot, cell.value);
        }
        for cell in &other.file_io {
            let Some(slot) = target(cell.slot) else {
                continue;
            };
            let old = cell.row.1 as usize;
            let file = *files[old].get_or_insert_with(|| self.file(other.files[old].clone()));
            self.file_io(processes[cell.row.0 as usize], file, slot, cell.value);
        }
        for cell in &other.network_io {
            let Some(slot) = target(cell.slot) else {
                continue;
            };
            let old = cell.row.1 as usize;
            let connection = *connections[old]
                .get_or_insert_with(|| self.connection(other.connections[old].clone()));
            self.network_io(processes[cell.row.0 as usize], connection, slot, cell.value);
        }
        for cell in &other.waits {
            let Some(slot) = target(cell.slot) else {
                continue;
            };
            self.waits(processes[cell.row.0 as usize], slot, cell.value);
        }
        for cell in &other.totals {
            let Some(slot) = target(cell.slot) else {
                continue;
            };
            self.total(Metric(cell.row.0), slot, cell.value.value);
        }
        for cell in &other.losses {
            let Some(slot) = target(cell.slot) else {
                continue;
            };
            self.loss(Reason(cell.row.0), slot, cell.value);
        }
        for event in &other.events {
            if other.slot_of(event.at).and_then(&target).is_some() {
                let process = event.process.map(|old| processes[old as usize]);
                self.event(Event {
                    process,
                    ..event.clone()
                });
            }
        }
    }

    /// The canonical segment.
    pub fn build(self) -> Segment {
        canonical(self.segment)
    }
}

/// Merges the facts of two pieces. The order does not matter.
///
/// If the container was started twice, only the facts of the later start count (a restarted
/// container has no exit code). Within one start the greater of two values counts.
pub(super) fn unite_facts(facts: &mut Facts, other: &Facts) {
    fn start(facts: &Facts) -> Option<(usize, &str)> {
        let decimal = facts.get(STARTED)?;
        Some((decimal.len(), decimal))
    }
    match start(other).cmp(&start(facts)) {
        Ordering::Less => {}
        Ordering::Greater => facts.clone_from(other),
        Ordering::Equal => {
            for (name, value) in other {
                match facts.get_mut(name) {
                    Some(existing) if *existing >= *value => {}
                    Some(existing) => existing.clone_from(value),
                    None => {
                        facts.insert(name.clone(), value.clone());
                    }
                }
            }
        }
    }
}

/// Makes a segment canonical. Its dictionaries must hold no duplicates already.
///
/// Sorts dictionaries, cells and events, merges cells of the same position, and drops
/// files and connections that no cell names. Moves events outside of the span, which an
/// imprecise clock causes, to its edge.
pub(super) fn canonical(mut segment: Segment) -> Segment {
    let files = named(segment.files.len(), &segment.file_io);
    let connections = named(segment.connections.len(), &segment.network_io);
    let processes = sort_dictionary(
        &mut segment.processes,
        |_| true,
        |a, b| a.identity().cmp(&b.identity()),
    );
    let files = sort_dictionary(&mut segment.files, |old| files[old], Ord::cmp);
    let connections = sort_dictionary(&mut segment.connections, |old| connections[old], Ord::cmp);
    segment.map_processes(&processes);
    for cell in &mut segment.file_io {
        cell.row.1 = files[cell.row.1 as usize];
    }
    for cell in &mut segment.network_io {
        cell.row.1 = connections[cell.row.1 as usize];
    }
    normalise(&mut segment.cpu);
    normalise(&mut segment.memory);
    normalise(&mut segment.file_io);
    normalise(&mut segment.network_io);
    normalise(&mut segment.waits);
    normalise(&mut segment.totals);
    normalise(&mut segment.losses);
    let start = segment.key.start.saturating_mul(1_000_000_000);
    let end = segment.end().saturating_mul(1_000_000_000);
    if start < end {
        for event in &mut segment.events {
            event.at = event.at.clamp(start, end - 1);
        }
    } else {
        segment.events.clear();
    }
    segment.events.sort();
    segment.events.dedup();
    segment
}

impl Segment {
    /// Replaces each index of a process in cells and events by `new[index]`.
    pub(super) fn map_processes(&mut self, new: &[u32]) {
        fn map<V>(cells: &mut [Cell<V>], new: &[u32]) {
            for cell in cells {
                cell.row.0 = new[cell.row.0 as usize];
            }
        }
        map(&mut self.cpu, new);
        map(&mut self.memory, new);
        map(&mut self.file_io, new);
        map(&mut self.network_io, new);
        map(&mut self.waits, new);
        for process in self
            .events
            .iter_mut()
            .filter_map(|event| event.process.as_mut())
        {
            *process = new[*process as usize];
        }
    }
}

/// Gets or inserts `entry`, and returns its index in `dictionary`.
fn get_or_insert<T: Clone + Eq + std::hash::Hash>(
    indices: &mut HashMap<T, u32>,
    dictionary: &mut Vec<T>,
    entry: T,
) -> u32 {
    if let Some(index) = indices.get(&entry) {
        return *index;
    }
    let index = dictionary.len() as u32;
    dictionary.push(entry.clone());
    indices.insert(entry, index);
    index
}

/// Sorts the unique `entries` and drops those with an index that `keep` rejects.
/// Returns the new index of each old one.
fn sort_dictionary<T>(
    entries: &mut Vec<T>,
    keep: impl Fn(usize) -> bool,
    order: impl Fn(&T, &T) -> Ordering,
) -> Vec<u32> {
    let mut new = vec![u32::MAX; entries.len()];
    let mut sorted: Vec<(usize, T)> = std::mem::take(entries)
        .into_iter()
        .enumerate()
        .filter(|&(old, _)| keep(old))
        .collect();
    sorted.sort_by(|(_, a), (_, b)| order(a, b));
    for (index, (old, entry)) in sorted.into_iter().enumerate() {
        new[old] = index as u32;
        entries.push(entry);
    }
    new
}
