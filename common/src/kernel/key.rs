//! The key of a process, under which everything is summed.

use super::plain;

/// A process, the program that it runs, and its cgroup.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ProcessKey {
    /// Id (kernfs node) of the cgroup that identifies the container.
    pub cgroup: u64,
    /// When the thread group's leader was forked, ns since boot (suspend included).
    pub start: u64,
    /// Process id (thread group id) in the initial pid namespace.
    pub pid: u32,
    /// The task's `self_exec_id`: incremented by each exec, inherited over fork.
    pub exec: u32,
}

plain! { ProcessKey is 24 bytes; }
