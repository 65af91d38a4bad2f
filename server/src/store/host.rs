//! Hosts: the latest reports of their agents.

use std::collections::HashSet;

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::error::StoreError;

/// Keeps the latest report of each host.
#[async_trait]
pub trait Hosts: Send + Sync + 'static {
    /// Replaces the report of a host, by [`Host::id`].
    async fn put_host(&self, host: Host) -> Result<(), StoreError>;

    /// Deletes the report of a host, by [`Host::id`]; `false` if there is none.
    async fn delete_host(&self, id: &str) -> Result<bool, StoreError>;

    /// All hosts, by name.
    async fn hosts(&self) -> Result<Vec<Host>, StoreError>;
}

/// The latest report of a host's agent.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, utoipa::ToSchema)]
pub struct Host {
    /// Host name.
    pub host: String,
    /// Owner of the key that the agent posts with; empty if it has not posted since owners are noted.
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
    /// Agents that count on the host now, for this server. What two of them see counts twice.
    #[serde(default)]
    pub agents: u32,
    /// Cores of the host.
    pub cores: u32,
    /// Memory of the host in bytes.
    pub memory: u64,
    /// When the batch was made, by the host's clock: seconds since the Unix epoch.
    pub last_seen: f64,
    /// When it came, by the server's clock; 0 if an older version noted the report.
    #[serde(default)]
    pub received: f64,
    /// Seconds by which the host's clock is ahead of the server's; null while that is not known.
    #[serde(default)]
    pub clock_offset: Option<f64>,
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
    /// When it dropped some last, as far as the server saw: seconds since the Unix epoch; 0 if never.
    #[serde(default)]
    pub dropped_at: f64,
}

impl Host {
    /// Identifies the host: those of two owners may have one name.
    pub fn id(&self) -> String {
        match self.owner.as_str() {
            "" => self.host.clone(),
            owner => format!("{}\n{owner}", self.host),
        }
    }
}

/// Removes reports without an owner if the same host has one with an owner, and sorts the rest.
pub(super) fn current(mut hosts: Vec<Host>) -> Vec<Host> {
    let owned = hosts.iter().filter(|host| !host.owner.is_empty());
    let owned: HashSet<String> = owned.map(|host| host.host.clone()).collect();
    hosts.retain(|host| !host.owner.is_empty() || !owned.contains(&host.host));
    hosts.sort_by_key(Host::id);
    hosts
}
