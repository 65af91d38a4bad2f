//! CPU time: the key under which it is summed. The value is a `u64`, nanoseconds.

use super::plain;
use super::process::ProcessKey;

/// A process on a core. Only that core writes the entry, so no sum is contended.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct CpuKey {
    /// The process.
    pub process: ProcessKey,
    /// Number of the core.
    pub core: u32,
    /// Zero.
    pub unused: u32,
}

/// CPU time of a process that ran on a core lately, before it goes to the map: see [`super::recent`].
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuLast {
    /// The generation that it is of; it is empty in every other.
    pub generation: u64,
    /// The process.
    pub process: ProcessKey,
    /// CPU time, ns.
    pub ns: u64,
}

plain! {
    CpuKey is 32 bytes;
    CpuLast is 40 bytes;
}
