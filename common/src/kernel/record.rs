//! Records of the ring buffer: rare things only, never one a system call.
//!
//! Each begins with a [`Header`]; the kind says which struct it is the head of.

use super::plain;
use super::process::ProcessKey;

/// How every record begins.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// What follows.
    pub kind: Kind,
    /// Zero.
    pub unused: u32,
    /// When: ns since boot (suspend included).
    pub at: u64,
    /// Which process it is about; zero where it is about none.
    pub process: ProcessKey,
}

/// What a record is.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Kind(pub u32);

impl Kind {
    /// [`super::process::ProcessRecord`]: a process was forked.
    pub const FORK: Self = Self(1);
    /// [`super::process::ExecRecord`].
    pub const EXEC: Self = Self(2);
    /// [`super::process::ExitRecord`].
    pub const EXIT: Self = Self(3);
    /// [`super::process::ProcessRecord`]: a process has a new name.
    pub const RENAME: Self = Self(4);
    /// [`super::process::ProcessRecord`]: a process was moved into a cgroup.
    pub const ATTACH: Self = Self(5);
    /// [`super::process::ProcessRecord`]: a process that was there when the agent came.
    pub const ALIVE: Self = Self(6);
    /// A bare [`Header`]: the process is to be killed for want of memory.
    pub const OOM: Self = Self(7);
    /// [`super::cgroup::CgroupRecord`]: a cgroup was made.
    pub const CGROUP_MADE: Self = Self(8);
    /// [`super::cgroup::CgroupRecord`]: a cgroup was removed.
    pub const CGROUP_REMOVED: Self = Self(9);
    /// [`super::network::NetworkRecord`]: a connection failed.
    pub const CONNECTION_FAILED: Self = Self(10);
}

plain! {
    Kind is 4 bytes;
    Header is 40 bytes;
}
