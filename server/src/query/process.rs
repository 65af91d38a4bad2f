//! A process as answers have it.

use std::collections::BTreeMap;

use bubble_common::segment::process::{Exit, Process};
use serde::Serialize;

use super::ledger::ProcessRow;
use super::text::Words;
use super::wait::waits_by_name;

/// A process: one program that it ran.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ProcessInfo {
    /// `PID-START_NS-EXEC`; of a folded row `0-0-0-NAME`.
    pub key: String,
    /// Process id on the host; 0 for a folded row.
    pub pid: u32,
    /// Time of its fork, seconds since the Unix epoch.
    pub start: f64,
    /// Number of calls of exec before this row (in recordings, of renames too).
    pub exec: u32,
    /// Process id inside the container.
    pub container_pid: u32,
    /// Process id of the parent on the host.
    pub parent: u32,
    /// Effective user id on the host, the last one.
    pub uid: u32,
    /// Effective group id on the host, the last one; null if it is not known.
    pub gid: Option<u32>,
    /// Name in the kernel (comm).
    pub name: String,
    /// Path of the file that runs; of a script its interpreter.
    pub exe: String,
    /// The command line, word by word.
    #[schema(value_type = Vec<String>)]
    pub args: Words,
    /// End, by exit or by the next exec; null while it runs.
    pub end: Option<f64>,
    /// How it ended; null while it runs, and if it went on as another program.
    pub exit: Option<ExitInfo>,
    /// Number of processes folded into this row.
    pub count: u32,
    /// Whether `count` is a lower bound: some of them began before the range, or an older version
    /// folded them.
    pub count_at_least: bool,
    /// CPU time, ns.
    pub cpu_ns: u64,
    /// Time in which its threads waited, ns by kind: `core` (for a core), `disk`, `network`, `lock`,
    /// `events`, `child`, `sleep`, `pipe`, `stopped`, `other`. Kinds without any are left out.
    pub waits: BTreeMap<&'static str, u64>,
    /// Whether its waits were counted. If not, `waits` is empty, which is not 0.
    pub waits_known: bool,
    /// Highest resident set, bytes; null if it was never measured. Of a folded row: the highest
    /// sum at one time, at most what the cgroup had.
    pub rss_max: Option<u64>,
    /// Highest private part of it, bytes: pages that are neither of a file nor of shared memory. Null
    /// if it is not known. All of the resident set counts as private while it is not known.
    pub private_max: Option<u64>,
    /// Highest virtual size, bytes; null if it was never measured.
    pub vm_max: Option<u64>,
    /// Highest swap, bytes; null if it was never measured.
    pub swap_max: Option<u64>,
    /// Bytes read from files.
    pub bytes_in: u64,
    /// Bytes written to files.
    pub bytes_out: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExitInfo {
    /// It returned this code.
    Code(u8),
    /// This signal killed it.
    Signal(u8),
}

impl From<Exit> for ExitInfo {
    fn from(exit: Exit) -> Self {
        match exit {
            Exit::Code(code) => Self::Code(code),
            Exit::Signal(signal) => Self::Signal(signal),
        }
    }
}

impl ExitInfo {
    /// Whether it returned a code other than 0, or a signal killed it.
    pub fn is_failure(self) -> bool {
        self != Self::Code(0)
    }
}

impl ProcessInfo {
    /// Memory of the process of `row`, in bytes.
    pub(super) fn size(row: &ProcessRow) -> usize {
        // Its waits are at most one node of a tree.
        const WAITS: usize = 512;
        let process = &row.process;
        let texts = 2 * process.name.len() + process.exe.len() + process.args.len();
        size_of::<Self>() + texts + WAITS
    }

    /// The process of `row`, and what it did within the window.
    pub fn new(row: &ProcessRow) -> Self {
        let process = &row.process;
        Self {
            key: key_of(process),
            pid: process.id.pid,
            start: process.id.start as f64 / 1e9,
            exec: process.id.exec,
            container_pid: process.container_pid,
            parent: process.parent,
            uid: process.uid,
            gid: process.gid,
            name: process.name.clone(),
            exe: process.exe.clone(),
            args: Words::new(&process.args),
            end: (process.end > 0).then(|| process.end as f64 / 1e9),
            exit: process.exit.map(ExitInfo::from),
            count: process.count,
            count_at_least: !row.is_count_exact,
            cpu_ns: row.cpu_ns,
            waits: waits_by_name(&row.waits),
            waits_known: row.waits_known,
            rss_max: measured(row.memory.rss),
            private_max: (row.memory.shared() > 0).then_some(row.memory.private),
            vm_max: measured(row.memory.vm),
            // Whoever reads the resident set knows the swap. A chisel reads neither.
            swap_max: measured(row.memory.rss).map(|_| row.memory.swap),
            bytes_in: row.files.bytes_in,
            bytes_out: row.files.bytes_out,
            received: row.network.bytes_in,
            sent: row.network.bytes_out,
        }
    }
}

/// A size in bytes. No program has none: 0 was never measured.
fn measured(bytes: u64) -> Option<u64> {
    (bytes > 0).then_some(bytes)
}

/// The key that names a process in answers.
pub(super) fn key_of(process: &Process) -> String {
    let id = process.id;
    if process.is_folded() {
        format!("0-0-0-{}", process.name)
    } else {
        format!("{}-{}-{}", id.pid, id.start, id.exec)
    }
}

/// The first `max` characters of the command line, else of the program's path.
pub(super) fn command_of(process: &Process, max: usize) -> String {
    let text = match &*process.args {
        "" => &process.exe,
        args => args,
    };
    let text = text.chars().take(max);
    text.map(|c| if c == '\0' { ' ' } else { c }).collect()
}
