//! Cgroups: records of their creation and removal, and the map of ignored ones.

use super::plain;
use super::record::Header;

/// A cgroup was created or removed. `path_len` bytes follow: its path from the root of its hierarchy.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupRecord {
    /// Kind and time.
    pub header: Header,
    /// Id of the cgroup.
    pub cgroup: u64,
    /// Bytes of path that follow.
    pub path_len: u32,
    /// Zero.
    pub unused: u32,
}

/// Bytes reserved for a cgroup's path, a power of two.
pub const PATH_MAX: usize = 1024;

/// Value of a cgroup in the map `IGNORED`: the agent does not count it.
pub const IGNORED: u32 = 1;

plain! { CgroupRecord is 56 bytes; }
