//! Records of the ring buffer. They report rare events, never one per system call.
//!
//! Each record begins with a [`Header`]; its kind says which struct follows.

use super::key::ProcessKey;
use super::plain;

/// The beginning of every record.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// Kind of the record.
    pub kind: Kind,
    /// Zero.
    pub unused: u32,
    /// Time, ns since boot (suspend included).
    pub at: u64,
    /// The process; zero if the record is about none.
    pub process: ProcessKey,
}

/// Kind of a record.
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
    /// [`super::process::ProcessRecord`]: a process was renamed.
    pub const RENAME: Self = Self(4);
    /// [`super::process::ProcessRecord`]: a process was moved into a cgroup.
    pub const ATTACH: Self = Self(5);
    /// [`super::process::ProcessRecord`]: a process that already ran when the agent started.
    pub const ALIVE: Self = Self(6);
    /// A bare [`Header`]: the kernel's out-of-memory killer chose the process.
    pub const OOM: Self = Self(7);
    /// [`super::cgroup::CgroupRecord`]: a cgroup was created.
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
