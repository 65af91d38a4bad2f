//! The truth: what a run of the workload did, counted by the workload itself.
//!
//! Every figure is from the result of a system call, and never from an intention. An operation is a
//! system call that moved at least one byte (or one datagram), unless the comment says otherwise.

use serde::{Deserialize, Serialize};

/// Bytes and operations in one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flow {
    /// Bytes moved.
    pub bytes: u64,
    /// System calls that moved them.
    pub operations: u64,
}

impl Flow {
    /// Adds a call that moved `bytes`.
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.operations += 1;
    }
}

/// What one process did with one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileTruth {
    /// Absolute path in the process's mount namespace; `pipe:[INODE]` for a pipe.
    pub path: String,
    /// Process id in the container.
    pub pid: u32,
    /// Reads from the file, by the process or within the kernel (as `sendfile`).
    pub read: Flow,
    /// Writes to the file.
    pub written: Flow,
    /// Successful calls of `open`.
    pub opens: u64,
    /// Pages of its mappings that page faults brought in. `None` if the case does not record them.
    #[serde(default)]
    pub mapped_pages: Option<u64>,
}

/// What one process did with one connection, as its own end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionTruth {
    /// `tcp`, `udp`, `unix` (a stream) or `unix-datagram`.
    pub protocol: String,
    /// `ADDRESS:PORT` (`[ADDRESS]:PORT`), or the path of a Unix socket; empty if it has none.
    pub local: String,
    /// The other end, in the same format; `?` for all peers of the local end together.
    pub peer: String,
    /// Whether the socket was connected (`connect` or `accept`). If not, each call named the peer
    /// (`sendto`, `recvfrom`).
    pub connected: bool,
    /// Process id in the container.
    pub pid: u32,
    /// Received from the peer.
    pub received: Flow,
    /// Sent to the peer.
    pub sent: Flow,
    /// `client` or `server`, if the case made one connection and the role must be known.
    #[serde(default)]
    pub role: Option<String>,
}

/// One process, from start to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessTruth {
    /// Process id in the container.
    pub pid: u32,
    /// Process id of the parent in the container (0 if it is outside).
    pub parent: u32,
    /// The arguments of its last `exec`, the program's name first, or those that it set later.
    pub args: Vec<String>,
    /// Its last names: before the first `exec`, and after each `exec`. Empty
    /// if the case does not record them.
    #[serde(default)]
    pub names: Vec<String>,
    /// Path of the file that it ran last, as `/proc/PID/exe` shows it. `None` if the case does not
    /// record it.
    #[serde(default)]
    pub exe: Option<String>,
    /// Its last effective user id on the host. `None` if the case does not record it.
    #[serde(default)]
    pub uid: Option<u32>,
    /// Its last effective group id on the host. `None` if the case does not record it.
    #[serde(default)]
    pub gid: Option<u32>,
    /// Its exit code, if it exited by itself. For the printing process: the code with which it will exit.
    pub exit_code: Option<i32>,
    /// The signal that killed it, if any.
    pub signal: Option<i32>,
    /// User and system time of its whole life, in ns, from its parent's `wait4`. `None` for the
    /// printing process, which still runs.
    pub cpu_ns: Option<u64>,
    /// Largest resident set, in bytes, from the same source.
    pub max_rss_bytes: Option<u64>,
}

/// A rare event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EventTruth {
    /// A connection was refused by `peer`.
    ConnectionRefused {
        /// Process id in the container.
        pid: u32,
        /// The peer that refused, `ADDRESS:PORT`.
        peer: String,
    },
    /// The OOM killer ended a process.
    OutOfMemory {
        /// Process id in the container.
        pid: u32,
    },
}

/// What one process waited for, from the times before and after its calls.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WaitTruth {
    /// Name of the process.
    pub name: String,
    /// Kind of the wait: `lock`, `pipe`, ….
    pub kind: String,
    /// It waited at least so long, ns.
    pub min_ns: u64,
    /// It waited at most so long, ns.
    pub max_ns: u64,
    /// Path of the file that it waited for all the time.
    #[serde(default)]
    pub file: Option<String>,
    /// Address of the peer that it waited for all the time.
    #[serde(default)]
    pub peer: Option<String>,
}

/// One write of `pulse`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    /// Time of the write, ns since the Unix epoch.
    pub at_ns: u64,
    /// The file. No other call writes it.
    pub path: String,
    /// Bytes written.
    pub bytes: u64,
}

/// I/O that cannot be counted, so that it must be stored as a loss.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LossTruth {
    /// Name of the reason in the API.
    pub reason: String,
    /// Number of operations.
    pub count: u64,
}

/// The object that every case prints once, as one line on standard output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// Name of the case: the subcommand, and its variant if there are several.
    pub case: String,
    /// Why the kernel refused the case. All other fields are empty then.
    pub unsupported: Option<String>,
    /// When the work started (after `--delay-ms` and `--go`), ns since the Unix epoch.
    pub start_ns: u64,
    /// When it ended, ns since the Unix epoch.
    pub end_ns: u64,
    /// Files by process and path, without those that only the libraries use.
    pub files: Vec<FileTruth>,
    /// Successful opens by all processes of the case.
    pub opens: u64,
    /// Connections by process.
    pub connections: Vec<ConnectionTruth>,
    /// All processes. The printing one is the first.
    pub processes: Vec<ProcessTruth>,
    /// Events in order of time.
    pub events: Vec<EventTruth>,
    /// Pulses in order of time.
    pub pulses: Vec<Pulse>,
    /// Waits of processes that are known by their names.
    #[serde(default)]
    pub waits: Vec<WaitTruth>,
    /// Losses that must be stored, as no hook counts what the case does.
    #[serde(default)]
    pub losses: Vec<LossTruth>,
    /// Whether the number of operations in the kernel must equal `operations`. `false` if a system
    /// call is several reads and writes within the kernel (a large `sendfile`).
    pub operations_are_exact: bool,
}

/// The output of `loop`: the cost of an operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoopResult {
    /// Name of the operation.
    pub case: String,
    /// Operations per round.
    pub count: u64,
    /// ns per operation of each round.
    pub rounds_ns: Vec<f64>,
    /// The fastest round, ns per operation.
    pub min_ns: f64,
    /// The median round, ns per operation.
    pub median_ns: f64,
}
