//! Cgroups: that they come and go, and which of them are nobody's business.

use super::plain;
use super::record::Header;

/// A cgroup was made or removed. `path_len` bytes follow: its path from the root of its hierarchy.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupRecord {
    /// Kind and time.
    pub header: Header,
    /// Its id.
    pub cgroup: u64,
    /// Bytes of the path that follow.
    pub path_len: u32,
    /// Zero.
    pub unused: u32,
}

/// Longest path of a cgroup that is told, in bytes.
pub const PATH_MAX: usize = 1024;

/// Value of a cgroup that the agent does not count, in the map `IGNORED`.
pub const IGNORED: u32 = 1;

plain! { CgroupRecord is 56 bytes; }
