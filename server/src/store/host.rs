//! Hosts: what their agents said last.

use serde::{Deserialize, Serialize};

/// What the agent of a host said of itself, and when.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Host {
    /// Host name.
    pub host: String,
    /// The agent's version.
    pub version: String,
    /// Kernel release.
    pub kernel: String,
    /// Family of hooks in use: `vfs`, `syscall`, `procfs` or `capture`.
    pub hooks: String,
    /// What this host does not let it count: one sentence each.
    pub missing: Vec<String>,
    /// Cores of the host.
    pub cores: u32,
    /// Memory of the host in bytes.
    pub memory: u64,
    /// When the batch was made: seconds since the Unix epoch.
    pub last_seen: f64,
    /// CPU that the agent uses, in percent of one core, between its latest two batches.
    pub cpu_percent: f64,
    /// Its resident memory in bytes.
    pub rss: u64,
    /// CPU that its programs in the kernel use, in percent of one core, between
    /// its latest two batches; 0 where the kernel does not say.
    pub kernel_percent: f64,
    /// Segments waiting in its spool.
    pub spooled: u64,
    /// Slots that it dropped since it started, as its spool was full.
    pub dropped: u64,
}
