//! Hosts: the latest reports of their agents.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::error::StoreError;

/// Keeps the latest report of each host.
#[async_trait]
pub trait Hosts: Send + Sync + 'static {
    /// Replaces the report of a host, by [`Host::id`].
    async fn put_host(&self, host: Host) -> Result<(), StoreError>;

    /// All hosts, by name.
    async fn hosts(&self) -> Result<Vec<Host>, StoreError>;
}

/// The latest report of a host's agent.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Host {
    /// Host name.
    pub host: String,
    /// Owner of the key that the agent posts with.
    #[serde(default)]
    pub owner: String,
    /// Id of that key.
    #[serde(default)]
    pub key: String,
    /// The agent's version.
    pub version: String,
    /// Kernel release.
    pub kernel: String,
    /// Family of hooks in use: `vfs`, `syscall`, `procfs` or `capture`.
    pub hooks: String,
    /// What the agent cannot count on this host: one sentence each.
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
    /// its latest two batches; 0 if the kernel does not report it.
    pub kernel_percent: f64,
    /// Segments waiting in its spool.
    pub spooled: u64,
    /// Slots that it dropped since it started because its spool was full.
    pub dropped: u64,
}

impl Host {
    /// Identifies the host: those of two owners may have one name.
    pub fn id(&self) -> String {
        format!("{}\n{}", self.host, self.owner)
    }
}
