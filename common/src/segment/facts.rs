//! Facts about the container itself, and the names that the agent sends and the server knows.

use std::collections::BTreeMap;

/// Facts about the container, by name.
pub type Facts = BTreeMap<String, String>;

/// The container's name in its runtime.
pub const NAME: &str = "name";
/// Its image.
pub const IMAGE: &str = "image";
/// Host name of the machine it ran on.
pub const HOST: &str = "host";
/// `docker`, `podman`, `containerd`, `cri-o`, `slurm`, `lxc`, `systemd-nspawn`, `buildkit`,
/// `systemd`, `cgroup`, `run` (a command of `bubble-agent run`).
pub const RUNTIME: &str = "runtime";
/// The full id, where the container id is a part of it.
pub const FULL_ID: &str = "full_id";
/// User id of the owner of the cgroups above its own, who can make any below them; absent if that is
/// root.
pub const USER: &str = "user";
/// Path of its cgroup.
pub const CGROUP: &str = "cgroup";
/// When it was started: nanoseconds since the Unix epoch, in decimal.
pub const STARTED: &str = "started";
/// When it ended, likewise; absent while it runs.
pub const ENDED: &str = "ended";
/// Exit code of its first process, in decimal.
pub const EXIT_CODE: &str = "exit_code";
/// `true` if the OOM killer ended it.
pub const OOM_KILLED: &str = "oom_killed";
/// Family of hooks that counted it: `vfs`, `syscall`, `procfs`, `capture`, or `sysdig` for its chisel.
pub const HOOKS: &str = "hooks";
/// Cores of the host.
pub const CORES: &str = "cores";
/// Cores on which the first process of a run may run, if they are fewer than those of the host.
pub const AFFINITY: &str = "affinity";
/// Memory of the host in bytes.
pub const HOST_MEMORY: &str = "host_memory";
/// Prefix of a label: `label.com.example.team`.
pub const LABEL: &str = "label.";
/// The number of the Slurm job that it is a step of, where its id has the job's sortable id instead.
pub const SLURM_JOB: &str = "label.slurm.job_id";
/// Prefix of an IP address of its sockets: `address.10.1.0.9`, without a value. The server derives it
/// from the connections.
pub const ADDRESS: &str = "address.";
