//! The settings as a person gives them. Each is declared once: a field is the flag, the environment
//! variable and the key of the configuration file.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use serde::Deserialize;

/// Settings from one place: the command line with the environment, or the file.
#[derive(Debug, Default, Args, Deserialize)]
#[command(next_help_heading = "Settings")]
#[serde(default, deny_unknown_fields)]
pub struct Settings {
    /// URL of bubble-server, such as https://bubble.example:8080
    #[arg(long, global = true, env = "BUBBLE_SERVER", value_name = "URL")]
    pub(super) server: Option<String>,
    /// The API key (bubble-server key create); all users of this host can see a flag
    #[arg(
        long,
        global = true,
        env = "BUBBLE_API",
        value_name = "KEY",
        hide_env_values = true
    )]
    pub(super) api: Option<String>,
    /// A file that holds the API key
    #[arg(long, global = true, env = "BUBBLE_API_FILE", value_name = "FILE")]
    pub(super) api_file: Option<PathBuf>,
    /// Certificates (PEM) of your own authority that signed the server's certificate
    #[arg(long, global = true, env = "BUBBLE_CA", value_name = "FILE")]
    pub(super) ca: Option<PathBuf>,
    /// Where the numbers come from; auto: eBPF, and procfs where the kernel refuses it
    #[arg(long, global = true, env = "BUBBLE_SOURCE", value_enum)]
    pub(super) source: Option<SourceKind>,
    /// Family of eBPF hooks; auto: vfs, and syscall where the kernel refuses trampolines
    #[arg(long, global = true, env = "BUBBLE_HOOKS", value_enum)]
    pub(super) hooks: Option<HookFamily>,
    /// Folder in a BPF file system through which the kernel goes on counting if the agent is killed;
    /// none: it stops [default: none]
    #[arg(long, global = true, env = "BUBBLE_PINS", value_name = "FOLDER")]
    pub(super) pins: Option<PathBuf>,
    /// With --pins: go on counting in the kernel when the agent is stopped, too, until it starts again
    /// or `bubble-agent unpin` ends it
    #[arg(long, global = true, env = "BUBBLE_KEEP_COUNTING")]
    pub(super) keep_counting: bool,
    /// Folder of the batches that wait to be sent [default: /var/lib/bubble-agent/spool]
    #[arg(long, global = true, env = "BUBBLE_SPOOL", value_name = "FOLDER")]
    pub(super) spool: Option<PathBuf>,
    /// Maximum size of that folder; beyond it the oldest become coarser [default: 268435456]
    #[arg(long, global = true, env = "BUBBLE_SPOOL_MAX", value_name = "BYTES")]
    pub(super) spool_max: Option<u64>,
    /// Seconds between two deliveries, 1 to 60; what somebody looks at is delivered each second, and
    /// the start and end of a container at once [default: 10]
    #[arg(
        long,
        global = true,
        env = "BUBBLE_DELIVER_EVERY",
        value_name = "SECONDS"
    )]
    pub(super) deliver_every: Option<u64>,
    /// Show these cgroups as containers too: a pattern of their path, such as /batch/*
    #[arg(
        long,
        global = true,
        env = "BUBBLE_CGROUP",
        value_name = "PATTERN",
        value_delimiter = ','
    )]
    #[serde(skip)]
    pub(super) cgroup: Vec<String>,
    /// Show systemd's units as containers too
    #[arg(long, global = true, env = "BUBBLE_SYSTEMD")]
    pub(super) systemd: bool,
    /// Show the host's own processes too, as a container with the host's name
    #[arg(long, global = true, env = "BUBBLE_INCLUDE_HOST")]
    pub(super) include_host: bool,
    /// Count even if another agent counts on this host, for another server
    #[arg(long, global = true, env = "BUBBLE_BESIDE_OTHERS")]
    pub(super) beside_others: bool,
    /// Docker's socket, for names and images [default: /var/run/docker.sock]
    #[arg(long, global = true, env = "BUBBLE_DOCKER", value_name = "SOCKET")]
    pub(super) docker: Option<PathBuf>,
    /// Name of this host [default: its host name]
    #[arg(long, global = true, env = "BUBBLE_HOST", value_name = "NAME")]
    pub(super) host: Option<String>,
    /// Serve the agent's own metrics (Prometheus) at this address
    #[arg(
        long,
        global = true,
        env = "BUBBLE_METRICS_LISTEN",
        value_name = "ADDRESS"
    )]
    pub(super) metrics_listen: Option<SocketAddr>,
    /// The configuration file (TOML) [default: /etc/bubble-agent.toml, if it exists]
    #[arg(long, global = true, env = "BUBBLE_CONFIG", value_name = "FILE")]
    #[serde(skip)]
    pub(super) config: Option<PathBuf>,
    /// The `[[containers]]` of the file: as `--cgroup`, with a name.
    #[arg(skip)]
    pub(super) containers: Vec<CgroupRule>,
}

/// Cgroups that are shown as containers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct CgroupRule {
    pub(super) cgroup: String,
    pub(super) name: Option<String>,
}

/// Where the numbers come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SourceKind {
    /// eBPF, and procfs where the kernel refuses it.
    Auto,
    /// eBPF only.
    Ebpf,
    /// /proc and the cgroups only.
    Procfs,
}

/// Family of hooks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum HookFamily {
    /// Chosen by probing.
    Auto,
    /// Functions of the virtual file system.
    Vfs,
    /// The end of each system call.
    Syscall,
}

impl Settings {
    /// Fills what `self` leaves open from `fallback`; patterns of both apply.
    pub(super) fn or(self, fallback: Self) -> Self {
        Self {
            server: self.server.or(fallback.server),
            api: self.api.or(fallback.api),
            api_file: self.api_file.or(fallback.api_file),
            ca: self.ca.or(fallback.ca),
            source: self.source.or(fallback.source),
            hooks: self.hooks.or(fallback.hooks),
            pins: self.pins.or(fallback.pins),
            keep_counting: self.keep_counting || fallback.keep_counting,
            spool: self.spool.or(fallback.spool),
            spool_max: self.spool_max.or(fallback.spool_max),
            deliver_every: self.deliver_every.or(fallback.deliver_every),
            cgroup: [self.cgroup, fallback.cgroup].concat(),
            systemd: self.systemd || fallback.systemd,
            include_host: self.include_host || fallback.include_host,
            beside_others: self.beside_others || fallback.beside_others,
            docker: self.docker.or(fallback.docker),
            host: self.host.or(fallback.host),
            metrics_listen: self.metrics_listen.or(fallback.metrics_listen),
            config: self.config.or(fallback.config),
            containers: self
                .containers
                .into_iter()
                .chain(fallback.containers)
                .collect(),
        }
    }
}
