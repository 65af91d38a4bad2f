//! What the kernel side keeps of a core, in one value of a map so that a program looks it up once:
//! who runs there, and what was done there lately (CPU time, files, connections), before it goes to
//! the maps of sums. Of the latter there are some entries for each generation of the sums and each
//! direction, so that few processes with few files or connections each share a core without the maps.

use super::cpu::CpuLast;
use super::file::FileLast;
use super::network::NetworkLast;
use super::plain;
use super::process::ProcessKey;

/// Entries of a generation and direction.
const SLOTS: u64 = 16;
/// Entries of all generations and directions.
pub const COUNT: usize = 4 * SLOTS as usize;

/// Entries of a generation for CPU time.
const CPU_SLOTS: u64 = 8;
/// Those of both.
pub const CPU_COUNT: usize = 2 * CPU_SLOTS as usize;

/// Cgroups of which a core knows whether they are counted.
pub const CGROUPS: usize = 8;

/// An entry's generation while a program changes it, which one that preempts it must then leave alone.
pub const BUSY: u64 = u64::MAX;
/// The first generation; 0 is that of an entry that was never used.
pub const FIRST_GENERATION: u64 = 1;

/// A core.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct Core {
    /// Who runs there.
    pub running: Running,
    /// Cgroups that were looked up, by the lowest bits of their ids.
    pub cgroups: [Seen; CGROUPS],
    /// The last processes, by [`cpu_index`].
    pub cpu: [CpuLast; CPU_COUNT],
    /// The last files, by [`index`].
    pub files: [FileLast; COUNT],
    /// The last connections, by [`index`].
    pub connections: [NetworkLast; COUNT],
}

/// What is known of the task on a core.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Running {
    /// Whose time and bytes are counted now.
    pub key: ProcessKey,
    /// The task's CPU time up to which it has been charged, ns.
    pub since: u64,
    /// 0 while nothing is counted: a kernel thread, or a cgroup of no interest.
    pub counted: u32,
    /// Not 0 while a program changes this, which an interrupt must then leave alone.
    pub busy: u32,
    /// Address of the task that all this is about.
    pub task: u64,
}

/// Whether a cgroup is counted, as it was looked up in a generation: in the next it may be otherwise.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Seen {
    /// Its id.
    pub cgroup: u64,
    /// The generation.
    pub generation: u64,
    /// 1 when it is.
    pub counted: u64,
}

/// The entry for a process's CPU time.
pub const fn cpu_index(generation: u64, pid: u32) -> usize {
    ((generation & 1) * CPU_SLOTS + pid as u64 % CPU_SLOTS) as usize
}

/// A generation of the sums, of whose number the lowest bit counts (the one before it is being
/// read), and a direction (0 in, 1 out), as one number.
pub const fn side(generation: u64, direction: u32) -> u64 {
    (generation & 1) * 2 + (direction as u64 & 1)
}

/// The entry of a [`side`] for what has this hash.
pub const fn index(side: u64, hash: u64) -> usize {
    ((side & 3) * SLOTS + hash % SLOTS) as usize
}

/// The entries of a [`side`].
pub fn entries<T>(all: &[T; COUNT], side: u64) -> &[T] {
    let first = index(side, 0);
    &all[first..first + SLOTS as usize]
}

plain! {
    Running is 48 bytes;
    Seen is 24 bytes;
    Core is 14_704 bytes;
}

#[cfg(test)]
mod tests {
    use super::{COUNT, entries, index, side};

    #[test]
    fn sides_share_no_entry_and_leave_none_out() {
        let mut all = [0; COUNT];
        for (at, value) in all.iter_mut().enumerate() {
            *value = at;
        }
        let sides = [side(6, 0), side(6, 1), side(7, 0), side(7, 1)];
        let found: Vec<usize> = sides
            .into_iter()
            .flat_map(|side| entries(&all, side).to_vec())
            .collect();
        assert_eq!(found, (0..COUNT).collect::<Vec<_>>());
        assert!(entries(&all, 3).contains(&index(3, u64::MAX)));
    }
}
