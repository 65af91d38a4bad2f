//! The report of a recording, for a person. It is made from the segments: so it is the same for
//! every format, and has the page's figures.
//!
//! `Report` is also the JSON of `--json`; `print` has the text.

pub mod print;

use bubble_common::report::tally::{self, Activity, Busiest, Peer, Program, Tally};
use bubble_common::segment::file::FileIo;
use bubble_common::segment::loss::Reason;
use bubble_common::segment::network::NetworkIo;
use bubble_common::segment::process::Exit;
use bubble_common::segment::{ContainerId, facts};
use serde::Serialize;

use crate::clock::SECOND;
use crate::source::recording::Position;

/// Most entries of each list.
const MAX_LISTED: usize = 100;

/// A report of one recording.
#[derive(Debug, Serialize)]
pub struct Report {
    /// Name of the recording.
    pub name: String,
    /// `scap`, `json` or `text`.
    pub format: &'static str,
    /// Time of its first event: ns since the Unix epoch.
    pub first: Option<u64>,
    /// Time of its latest event.
    pub last: Option<u64>,
    /// Events (or lines) that were taken in.
    pub events: u64,
    /// Events (or lines) that were skipped.
    pub skipped: u64,
    /// Why it ended early; absent if it was whole.
    pub damage: Option<String>,
    /// Facts that its format lacks: one sentence each.
    pub missing: Vec<String>,
    /// Containers, those with the most CPU time first.
    pub containers: Vec<Container>,
}

/// One container.
#[derive(Debug, Serialize)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name, if it is known.
    pub name: Option<String>,
    /// Its image, if it is known.
    pub image: Option<String>,
    /// When it was first observed: seconds since the Unix epoch.
    pub first: u64,
    /// When it was last observed (exclusive).
    pub last: u64,
    /// Wall time: from its first moment to its last one, as far as the recording has them, in
    /// seconds.
    pub wall_seconds: f64,
    /// Seconds of it that nothing is known of.
    pub gap_seconds: u64,
    /// CPU time, ns.
    pub cpu_ns: u64,
    /// Cores used: CPU time by the wall time without gaps.
    pub cores_average: f64,
    /// Cores used in the busiest second; at least the average, as the recording may have a part of
    /// a second only.
    pub cores_peak: f64,
    /// CPU time by core, ns.
    pub cores: Vec<(u32, u64)>,
    /// Highest resident memory of all its processes at one time, bytes; absent if not known.
    pub memory_peak: Option<u64>,
    /// Files and pipes.
    pub files_total: Files,
    /// Sockets.
    pub network_total: Network,
    /// Processes that began.
    pub processes_started: u64,
    /// Processes that ended.
    pub processes_ended: u64,
    /// Processes that did not end with code 0.
    pub processes_failed: u64,
    /// Processes, the busiest first: at most [`MAX_LISTED`] of `processes_count`.
    pub processes: Vec<Process>,
    /// Number of all.
    pub processes_count: u64,
    /// Files, the busiest first: at most [`MAX_LISTED`] of `files_count`.
    pub files: Vec<FileEntry>,
    /// Number of all.
    pub files_count: u64,
    /// Peers, the busiest first: at most [`MAX_LISTED`] of `peers_count`.
    pub peers: Vec<PeerEntry>,
    /// Number of all.
    pub peers_count: u64,
    /// Processes that did not end with code 0, in order of time: at most [`MAX_LISTED`].
    pub failures: Vec<Ended>,
    /// Events, in order of time: the first of `events_count`.
    pub events: Vec<Happened>,
    /// Number of all.
    pub events_count: u64,
    /// Activity that could not be counted.
    pub losses: Vec<Lost>,
}

/// Sums of files.
#[derive(Debug, Serialize)]
pub struct Files {
    /// Bytes read.
    pub read: u64,
    /// Bytes written.
    pub written: u64,
    /// Calls that read.
    pub reads: u64,
    /// Calls that wrote.
    pub writes: u64,
    /// Times that one was opened.
    pub opens: u64,
}

/// Sums of sockets.
#[derive(Debug, Serialize)]
pub struct Network {
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Calls that received.
    pub receives: u64,
    /// Calls that sent.
    pub sends: u64,
    /// Connections made or accepted.
    pub connects: u64,
    /// Connections that failed.
    pub failures: u64,
}

/// One program that one process ran.
#[derive(Debug, Serialize)]
pub struct Process {
    /// Process id on the host.
    pub pid: u32,
    /// Process id in the container; 0 if not known.
    pub container_pid: u32,
    /// Its name.
    pub name: String,
    /// Its command line, words separated by spaces.
    pub command: String,
    /// CPU time, ns.
    pub cpu_ns: u64,
    /// Highest resident memory, bytes.
    pub memory_peak: u64,
    /// Files.
    pub files: Files,
    /// Sockets.
    pub network: Network,
    /// How it ended, if it did: `code 1`, `signal 9`.
    pub exit: Option<String>,
}

/// A file.
#[derive(Debug, Serialize)]
pub struct FileEntry {
    /// Its path.
    pub path: String,
    /// Its kind.
    pub kind: &'static str,
    /// Its sums.
    #[serde(flatten)]
    pub sums: Files,
}

/// A peer.
#[derive(Debug, Serialize)]
pub struct PeerEntry {
    /// The protocol.
    pub protocol: &'static str,
    /// The role of the container: `client`, `server` or `unknown`.
    pub role: &'static str,
    /// Address of the peer, without the port of a client.
    pub address: String,
    /// Its sums.
    #[serde(flatten)]
    pub sums: Network,
}

/// A process that ended.
#[derive(Debug, Serialize)]
pub struct Ended {
    /// When: ns since the Unix epoch.
    pub at: u64,
    /// Process id on the host.
    pub pid: u32,
    /// Its name.
    pub name: String,
    /// `code 1`, `signal 9`.
    pub exit: String,
}

/// An event.
#[derive(Debug, Serialize)]
pub struct Happened {
    /// When: ns since the Unix epoch.
    pub at: u64,
    /// `connection_failed`, `oom_kill`, …
    pub kind: &'static str,
    /// Name of the process.
    pub process: String,
    /// Details.
    pub detail: String,
}

/// Activity that could not be counted.
#[derive(Debug, Serialize)]
pub struct Lost {
    /// The reason.
    pub reason: &'static str,
    /// Number of times.
    pub count: u64,
    /// Number of bytes, if it is known.
    pub bytes: u64,
}

impl Report {
    /// A report of the sums in `tally`, read up to `position`.
    pub fn new(name: &str, format: &'static str, position: Position, tally: &Tally) -> Self {
        let mut containers: Vec<Container> = tally
            .containers
            .iter()
            .map(|(id, container)| Container::new(id, container, position))
            .collect();
        containers.sort_by(|a, b| (b.cpu_ns, &a.id).cmp(&(a.cpu_ns, &b.id)));
        Self {
            name: name.to_owned(),
            format,
            first: position.first,
            last: position.last,
            events: position.events,
            skipped: position.skipped,
            damage: None,
            missing: Vec::new(),
            containers,
        }
    }
}

impl Container {
    fn new(id: &ContainerId, tally: &tally::Container, position: Position) -> Self {
        let (first, last) = tally.observed.span().unwrap_or_default();
        let gap_seconds = last - first - tally.observed.count();
        let wall = wall(tally, position);
        let cpu_ns = tally.cpu_ns();
        let fact = |name: &str| tally.facts.get(name).cloned();
        let observed = wall.saturating_sub(gap_seconds * SECOND);
        let average = match observed {
            0 => 0.0,
            observed => cpu_ns as f64 / observed as f64,
        };
        Self {
            id: id.to_string(),
            name: fact(facts::NAME),
            image: fact(facts::IMAGE),
            first,
            last,
            wall_seconds: wall as f64 / 1e9,
            gap_seconds,
            cpu_ns,
            cores_average: average,
            cores_peak: (tally.cpu_peak.value as f64 / 1e9).max(average),
            cores: tally.cores.iter().map(|(core, ns)| (*core, *ns)).collect(),
            memory_peak: Some(tally.resident_peak.value).filter(|peak| *peak > 0),
            files_total: tally.file_io.into(),
            network_total: tally.network_io.into(),
            processes_started: tally.started,
            processes_ended: tally.exits,
            processes_failed: tally.failed,
            processes: listed(&tally.processes, |((id, _), program)| {
                Some(Process::new(id.pid, program))
            }),
            processes_count: tally.processes.count(),
            files: listed(&tally.files, |(file, io)| {
                Some(FileEntry {
                    path: file.path.clone(),
                    kind: file.kind.name(),
                    sums: (*io).into(),
                })
            }),
            files_count: tally.files.count(),
            peers: listed(&tally.peers, |(peer, io)| Some(PeerEntry::new(peer, *io))),
            peers_count: tally.peers.count(),
            failures: failures(tally),
            events: tally
                .events
                .iter()
                .map(|(at, kind, process, detail)| Happened {
                    at: *at,
                    kind: kind.name(),
                    process: process.clone(),
                    detail: detail.clone(),
                })
                .collect(),
            events_count: tally.events_count,
            losses: tally
                .losses
                .iter()
                .map(|(reason, loss)| Lost {
                    reason: Reason(*reason).name(),
                    count: loss.count,
                    bytes: loss.bytes,
                })
                .collect(),
        }
    }
}

/// The time in ns from a container's first moment to its last one: its start and end, or those of
/// the recording.
fn wall(tally: &tally::Container, position: Position) -> u64 {
    let (first, last) = tally.observed.span().unwrap_or_default();
    let fact = |name: &str| tally.facts.get(name)?.parse::<u64>().ok();
    let begin = fact(facts::STARTED).filter(|at| at / SECOND == first);
    let begin = begin.or(position.first).unwrap_or_default();
    let end = fact(facts::ENDED).filter(|at| at / SECOND + 1 == last);
    let end = end.or(position.last).unwrap_or(u64::MAX);
    let end = end.min(last.saturating_mul(SECOND));
    end.saturating_sub(begin.max(first * SECOND))
}

fn listed<K, V, T>(all: &Busiest<K, V>, entry: impl Fn((&K, &V)) -> Option<T>) -> Vec<T>
where
    K: Eq + std::hash::Hash + Clone + Ord,
    V: Activity + Default,
{
    let sorted = all.sorted().into_iter();
    sorted.filter_map(entry).take(MAX_LISTED).collect()
}

fn failures(tally: &tally::Container) -> Vec<Ended> {
    let programs = tally.processes.sorted().into_iter();
    let mut failures: Vec<Ended> = programs
        .filter_map(|(_, program)| {
            let process = program.process.as_ref()?;
            let exit = process.exit.filter(|exit| *exit != Exit::Code(0))?;
            Some(Ended {
                at: process.end,
                pid: process.id.pid,
                name: process.name.clone(),
                exit: describe(exit),
            })
        })
        .collect();
    failures.sort_by_key(|failure| (failure.at, failure.pid));
    // A process has a row for each name of its threads.
    failures.dedup_by_key(|failure| (failure.at, failure.pid));
    failures.truncate(MAX_LISTED);
    failures
}

fn describe(exit: Exit) -> String {
    match exit {
        Exit::Code(code) => format!("code {code}"),
        Exit::Signal(signal) => format!("signal {signal}"),
    }
}

impl Process {
    fn new(pid: u32, program: &Program) -> Self {
        let process = program.process.as_ref();
        let text = |of: fn(&bubble_common::segment::process::Process) -> String| {
            process.map(of).unwrap_or_default()
        };
        Self {
            pid,
            container_pid: process.map_or(0, |process| process.container_pid),
            name: text(|process| process.name.clone()),
            command: text(|process| process.args.replace('\0', " ")),
            cpu_ns: program.cpu,
            memory_peak: program.memory,
            files: program.file_io.into(),
            network: program.network_io.into(),
            exit: process.and_then(|process| process.exit).map(describe),
        }
    }
}

impl PeerEntry {
    fn new(peer: &Peer, io: NetworkIo) -> Self {
        Self {
            protocol: peer.protocol.name(),
            role: peer.role.name(),
            address: peer.address.clone(),
            sums: io.into(),
        }
    }
}

impl From<FileIo> for Files {
    fn from(io: FileIo) -> Self {
        Self {
            read: io.bytes_in,
            written: io.bytes_out,
            reads: io.ops_in,
            writes: io.ops_out,
            opens: io.opens,
        }
    }
}

impl From<NetworkIo> for Network {
    fn from(io: NetworkIo) -> Self {
        Self {
            received: io.bytes_in,
            sent: io.bytes_out,
            receives: io.ops_in,
            sends: io.ops_out,
            connects: io.connects,
            failures: io.failures,
        }
    }
}
