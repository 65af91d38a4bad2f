//! CPU time by process and core, in nanoseconds (`u64`).

use super::key::ProcessKey;
use super::plain;
use super::wait::WaitSum;

/// A process on a core. Only that core writes the entry, so additions need not be atomic.
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

/// Time of a process that ran on a core lately: an entry of the last-used cache ([`super::cpu_state`]).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CpuLast {
    /// Generation of the times below. In any other generation the entry is empty.
    pub generation: u64,
    /// The process.
    pub process: ProcessKey,
    /// CPU time, ns.
    pub ns: u64,
    /// Time before it ran there.
    pub waits: WaitSum,
}

plain! {
    CpuKey is 32 bytes;
    CpuLast is 120 bytes;
}
