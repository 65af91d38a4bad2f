//! Rows of tables.

use serde::{Deserialize, Serialize};

use crate::query::io::{ConnectionSums, FileSums};
use crate::query::text::{Text, Words};

/// Kind of a table.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum TableKind {
    /// A row for each process.
    #[default]
    Process,
    /// A row for each process and file.
    File,
    /// A row for each process and connection.
    Network,
    /// A row for each process and core.
    Cpu,
    /// A row for each event.
    Event,
}

/// The process of a row.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Who {
    /// Key of the process.
    #[schema(value_type = String)]
    pub process: Text,
    /// Process id on the host.
    pub pid: u32,
    /// Process id inside the container.
    pub container_pid: u32,
    /// Its name.
    #[schema(value_type = String)]
    pub name: Text,
    /// The command line, word by word.
    #[schema(value_type = Vec<String>)]
    pub args: Words,
}

/// I/O of a process with a file.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FileCell {
    /// The process.
    #[serde(flatten)]
    pub who: Who,
    /// The file.
    #[serde(flatten)]
    pub file: FileSums,
}

/// I/O of a process with a connection.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct NetworkCell {
    /// The process.
    #[serde(flatten)]
    pub who: Who,
    /// The connection.
    #[serde(flatten)]
    pub connection: ConnectionSums,
}

/// CPU time of a process on a core.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CpuCell {
    /// The process.
    #[serde(flatten)]
    pub who: Who,
    /// Number of the core.
    pub core: u32,
    /// CPU time, ns.
    pub cpu_ns: u64,
}

/// An event, with its process.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct EventCell {
    /// When, seconds since the Unix epoch.
    pub at: f64,
    /// `container_start`, `container_end`, `oom_kill`, `connection_failed`, `folded`.
    pub kind: &'static str,
    /// Key of the process; empty if the event has none.
    pub process: String,
    /// Process id on the host; 0 if the event has no process.
    pub pid: u32,
    /// Name of the process; empty if the event has none.
    pub name: String,
    /// More about it: the peer that refused, the exit code.
    pub detail: String,
    /// Number of events that this row stands for: 1, or that of the folded ones.
    pub count: u64,
}
