//! Adds up segments for the report, by container. Its size is bounded: lists keep the busiest
//! entries, and the sums keep all.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;

use bubble_common::segment::cell::{Cell, Value};
use bubble_common::segment::event::EventKind;
use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::loss::Loss;
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};
use bubble_common::segment::process::{Exit, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::{ContainerId, Facts, Segment};

use super::seconds::Seconds;

/// Entries that a list is cut to, when it has twice as many.
const RETAINED_ENTRIES: usize = 10_000;
/// Most events (failed connections, OOM kills) that are kept: the first ones.
const MAX_EVENTS: usize = 100;

/// The sums of all containers.
#[derive(Debug, Default)]
pub struct Tally {
    /// By container.
    pub containers: BTreeMap<ContainerId, Container>,
}

/// The sums of one container.
#[derive(Debug, Default)]
pub struct Container {
    /// Its facts.
    pub facts: Facts,
    /// Seconds since the Unix epoch in which it was observed.
    pub observed: Seconds,
    /// CPU time by core, ns.
    pub cores: BTreeMap<u32, u64>,
    /// Highest CPU time in one second, ns.
    pub cpu_peak: u64,
    /// Highest resident memory of all processes at one time, bytes.
    pub memory_peak: u64,
    /// Of all files.
    pub file_io: FileIo,
    /// Of all connections.
    pub network_io: NetworkIo,
    /// Rows of processes.
    pub processes: Busiest<(ProcessId, String), Program>,
    /// Files.
    pub files: Busiest<File, FileIo>,
    /// Peers.
    pub peers: Busiest<Peer, NetworkIo>,
    /// Processes that began.
    pub started: u64,
    /// Processes that ended; exec is not an end.
    pub exits: u64,
    /// Processes that did not end with code 0.
    pub failed: u64,
    /// Failed connections and OOM kills: time, kind, name of the process, detail. The first of
    /// `events_count`.
    pub events: Vec<(u64, EventKind, String, String)>,
    /// Number of all.
    pub events_count: u64,
    /// Activity that could not be counted.
    pub losses: BTreeMap<u32, Loss>,
    /// Resident memory of the processes that run, as last seen.
    resident: HashMap<ProcessId, u64>,
}

/// The sums of one program of a process.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Program {
    /// The process.
    pub process: Option<Process>,
    /// CPU time, ns.
    pub cpu: u64,
    /// Highest resident memory, bytes.
    pub memory: u64,
    /// Files.
    pub file_io: FileIo,
    /// Connections.
    pub network_io: NetworkIo,
}

/// The other end of connections, without the port of a client, which says nothing.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Peer {
    /// The protocol.
    pub protocol: Protocol,
    /// Which side the container is.
    pub role: Role,
    /// Its address.
    pub address: String,
}

impl Tally {
    /// Adds a segment.
    pub fn add(&mut self, segment: &Segment) {
        let known = self.containers.entry(segment.key.container.clone());
        known.or_default().add(segment);
    }
}

impl Container {
    fn add(&mut self, segment: &Segment) {
        self.facts.extend(segment.facts.clone());
        for (slot, coverage) in (0..).zip(&segment.coverage) {
            if coverage.is_gap() {
                continue;
            }
            let length = segment.key.resolution.seconds();
            let begin = segment.key.start + slot * length;
            for second in begin..begin + length {
                self.observed.insert(second);
            }
        }
        self.add_processes(&segment.processes);
        self.add_cpu(segment);
        self.add_memory(segment);
        self.add_io(segment);
        for cell in &segment.totals {
            if Metric(cell.row.0) == Metric::PROCESSES_STARTED {
                self.started += cell.value.value;
            }
        }
        for cell in &segment.losses {
            let known = self.losses.entry(cell.row.0).or_default();
            known.absorb(cell.row, &cell.value);
        }
        self.add_events(segment);
    }

    fn add_cpu(&mut self, segment: &Segment) {
        let mut cpu = 0;
        for cell in &segment.cpu {
            plus(self.cores.entry(cell.row.1).or_default(), cell.value.ns);
            plus(&mut self.program(segment, cell).cpu, cell.value.ns);
            plus(&mut cpu, cell.value.ns);
        }
        self.cpu_peak = self.cpu_peak.max(cpu);
    }

    fn add_memory(&mut self, segment: &Segment) {
        // A folded row stands for other processes in each segment.
        let mut folded = 0;
        for cell in &segment.memory {
            let program = self.program(segment, cell);
            program.memory = program.memory.max(cell.value.rss);
            let process = &segment.processes[cell.row.0 as usize];
            if process.is_folded() {
                plus(&mut folded, cell.value.rss);
                continue;
            }
            let id = process.id;
            self.resident
                .insert(ProcessId { exec: 0, ..id }, cell.value.rss);
        }
        // Processes that ended within the slot may have run one after the other: only the
        // largest counts.
        let mut ended = 0;
        for process in &segment.processes {
            if process.exit.is_some() {
                let id = ProcessId {
                    exec: 0,
                    ..process.id
                };
                ended = ended.max(self.resident.remove(&id).unwrap_or(0));
            }
        }
        let resident = self.resident.values().copied();
        self.memory_peak = self
            .memory_peak
            .max(resident.fold(sum([ended, folded]), u64::saturating_add));
    }

    fn add_io(&mut self, segment: &Segment) {
        for cell in &segment.file_io {
            self.file_io.absorb(cell.row, &cell.value);
            self.program(segment, cell)
                .file_io
                .absorb(cell.row, &cell.value);
            let file = segment.files[cell.row.1 as usize].clone();
            self.files.entry(file).absorb(cell.row, &cell.value);
        }
        for cell in &segment.network_io {
            self.network_io.absorb(cell.row, &cell.value);
            self.program(segment, cell)
                .network_io
                .absorb(cell.row, &cell.value);
            let peer = Peer::of(&segment.connections[cell.row.1 as usize]);
            self.peers.entry(peer).absorb(cell.row, &cell.value);
        }
    }

    fn add_events(&mut self, segment: &Segment) {
        for event in &segment.events {
            let name = event
                .process
                .map(|index| segment.processes[index as usize].name.clone());
            self.events_count += 1;
            if self.events.len() < MAX_EVENTS {
                let name = name.unwrap_or_default();
                self.events
                    .push((event.at, event.kind, name, event.detail.clone()));
            }
        }
    }

    fn add_processes(&mut self, processes: &[Process]) {
        // A process has a row for each name of its threads, and all end with it.
        let mut ended = HashMap::new();
        for process in processes {
            let (id, name) = process.identity();
            let program = self.processes.entry((id, name.to_owned()));
            let exit = |known: &Option<Process>| known.as_ref().and_then(|of| of.exit);
            let before = exit(&program.process);
            match &mut program.process {
                Some(known) => known.absorb(process),
                unknown => *unknown = Some(process.clone()),
            }
            if let (None, Some(exit)) = (before, exit(&program.process)) {
                ended.insert((id.pid, id.start), exit);
            }
        }
        self.exits += ended.len() as u64;
        let failed = ended.values().filter(|exit| **exit != Exit::Code(0));
        self.failed += failed.count() as u64;
    }

    fn program<V>(&mut self, segment: &Segment, cell: &Cell<V>) -> &mut Program {
        let (id, name) = segment.processes[cell.row.0 as usize].identity();
        self.processes.entry((id, name.to_owned()))
    }
}

impl Peer {
    fn of(connection: &Connection) -> Self {
        let address = match (&connection.peer, connection.role) {
            (Address::Ip(ip, _), Role::Server) => ip.to_string(),
            (peer, _) => peer.to_string(),
        };
        let path = match &connection.local {
            Address::Path(path) if address.is_empty() => path.clone(),
            _ => address,
        };
        Self {
            protocol: connection.protocol,
            role: connection.role,
            address: path,
        }
    }
}

/// How busy an entry was, to choose those that are kept.
pub trait Activity {
    /// More is busier.
    fn activity(&self) -> u64;
}

impl Activity for FileIo {
    fn activity(&self) -> u64 {
        let bytes = self.bytes_in.saturating_add(self.bytes_out) / 4_096;
        sum([bytes, self.ops_in, self.ops_out, self.opens])
    }
}

impl Activity for NetworkIo {
    fn activity(&self) -> u64 {
        let bytes = self.bytes_in.saturating_add(self.bytes_out) / 4_096;
        let calls = [self.ops_in, self.ops_out, self.connects, self.failures];
        sum([bytes, sum(calls)])
    }
}

impl Activity for Program {
    fn activity(&self) -> u64 {
        sum([
            self.cpu / 1_000,
            self.file_io.activity(),
            self.network_io.activity(),
        ])
    }
}

fn plus(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

fn sum<const N: usize>(numbers: [u64; N]) -> u64 {
    numbers.into_iter().fold(0, u64::saturating_add)
}

/// A list of bounded length.
#[derive(Debug)]
pub struct Busiest<K, V> {
    entries: HashMap<K, V>,
    /// Entries that were cut.
    pub dropped: u64,
}

impl<K, V> Default for Busiest<K, V> {
    fn default() -> Self {
        Self {
            entries: HashMap::new(),
            dropped: 0,
        }
    }
}

impl<K: Eq + Hash + Clone + Ord, V: Activity + Default + Clone> Busiest<K, V> {
    fn entry(&mut self, key: K) -> &mut V {
        if self.entries.len() >= 2 * RETAINED_ENTRIES && !self.entries.contains_key(&key) {
            let idle = self.sorted().into_iter().skip(RETAINED_ENTRIES);
            let idle: Vec<K> = idle.map(|(key, _)| key.clone()).collect();
            self.dropped += idle.len() as u64;
            for key in idle {
                self.entries.remove(&key);
            }
        }
        self.entries.entry(key).or_default()
    }

    /// All entries, the busiest first.
    pub fn sorted(&self) -> Vec<(&K, &V)> {
        let mut sorted: Vec<(&K, &V)> = self.entries.iter().collect();
        sorted.sort_by(|a, b| (b.1.activity(), a.0).cmp(&(a.1.activity(), b.0)));
        sorted
    }

    /// The number of all entries, with those that were cut.
    pub fn count(&self) -> u64 {
        self.entries.len() as u64 + self.dropped
    }
}
