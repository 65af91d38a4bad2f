//! The truth: what one run of the workload did, counted by the workload itself.
//!
//! Every figure here comes from what the kernel returned to the calls that the program made, one
//! call at a time, never from what it meant to do. A count of operations is a count of system
//! calls that moved at least one byte (or one datagram), unless the comment says otherwise.

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
    /// Adds one call that moved `bytes`.
    pub fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.operations += 1;
    }
}

/// What one process did with one file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileTruth {
    /// Absolute path as the process sees it; a pipe is `pipe:[INODE]`.
    pub path: String,
    /// Process id, as seen inside.
    pub pid: u32,
    /// From the file to the process (or to another file or socket, within the kernel).
    pub read: Flow,
    /// Into the file.
    pub written: Flow,
    /// Successful calls of `open`.
    pub opens: u64,
}

/// What one process did with one connection, seen from its own end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConnectionTruth {
    /// `tcp`, `udp`, `unix` (a stream) or `unix-datagram`.
    pub protocol: String,
    /// `ADDRESS:PORT` (`[ADDRESS]:PORT`), or the path of a Unix socket; empty for a nameless one.
    pub local: String,
    /// The other end, written in the same way.
    pub peer: String,
    /// Whether the socket itself knew its peer (`connect` or `accept`); where it did not, the
    /// peer was named call by call (`sendto`, `recvfrom`).
    pub connected: bool,
    /// Process id, as seen inside.
    pub pid: u32,
    /// From the peer.
    pub received: Flow,
    /// To the peer.
    pub sent: Flow,
}

/// One process, from start to end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessTruth {
    /// Process id, as seen inside.
    pub pid: u32,
    /// The parent's, as seen inside (0 when that is outside).
    pub parent: u32,
    /// The arguments of its last `exec`, the program's name first.
    pub args: Vec<String>,
    /// Its names one after the other: one at its beginning, and one for each `exec` and each time that it
    /// gave itself another. Empty where the case does not tell.
    #[serde(default)]
    pub names: Vec<String>,
    /// What it left with, if it left by itself. Of the process that prints: what it will return.
    pub exit_code: Option<i32>,
    /// The signal that ended it, if one did.
    pub signal: Option<i32>,
    /// User and system time of its whole life, in ns, as `wait4` told its parent; none for the
    /// process that prints, as it still runs.
    pub cpu_ns: Option<u64>,
    /// Largest resident set, in bytes, from the same source.
    pub max_rss_bytes: Option<u64>,
}

/// Something rare that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum EventTruth {
    /// A connection was refused by `peer`.
    ConnectionRefused {
        /// Process id, as seen inside.
        pid: u32,
        /// Who refused, `ADDRESS:PORT`.
        peer: String,
    },
    /// The kernel killed a process for want of memory.
    OutOfMemory {
        /// Process id, as seen inside.
        pid: u32,
    },
}

/// One write of `pulse`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Pulse {
    /// When it was made, UTC, ns since 1970.
    pub at_ns: u64,
    /// The file, written by this one call and by no other.
    pub path: String,
    /// Bytes written.
    pub bytes: u64,
}

/// The object that every case prints, once, in one line on standard output.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Truth {
    /// Name of the case: the subcommand, with the way it went if there are several.
    pub case: String,
    /// Why the kernel would not do it; nothing else is to be expected then.
    pub unsupported: Option<String>,
    /// When the work started (after `--delay-ms` and `--go`), UTC, ns since 1970.
    pub start_ns: u64,
    /// When it ended, UTC, ns since 1970.
    pub end_ns: u64,
    /// By process and path; only what the case did on purpose.
    pub files: Vec<FileTruth>,
    /// Successful opens of all processes of the case together.
    pub opens: u64,
    /// By process and connection.
    pub connections: Vec<ConnectionTruth>,
    /// All processes, the printing one first.
    pub processes: Vec<ProcessTruth>,
    /// In the order in which they happened.
    pub events: Vec<EventTruth>,
    /// In the order in which they were made.
    pub pulses: Vec<Pulse>,
    /// Whether a count of the kernel's own operations must equal `operations`. Not where one
    /// system call is several reads and writes within the kernel (a large `sendfile`).
    pub operations_are_exact: bool,
}

/// What `loop` prints: the price of one operation.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LoopResult {
    /// Name of the operation.
    pub case: String,
    /// Operations per round.
    pub count: u64,
    /// ns per operation, round by round.
    pub rounds_ns: Vec<f64>,
    /// The quickest round, ns per operation.
    pub min_ns: f64,
    /// The middle one, ns per operation.
    pub median_ns: f64,
}
