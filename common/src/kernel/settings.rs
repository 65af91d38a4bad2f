//! Constants that the agent chooses before it loads the programs. The verifier knows their
//! values and skips dead branches, so they may hold what this kernel would refuse.

use super::plain;

/// Constants of the programs (global `SETTINGS`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// The cgroup tree that identifies containers: the index of a v1 controller in
    /// `css_set.subsys`, or [`Settings::UNIFIED`].
    pub controller: u32,
    /// `cgroup_root.hierarchy_id` of that tree (0: v2).
    pub hierarchy: u32,
    /// 1 if the tracepoint `mark_victim` passes the task, 0 if it passes a process id.
    pub victim_is_task: u32,
    /// 1 if a process still has its memory when the tracepoint of its exit runs.
    pub exit_has_memory: u32,
    /// Where the peer of a datagram is found: one of the constants `PEER_…`.
    pub datagrams: u32,
    /// 1 if sockets are counted at syscall exit because the kernel has no better hook.
    pub sockets_at_exit: u32,
    /// 1 if functions of the kernel count opens and connections (`vfs` hooks), 0 if syscall exit does.
    pub opens_by_function: u32,
    /// 1 if the tracepoint `io_uring_complete` passes a `struct io_uring_cqe`, 0 if it passes its fields.
    pub completion_is_struct: u32,
    /// 1 if the kernel tells what waits need: the fields of [`super::wait::WaitOffsets`], and the state of
    /// the task that leaves its core.
    pub waits: u32,
    /// Mask of the bit `task_struct.in_iowait` in its byte.
    pub in_iowait: u32,
    /// Number of cores that there can be; 0 if a program cannot read the state of another core (before
    /// Linux 5.19).
    pub cores: u32,
}

impl Settings {
    /// The v2 hierarchy.
    pub const UNIFIED: u32 = u32::MAX;

    /// Datagrams are counted like streams. The peer is the one that the socket is connected to.
    pub const PEER_OF_SOCKET: u32 = 0;
    /// Datagrams are counted at syscall exit; the call's arguments lead to the peer's address.
    pub const PEER_AT_EXIT: u32 = 1;
    /// Datagrams have their own hooks, which see the message and its address.
    pub const PEER_OF_MESSAGE: u32 = 2;
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            controller: Self::UNIFIED,
            hierarchy: 0,
            victim_is_task: 0,
            exit_has_memory: 0,
            datagrams: Self::PEER_OF_SOCKET,
            sockets_at_exit: 0,
            opens_by_function: 0,
            completion_is_struct: 0,
            waits: 0,
            in_iowait: 0,
            cores: 0,
        }
    }
}

plain! { Settings is 44 bytes; }
