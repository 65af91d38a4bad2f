//! Adds up segments for reports, by container. Its size is bounded: lists retain the busiest
//! entries, and the sums have all.
//!
//! Each slot of each source may be added once, in any resolution: as an agent closes seconds, or as a
//! server reads them.

mod add;
mod busiest;
mod moments;
mod seconds;

use std::collections::{BTreeMap, HashMap};

use self::busiest::sum;
pub use self::busiest::{Activity, Busiest};
pub use self::moments::{Moment, Moments};
pub use self::seconds::Seconds;
use crate::segment::event::EventKind;
use crate::segment::file::{File, FileIo};
use crate::segment::loss::Loss;
use crate::segment::network::{Address, Connection, NetworkIo, Protocol, Role};
use crate::segment::process::{Exit, Process, ProcessId};
use crate::segment::total::Metric;
use crate::segment::wait::Waits;
use crate::segment::{ContainerId, Facts, Segment, SourceId};

/// The sums of all containers.
#[derive(Debug, Default)]
pub struct Tally {
    /// By container.
    pub containers: BTreeMap<ContainerId, Container>,
    /// Memory is reported when it changes, and not in each second.
    carries_memory: bool,
}

/// The sums of one container.
#[derive(Debug, Default)]
pub struct Container {
    /// Its facts.
    pub facts: Facts,
    /// Seconds since the Unix epoch in which it was observed.
    pub observed: Seconds,
    /// Length of the longest slot, in seconds: what happened within one is not known apart.
    pub longest_slot: u64,
    /// CPU time by core, ns.
    pub cores: BTreeMap<u32, u64>,
    /// The busiest slot: CPU time per second of it, ns.
    pub cpu_peak: Peak,
    /// Highest resident memory of all processes at one time, bytes.
    pub resident_peak: Peak,
    /// CPU and memory by time.
    pub moments: Moments,
    /// The container's own figures by metric: the sum, or the highest value with its time.
    pub totals: BTreeMap<Metric, Peak>,
    /// What the first slot says of [`Metric::MEMORY_PEAK`], which counts from the creation of the cgroup.
    pub first_memory_peak: Option<Peak>,
    /// Waits of all processes. `None` if no source counted any.
    pub waits: Option<Waits>,
    /// The part of the waits for a lock that is of threads without work, in the unit of [`Waits`].
    pub idle: u64,
    /// CPU time by source, and whether the source counted waits.
    sources: BTreeMap<SourceId, SourceTime>,
    /// Of all files.
    pub file_io: FileIo,
    /// Of all connections.
    pub network_io: NetworkIo,
    /// Rows of processes.
    pub processes: Busiest<(ProcessId, String), Program>,
    /// Processes by the name of their program.
    pub commands: Busiest<String, Command>,
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
    /// The same by name and end.
    pub failures: Busiest<(String, Exit), Count>,
    /// Processes that lived for less than a second.
    pub short: u64,
    /// What rows stand for several processes, files or connections.
    pub folded: Folded,
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

/// CPU time that one source counted.
#[derive(Debug, Clone, Copy, Default)]
struct SourceTime {
    cpu_ns: u64,
    /// In one second of a process that never waits there are none, so one second decides for all.
    has_waits: bool,
}

/// The highest of some values, and when it was reached first.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Peak {
    /// The value.
    pub value: u64,
    /// Start of the slot, seconds since the Unix epoch.
    pub at: u64,
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
    /// What its threads waited for.
    pub waits: Waits,
    /// The part of the waits for a lock that is of threads without work.
    pub idle: u64,
}

/// The sums of all processes that ran a program of one name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Command {
    /// How many processes; a lower bound if some are folded.
    pub processes: u64,
    /// Some of them are folded, so they may be more.
    pub is_folded: bool,
    /// CPU time, ns.
    pub cpu: u64,
    /// Highest resident memory of one of them, bytes.
    pub memory: u64,
    /// Files.
    pub file_io: FileIo,
    /// Connections.
    pub network_io: NetworkIo,
    /// What their threads waited for.
    pub waits: Waits,
    /// The part of the waits for a lock that is of threads without work.
    pub idle: u64,
}

/// A number of equal things.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count(pub u64);

/// What rows stand for several things beyond a cap. Their sums are exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Folded {
    /// Processes.
    pub processes: bool,
    /// Files.
    pub files: bool,
    /// Connections.
    pub connections: bool,
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
    /// A tally of a recording, in which memory is reported when it changes.
    pub fn of_recording() -> Self {
        Self {
            carries_memory: true,
            ..Self::default()
        }
    }

    /// Adds a segment.
    pub fn add(&mut self, segment: &Segment) {
        let known = self.containers.entry(segment.key.container.clone());
        known.or_default().add(segment, self.carries_memory);
    }
}

impl Peak {
    /// Takes over a higher value, or an earlier time of the same one.
    pub(super) fn raise(&mut self, value: u64, at: u64) {
        if value > self.value || (value == self.value && at < self.at) {
            *self = Self { value, at };
        }
    }
}

impl Container {
    /// A figure of the container: the sum or the highest. `None` if it was not read.
    pub fn total(&self, metric: Metric) -> Option<u64> {
        self.totals.get(&metric).map(|peak| peak.value)
    }

    /// CPU time of all processes, ns.
    pub fn cpu_ns(&self) -> u64 {
        self.cores.values().copied().fold(0, u64::saturating_add)
    }

    /// CPU time of the sources that counted waits, ns. Only that goes together with the waits.
    pub fn cpu_beside_waits_ns(&self) -> u64 {
        let sources = self.sources.values().filter(|source| source.has_waits);
        sources.fold(0, |sum, source| sum.saturating_add(source.cpu_ns))
    }
}

impl Peer {
    /// The peer of a connection.
    pub fn of(connection: &Connection) -> Self {
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

impl Activity for Program {
    fn activity(&self) -> u64 {
        sum([
            self.cpu / 1_000,
            self.file_io.activity(),
            self.network_io.activity(),
            self.waits.activity(),
        ])
    }
}

impl Activity for Command {
    fn activity(&self) -> u64 {
        sum([
            self.cpu / 1_000,
            self.file_io.activity(),
            self.network_io.activity(),
            self.waits.activity(),
        ])
    }
}

impl Activity for Count {
    fn activity(&self) -> u64 {
        self.0
    }
}
