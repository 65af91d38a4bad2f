//! The facts that the path of a container and its host tell.

use bubble_common::segment::facts;

use super::rule::Found;
use crate::sink::{ContainerHandle, Sink};

/// Facts of the host, which each of its containers carries.
#[derive(Debug, Clone, Default)]
pub struct HostFacts {
    /// Its name.
    pub host: String,
    /// Number of its cores.
    pub cores: u32,
    /// Its memory in bytes.
    pub memory: u64,
    /// The family of hooks in use: `vfs`, `syscall` or `procfs`.
    pub hooks: String,
}

/// Reports the facts that the path of a container tells, and those of its host.
pub fn describe<S: Sink>(handle: ContainerHandle, found: &Found, host: &HostFacts, sink: &mut S) {
    let facts = [
        (facts::HOST, host.host.as_str()),
        (facts::RUNTIME, found.runtime),
        (facts::CGROUP, &found.path),
        (facts::HOOKS, &host.hooks),
        (facts::CORES, &host.cores.to_string()),
        (facts::HOST_MEMORY, &host.memory.to_string()),
    ];
    for (name, value) in facts {
        sink.fact(handle, name, value);
    }
    if let Some(full) = &found.full_id {
        sink.fact(handle, facts::FULL_ID, full);
    }
    if let Some(user) = found.user {
        sink.fact(handle, facts::USER, &user.to_string());
    }
    if let Some(name) = &found.name {
        sink.fact(handle, facts::NAME, name);
    }
    if let Some(pod) = &found.pod {
        sink.fact(
            handle,
            &format!("{}io.kubernetes.pod.uid", facts::LABEL),
            pod,
        );
    }
    if let Some(job) = &found.job {
        sink.fact(handle, facts::SLURM_JOB, job);
    }
}
