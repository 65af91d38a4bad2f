//! The state of a core, kept in one value of one map, so that a program finds it with one look-up:
//! who runs there, and the last-used cache.
//!
//! The cache holds sums of CPU time, files and connections that were used lately, before they go to
//! the maps of sums. It has separate entries for each generation and each direction. A few processes
//! with a few files or connections each can therefore share a core without touching the maps.

use super::cpu::CpuLast;
use super::file::FileLast;
use super::key::ProcessKey;
use super::network::NetworkLast;
use super::plain;

/// Cache entries per [`side`].
const ENTRIES_PER_SIDE: u64 = 16;
/// Cache entries of all sides.
pub const ENTRIES: usize = 4 * ENTRIES_PER_SIDE as usize;

/// Cache entries for CPU time per generation.
const CPU_ENTRIES_PER_GENERATION: u64 = 8;
/// Cache entries for CPU time of both generations.
pub const CPU_ENTRIES: usize = 2 * CPU_ENTRIES_PER_GENERATION as usize;

/// Number of cgroups for which a core remembers whether they are counted.
pub const CGROUPS: usize = 8;

/// Generation of an entry that a program is changing. A program that preempts it must not touch the
/// entry.
pub const BUSY: u64 = u64::MAX;
/// The generation in a stamp, which has the epoch of paths in its upper half.
pub const fn generation_of(stamp: u64) -> u64 {
    stamp & 0xffff_ffff
}

/// The first generation. An entry that was never used has generation 0.
pub const FIRST_GENERATION: u64 = 1;

/// Stands for the address of a task whose process another core has moved to another cgroup. Whoever
/// compares it with the task that runs determines anew who that is.
pub const MOVED: u64 = 1;

/// The state of a core.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct CpuState {
    /// The task that runs there.
    pub running: Running,
    /// Cgroups that were looked up, indexed by the lowest bits of their ids.
    pub cgroups: [CgroupCheck; CGROUPS],
    /// Processes that ran last, indexed by [`cpu_index`].
    pub cpu: [CpuLast; CPU_ENTRIES],
    /// Files used last, indexed by [`index`].
    pub files: [FileLast; ENTRIES],
    /// Connections used last, indexed by [`index`].
    pub connections: [NetworkLast; ENTRIES],
}

/// The task on a core.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Running {
    /// The process to which time and bytes are charged.
    pub key: ProcessKey,
    /// The task's CPU time that has already been charged, ns.
    pub since: u64,
    /// 0 if nothing is counted: a kernel thread, or an ignored cgroup.
    pub counted: u32,
    /// Not 0 while a program changes this struct. An interrupt must not touch it then.
    pub busy: u32,
    /// Address of the task; or [`MOVED`].
    pub task: u64,
    /// The system call that the task is in, if it left its core during it.
    pub call: Call,
    /// When the task came to this core, ns (`CLOCK_MONOTONIC`). 0 if that is not known, or if the time
    /// before it is charged.
    pub arrived: u64,
    /// `CLOCK_MONOTONIC` minus the scheduler's clock, ns. 0 if it is not known yet.
    pub offset: u64,
    /// Address of the task that was moved to another cgroup while it ran here. Another core writes it.
    pub moved: u64,
    /// The CPU time of that task when it was moved, ns.
    pub moved_at: u64,
    /// The same, if it was moved again since; else equal. What is between them is a loss.
    pub moved_last: u64,
    /// The process that it was before.
    pub former: ProcessKey,
    /// CPU time of the former process that is still to be charged, ns.
    pub former_ns: u64,
}

/// A system call and its files. It holds them until its end.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Call {
    /// Number of the call plus 1; 0 if there is none.
    pub number: u64,
    /// Address of the file that it reads, or of its only file; 0 if the descriptor is closed.
    pub first: u64,
    /// Address of the file that it writes, if it has two.
    pub second: u64,
}

/// Whether a cgroup is counted. Valid for one generation; the answer may change in the next.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CgroupCheck {
    /// Id of the cgroup.
    pub cgroup: u64,
    /// Generation of the look-up.
    pub generation: u64,
    /// 1 if it is counted.
    pub counted: u64,
}

/// Index of the entry for a process's CPU time.
pub const fn cpu_index(generation: u64, pid: u32) -> usize {
    ((generation & 1) * CPU_ENTRIES_PER_GENERATION + pid as u64 % CPU_ENTRIES_PER_GENERATION)
        as usize
}

/// Combines a generation and a direction (0 in, 1 out) into a number below 4. Of the generation only
/// the lowest bit matters: at most two are in use, one being written and one being read.
pub const fn side(generation: u64, direction: u32) -> u64 {
    (generation & 1) * 2 + (direction as u64 & 1)
}

/// Index of the entry for a hash on a [`side`].
pub const fn index(side: u64, hash: u64) -> usize {
    ((side & 3) * ENTRIES_PER_SIDE + hash % ENTRIES_PER_SIDE) as usize
}

/// All entries of a [`side`].
pub fn entries<T>(all: &[T; ENTRIES], side: u64) -> &[T] {
    let first = index(side, 0);
    &all[first..first + ENTRIES_PER_SIDE as usize]
}

plain! {
    Call is 24 bytes;
    Running is 144 bytes;
    CgroupCheck is 24 bytes;
    CpuState is 16_080 bytes;
}

#[cfg(test)]
mod tests {
    use super::{ENTRIES, entries, index, side};

    #[test]
    fn sides_share_no_entry_and_leave_none_out() {
        let mut all = [0; ENTRIES];
        for (at, value) in all.iter_mut().enumerate() {
            *value = at;
        }
        let sides = [side(6, 0), side(6, 1), side(7, 0), side(7, 1)];
        let found: Vec<usize> = sides
            .into_iter()
            .flat_map(|side| entries(&all, side).to_vec())
            .collect();
        assert_eq!(found, (0..ENTRIES).collect::<Vec<_>>());
        assert!(entries(&all, 3).contains(&index(3, u64::MAX)));
    }
}
