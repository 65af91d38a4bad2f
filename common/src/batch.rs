//! The envelope in which an agent posts: who it is, what it cost, and segments.

use crate::segment::{Segment, SourceId};

/// One post of an agent: the segments of a second or two, or what its spool held.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// The run of the agent.
    pub source: SourceId,
    /// About the agent and its host.
    pub agent: AgentReport,
    /// The segments; each carries its own key.
    pub segments: Vec<Segment>,
}

/// What an agent says of itself with each batch.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AgentReport {
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
    /// When the batch was made: nanoseconds since the Unix epoch.
    pub sent_at: u64,
    /// Cores of the host.
    pub cores: u32,
    /// Memory of the host in bytes.
    pub memory: u64,
    /// CPU time that the agent used since it started, ns.
    pub cpu_ns: u64,
    /// Its resident memory, bytes.
    pub rss: u64,
    /// Time that its programs in the kernel ran since they were loaded, ns; 0 where the kernel does not say.
    pub kernel_ns: u64,
    /// Segments waiting in its spool.
    pub spooled: u64,
    /// Slots that it dropped since it started, as its spool was full.
    pub dropped: u64,
}
