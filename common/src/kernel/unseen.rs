//! I/O that no hook counts, by container: the use is noted, so that it becomes a loss.

use super::plain;

/// Kind of uncounted I/O.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Kind(pub u32);

impl Kind {
    /// A file was mapped into memory. Its bytes are unknown.
    pub const MAPPED: Self = Self(0);
    /// An io_uring request whose result no hook sees. The bytes are those that it asked for, if known.
    pub const URING: Self = Self(1);
    /// A request of `io_submit` whose result the program read without a system call. The bytes are those
    /// that it asked for, if known.
    pub const AIO: Self = Self(2);
    /// A system call whose arguments cannot be read.
    pub const CALL: Self = Self(3);
}

/// A container's cgroup and a kind.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct UnseenKey {
    /// Id (kernfs node) of the cgroup that identifies the container.
    pub cgroup: u64,
    /// The kind.
    pub kind: Kind,
    /// Zero.
    pub unused: u32,
}

plain! {
    Kind is 4 bytes;
    UnseenKey is 16 bytes;
}
