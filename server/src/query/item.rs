//! A container, as lists and pages show it.

use std::collections::BTreeMap;

use bubble_common::segment::facts;
use serde::Serialize;

use crate::span::extent::Extent;
use crate::store::container::{Container, State};

/// A container, from the index alone. Times are seconds since the Unix epoch.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ContainerItem {
    /// Its id: 12 hexadecimal digits (64 if another container has these), or `NAME@HOST`.
    pub id: String,
    /// Name that the runtime gives it; empty if unknown.
    pub name: String,
    /// Its image; empty if unknown.
    pub image: String,
    /// `docker`, `podman`, `containerd`, `cri-o`, `slurm`, `lxc`, `systemd-nspawn`, `buildkit`, `systemd`, `cgroup`, `run`; empty if unknown.
    pub runtime: String,
    /// Name of the host.
    pub host: String,
    /// User of the host who owns a cgroup above its own, and so could choose its id; null if only root
    /// could.
    pub user: Option<u64>,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Cores of the host.
    pub cores: Option<u64>,
    /// Memory of the host in bytes.
    pub host_memory: Option<u64>,
    /// Family of hooks that counted it: `vfs`, `syscall`, `procfs`, `capture`, `sysdig`; empty if unknown.
    pub hooks: String,
    /// Start of the first slot in which it was seen.
    pub first_seen: f64,
    /// End of the last slot in which it was seen.
    pub last_seen: f64,
    /// Whether it is running.
    pub state: State,
    /// Names of its recordings, oldest first; empty if it is only live.
    pub recordings: Vec<String>,
    /// Start, by its runtime.
    pub started: Option<f64>,
    /// End, by its runtime.
    pub ended: Option<f64>,
    /// Exit code of its first process.
    pub exit_code: Option<u64>,
    /// Whether the kernel killed it because memory ran out.
    pub oom_killed: bool,
    /// CPU time over its life, ns; null for a link to a part of it, as the next ones.
    pub cpu_ns: Option<u64>,
    /// Cores used in its latest 10 s; null if it is not running.
    pub cpu_now: Option<f64>,
    /// Memory in use when last seen, bytes.
    pub memory_now: Option<u64>,
    /// Highest memory in use, bytes.
    pub memory_peak: Option<u64>,
    /// Memory limit, bytes.
    pub memory_limit: Option<u64>,
    /// Bytes read from files and received, over its life.
    pub bytes_in: Option<u64>,
    /// Bytes written to files and sent, over its life.
    pub bytes_out: Option<u64>,
    /// The keys that it belongs to; null if nobody has posted it since owners are noted, and for shared
    /// links.
    pub posted_by: Option<PostedBy>,
    /// Cores used in its latest 60 buckets of 10 s, oldest first; null where nothing is known.
    pub spark: Vec<Option<f64>>,
}

/// The keys that a container belongs to. Posts with keys of other owners are refused.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct PostedBy {
    /// Owner of the keys.
    pub owner: String,
    /// Id of the key that posted it first.
    pub key: String,
    /// Host that posted it first; empty if the post named none. Other hosts are refused.
    pub host: String,
    /// When, seconds since the Unix epoch.
    pub since: f64,
}

impl ContainerItem {
    /// The container at `now` (seconds since the Unix epoch).
    pub fn new(container: &Container, now: u64) -> Self {
        let text = |fact: &str| container.facts.get(fact).cloned().unwrap_or_default();
        let seconds = |ns: u64| ns as f64 / 1e9;
        let state = container.state(now);
        let thousandths = |cores: f64| (cores * 1_000.0).round() / 1_000.0;
        let labels = container.facts.iter().filter_map(|(name, value)| {
            let label = name.strip_prefix(facts::LABEL)?;
            Some((label.to_owned(), value.clone()))
        });
        let seen = container.last_seen > 0;
        Self {
            id: container.id.as_str().to_owned(),
            name: text(facts::NAME),
            image: text(facts::IMAGE),
            runtime: text(facts::RUNTIME),
            host: text(facts::HOST),
            user: container.number(facts::USER),
            labels: labels.collect(),
            cores: container.number(facts::CORES),
            host_memory: container.number(facts::HOST_MEMORY),
            hooks: text(facts::HOOKS),
            first_seen: if seen {
                container.first_seen as f64
            } else {
                0.0
            },
            last_seen: container.last_seen as f64,
            state,
            recordings: container.recordings.clone(),
            started: container.started().map(seconds),
            ended: container.ended().map(seconds),
            exit_code: container.number(facts::EXIT_CODE),
            oom_killed: text(facts::OOM_KILLED) == "true",
            cpu_ns: Some(container.cpu_ns),
            cpu_now: match state {
                State::Running => container.recent.now().map(thousandths),
                State::Ended | State::Silent => None,
            },
            // Whatever runs has some memory: 0 means that nobody read it.
            memory_now: Some(container.memory_now).filter(|bytes| *bytes > 0),
            memory_peak: Some(container.memory_peak).filter(|bytes| *bytes > 0),
            memory_limit: Some(container.memory_limit).filter(|limit| *limit > 0),
            bytes_in: Some(container.bytes_in),
            bytes_out: Some(container.bytes_out),
            posted_by: container.binding.as_ref().map(|binding| PostedBy {
                owner: binding.owner.clone(),
                key: binding.key.clone(),
                host: binding.host.clone(),
                since: binding.since as f64,
            }),
            spark: container
                .recent
                .cores()
                .into_iter()
                .map(|cores| cores.map(thousandths))
                .collect(),
        }
    }

    /// What a shared link shows of it: nothing about keys, and sums only if it shows the whole life.
    #[must_use]
    pub fn within(self, extent: Option<&Extent>) -> Self {
        let Some(extent) = extent else {
            return self;
        };
        let item = Self {
            posted_by: None,
            ..self
        };
        let Some(span) = extent.span() else {
            return item;
        };
        let (start, end) = (span.start as f64, span.end as f64);
        Self {
            first_seen: item.first_seen.clamp(start, end),
            last_seen: item.last_seen.clamp(start, end),
            cpu_ns: None,
            cpu_now: None,
            memory_now: None,
            memory_peak: None,
            bytes_in: None,
            bytes_out: None,
            spark: Vec::new(),
            ..item
        }
    }
}
