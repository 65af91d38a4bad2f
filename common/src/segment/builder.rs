//! Builds a canonical segment from calls in any order.
//!
//! The agent's window, the decoder's tests, merging and roll-up all end here, so
//! that there is one place in which dictionaries are united and indices mapped.

use std::cmp::Ordering;
use std::collections::HashMap;

use super::cell::{Cell, Row, normalise};
use super::event::Event;
use super::facts::STARTED;
use super::file::{File, FileIo};
use super::loss::{Loss, Reason};
use super::network::{Connection, NetworkIo};
use super::process::{Cpu, Memory, Process, ProcessId};
use super::total::{Metric, Total};
use super::{Coverage, Facts, Key, Segment};

/// A segment in the making. Indices that it hands out are good until [`Builder::build`].
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

    /// The segment as far as it is: not canonical yet.
    pub fn segment(&self) -> &Segment {
        &self.segment
    }

    /// Marks sub-slots of `slot` as known. A slot beyond the last is ignored.
    pub fn cover(&mut self, slot: u32, coverage: Coverage) {
        if let Some(known) = self.segment.coverage.get_mut(slot as usize) {
            known.0 |= coverage.0;
        }
    }

    /// Notes a fact about the container; a later one replaces it.
    pub fn fact(&mut self, name: impl Into<String>, value: impl Into<String>) {
        self.segment.facts.insert(name.into(), value.into());
    }

    /// Notes facts; later ones replace those of the same name.
    pub fn facts(&mut self, facts: &Facts) {
        self.segment.facts.extend(
            facts
                .iter()
                .map(|(name, value)| (name.clone(), value.clone())),
        );
    }

    /// The index of `process`, whose details are united with what is known of it.
    pub fn process(&mut self, process: Process) -> u32 {
        let (id, name) = process.identity();
        let next = self.segment.processes.len() as u32;
        let index = *self.processes.entry((id, name.into())).or_insert(next);
        match self.segment.processes.get_mut(index as usize) {
            Some(known) => known.absorb(&process),
            None => self.segment.processes.push(process),
        }
        index
    }

    /// The index of `file`.
    pub fn file(&mut self, file: File) -> u32 {
        intern(&mut self.files, &mut self.segment.files, file)
    }

    /// The index of `connection`.
    pub fn connection(&mut self, connection: Connection) -> u32 {
        intern(
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

    /// Adds a reading of a process's memory.
    pub fn memory(&mut self, process: u32, slot: u32, value: Memory) {
        self.segment.memory.push(Cell {
            row: Row(process, 0),
            slot,
            value,
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

    /// Adds an event; its process is an index that this builder gave.
    pub fn event(&mut self, event: Event) {
        self.segment.events.push(event);
    }

    /// Takes in the dictionaries and the cells of `other`, cells at the slot
    /// that `place` gives for theirs; those for which it gives none are left out.
    pub fn take(&mut self, other: &Segment, place: impl Fn(u32) -> Option<u32>) {
        let processes: Vec<u32> = other
            .processes
            .iter()
            .map(|process| self.process(process.clone()))
            .collect();
        // Files and connections that no remaining cell names would be dead weight.
        let mut files = vec![None; other.files.len()];
        let mut connections = vec![None; other.connections.len()];
        for cell in &other.cpu {
            let Some(slot) = place(cell.slot) else {
                continue;
            };
            self.cpu(processes[cell.row.0 as usize], cell.row.1, slot, cell.value);
        }
        for cell in &other.memory {
            let Some(slot) = place(cell.slot) else {
                continue;
            };
            self.memory(processes[cell.row.0 as usize], slot, cell.value);
        }
        for cell in &other.file_io {
            let Some(slot) = place(cell.slot) else {
                continue;
            };
            let old = cell.row.1 as usize;
            let file = *files[old].get_or_insert_with(|| self.file(other.files[old].clone()));
            self.file_io(processes[cell.row.0 as usize], file, slot, cell.value);
        }
        for cell in &other.network_io {
            let Some(slot) = place(cell.slot) else {
                continue;
            };
            let old = cell.row.1 as usize;
            let connection = *connections[old]
                .get_or_insert_with(|| self.connection(other.connections[old].clone()));
            self.network_io(processes[cell.row.0 as usize], connection, slot, cell.value);
        }
        for cell in &other.totals {
            let Some(slot) = place(cell.slot) else {
                continue;
            };
            self.total(Metric(cell.row.0), slot, cell.value.value);
        }
        for cell in &other.losses {
            let Some(slot) = place(cell.slot) else {
                continue;
            };
            self.loss(Reason(cell.row.0), slot, cell.value);
        }
        for event in &other.events {
            if other.slot_of(event.at).and_then(&place).is_some() {
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

/// Makes facts known from two pieces one, whatever their order: those of the
/// container's later start count (a restarted container forgets its exit code);
/// of the same start all count, and the greater of two values.
pub(super) fn unite_facts(kept: &mut Facts, other: &Facts) {
    fn start(facts: &Facts) -> Option<(usize, &str)> {
        let decimal = facts.get(STARTED)?;
        Some((decimal.len(), decimal))
    }
    match start(other).cmp(&start(kept)) {
        Ordering::Less => {}
        Ordering::Greater => kept.clone_from(other),
        Ordering::Equal => {
            for (name, value) in other {
                match kept.get_mut(name) {
                    Some(known) if *known >= *value => {}
                    Some(known) => known.clone_from(value),
                    None => {
                        kept.insert(name.clone(), value.clone());
                    }
                }
            }
        }
    }
}

/// Brings a segment whose dictionaries hold no duplicates into order: sorts
/// dictionaries, cells and events, makes cells of the same place one, forgets
/// files and connections that no cell names, and moves events that are outside
/// of the span (by a clock's imprecision) to its edge.
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
    /// Gives each process that a cell or an event names the index that `new` has for it.
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
        for process in self
            .events
            .iter_mut()
            .filter_map(|event| event.process.as_mut())
        {
            *process = new[*process as usize];
        }
    }
}

/// Which of `count` entries the second indices of `cells` name.
fn named<V>(count: usize, cells: &[Cell<V>]) -> Vec<bool> {
    let mut named = vec![false; count];
    for cell in cells {
        named[cell.row.1 as usize] = true;
    }
    named
}

/// The index of `entry` in `dictionary`, where it is put if it is new.
fn intern<T: Clone + Eq + std::hash::Hash>(
    known: &mut HashMap<T, u32>,
    dictionary: &mut Vec<T>,
    entry: T,
) -> u32 {
    if let Some(index) = known.get(&entry) {
        return *index;
    }
    let index = dictionary.len() as u32;
    dictionary.push(entry.clone());
    known.insert(entry, index);
    index
}

/// Sorts those of `entries`, which are unique, that `keep` accepts by their
/// index, and returns the new index of each old one.
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
