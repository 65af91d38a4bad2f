//! What the agent decides before the programs are loaded. The verifier sees
//! constants, and drops the branches that a kernel could not run.

use super::plain;

/// Constants of the programs (global `SETTINGS`).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Which cgroup tells containers apart: the index of a v1 controller in
    /// `css_set.subsys`, or [`Settings::UNIFIED`].
    pub controller: u32,
    /// Hierarchy that it belongs to, as `cgroup_root.hierarchy_id` has it (0: v2).
    pub hierarchy: u32,
    /// 1 where `mark_victim` gives the task, 0 where it gives a number.
    pub victim_is_task: u32,
    /// 1 where the memory is still there when a process's exit is traced.
    pub exit_has_memory: u32,
    /// Where the peer of a datagram is found: [`Settings::PEER_AT_EXIT`] and its like.
    pub datagrams: u32,
    /// 1 where sockets are counted at the end of system calls, for want of a better hook.
    pub sockets_at_exit: u32,
    /// 1 where opens are counted by the function that opens, 0 where at the end of system calls.
    pub opens_by_function: u32,
}

impl Settings {
    /// The cgroup of the v2 hierarchy.
    pub const UNIFIED: u32 = u32::MAX;

    /// Datagrams are counted as all else; the peer is whom the socket is connected to.
    pub const PEER_OF_SOCKET: u32 = 0;
    /// Datagrams are counted when the system call ends, which has the peer's address.
    pub const PEER_AT_EXIT: u32 = 1;
    /// Datagrams have hooks of their own, which see the message.
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
        }
    }
}

plain! { Settings is 28 bytes; }
