//! Processes, their CPU time and their memory.

use std::cmp::Ordering;

use super::cell::{Row, Value, max, value};

/// One program that one process ran: a row of the dictionary of processes.
///
/// A process that calls `exec` continues as another row with the same `pid` and `start`
/// and a higher `exec`. What a shell read is therefore not charged to the program that
/// it became.
///
/// What a process changes of itself (user, name, command line) changes its row: a segment
/// has the last state in its span. So a longer span shows the latest state of each process,
/// and each second shows the state of that second.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// Identity within the container.
    pub id: ProcessId,
    /// Process id inside the container's pid namespace (0 when not known).
    pub container_pid: u32,
    /// Process id of the parent on the host (0 when not known): at the fork, if the source saw it.
    pub parent: u32,
    /// Effective user id on the host. Of a process with threads that differ, that of the first one.
    pub uid: u32,
    /// Effective group id on the host, of the same thread. `None` if it is not known.
    pub gid: Option<u32>,
    /// The kernel's `comm`, at most 15 bytes. Of a process with several threads, that of the first one.
    pub name: String,
    /// Path of the file that runs, as `/proc/PID/exe` shows it but without ` (deleted)`. Of a script it
    /// is the interpreter; the script is in `args`. Of a file in memory it is `/memfd:NAME`. Sources that
    /// do not see the file have the path that was passed to `exec`.
    pub exe: String,
    /// The command line, words separated by one NUL, `argv[0]` first. A process may overwrite it
    /// (`setproctitle`).
    pub args: String,
    /// When this row ended (by exit or the next `exec`): ns since the Unix epoch; 0 while it runs.
    pub end: u64,
    /// How the process ended. `None` while it runs, or if it continued as another program.
    pub exit: Option<Exit>,
    /// Number of processes folded into this row that have no row of their own; 1 for a single process.
    pub count: u32,
}

/// Identity of a process on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ProcessId {
    /// Process id (thread group id) on the host; 0 for a folded row.
    pub pid: u32,
    /// When the process was forked: ns since the Unix epoch; 0 for a folded row.
    pub start: u64,
    /// Number of calls of `exec` before this row began. Recordings, in which a change of the name may be
    /// an `exec`, count both.
    pub exec: u32,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Exit {
    /// It returned this code.
    Code(u8),
    /// This signal killed it.
    Signal(u8),
}

/// Name of the row that stands for everything beyond a cap.
pub const OTHER: &str = "(other)";

impl Process {
    /// A process with only its identity and name known.
    pub fn new(id: ProcessId, name: impl Into<String>) -> Self {
        Self {
            id,
            container_pid: 0,
            parent: 0,
            uid: 0,
            gid: None,
            name: name.into(),
            exe: String::new(),
            args: String::new(),
            end: 0,
            exit: None,
            count: 1,
        }
    }

    /// The row that stands for `count` processes called `name`.
    pub fn folded(name: impl Into<String>, count: u32) -> Self {
        Self {
            count,
            ..Self::new(ProcessId::default(), name)
        }
    }

    /// Whether this row stands for several processes.
    pub fn is_folded(&self) -> bool {
        self.id.pid == 0
    }

    /// Order and identity within a dictionary. Folded rows differ by name.
    pub fn identity(&self) -> (ProcessId, &str) {
        (self.id, if self.is_folded() { &self.name } else { "" })
    }

    /// Takes over the state of the same process at a later time, as far as `newer` knows it. Keeps the
    /// first known parent, which a later one replaces when it ends.
    pub fn update(&mut self, newer: &Self) {
        fn take(text: &mut String, newer: &str) {
            if !newer.is_empty() && text != newer {
                newer.clone_into(text);
            }
        }
        // Without a name nothing is known, and the user is not root.
        if !newer.name.is_empty() {
            self.uid = newer.uid;
        }
        self.gid = newer.gid.or(self.gid);
        if newer.container_pid != 0 {
            self.container_pid = newer.container_pid;
        }
        if self.parent == 0 {
            self.parent = newer.parent;
        }
        take(&mut self.name, &newer.name);
        take(&mut self.exe, &newer.exe);
        take(&mut self.args, &newer.args);
        self.end = self.end.max(newer.end);
        self.exit = self.exit.max(newer.exit);
        self.count = self.count.max(newer.count);
    }

    /// Unites the state of this process at `at` with that of `other` at `other_at`. Returns the later
    /// time, which the state has now.
    pub fn unite(&mut self, at: u64, other: &Self, other_at: u64) -> u64 {
        match other_at.cmp(&at) {
            Ordering::Equal => self.absorb(other),
            Ordering::Greater => self.update(other),
            Ordering::Less => {
                let newer = std::mem::replace(self, other.clone());
                self.update(&newer);
            }
        }
        at.max(other_at)
    }

    /// Merges what `other` knows about the same process at the same time: the later end, the known
    /// exit, and the greater value of every other field. The order does not matter.
    pub fn absorb(&mut self, other: &Self) {
        fn greater<T: PartialOrd + Clone>(value: &mut T, other: &T) {
            if *other > *value {
                *value = other.clone();
            }
        }
        greater(&mut self.container_pid, &other.container_pid);
        greater(&mut self.parent, &other.parent);
        greater(&mut self.uid, &other.uid);
        greater(&mut self.gid, &other.gid);
        greater(&mut self.name, &other.name);
        greater(&mut self.exe, &other.exe);
        greater(&mut self.args, &other.args);
        greater(&mut self.end, &other.end);
        greater(&mut self.exit, &other.exit);
        greater(&mut self.count, &other.count);
    }
}

/// CPU time of a process on a core, in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cpu {
    /// Time on the core, in nanoseconds.
    pub ns: u64,
}
value!(Cpu { ns: add });

/// Memory of a process: the highest within a slot.
///
/// Each field is a maximum of its own. Of several processes the private memory adds up, the rest
/// of the resident set does not: other processes may have the same pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Virtual size in bytes.
    pub vm: u64,
    /// Resident set in bytes.
    pub rss: u64,
    /// Swapped out, in bytes.
    pub swap: u64,
    /// The part of `rss` that may be private: neither pages of a file nor shared memory. All of it where
    /// the two are not told apart. Never more than `rss`.
    pub private: u64,
}

impl Memory {
    /// The rest of the resident set: pages that other processes may have too, in bytes. If the two
    /// maxima are of different moments, it is a lower bound.
    pub fn shared(&self) -> u64 {
        self.rss.saturating_sub(self.private)
    }

    /// The same with `shared` bytes of the resident set that are not private.
    #[must_use]
    pub fn with_shared(self, shared: u64) -> Self {
        Self {
            private: self.rss.saturating_sub(shared),
            ..self
        }
    }
}

impl Value for Memory {
    const COLUMNS: usize = 4;
    const COLUMNS_OF_VERSION_1: usize = 3;

    fn get(&self, index: usize) -> u64 {
        // The shared part changes less often than the private one.
        [self.vm, self.rss, self.swap, self.shared()][index]
    }

    fn set(&mut self, index: usize, number: u64) {
        match index {
            0 => self.vm = number,
            1 => (self.rss, self.private) = (number, number),
            2 => self.swap = number,
            _ => *self = self.with_shared(number),
        }
    }

    fn absorb(&mut self, _: Row, other: &Self) {
        max(&mut self.vm, other.vm);
        max(&mut self.rss, other.rss);
        max(&mut self.swap, other.swap);
        max(&mut self.private, other.private);
    }
}

#[cfg(test)]
mod tests {
    use super::{Memory, Process, ProcessId};
    use crate::segment::cell::{Row, Value as _};

    fn process(name: &str, uid: u32, args: &str) -> Process {
        Process {
            uid,
            args: args.to_owned(),
            ..Process::new(ProcessId::default(), name)
        }
    }

    #[test]
    fn the_latest_state_counts_as_far_as_it_is_known() {
        let states = [
            (1, process("z", 70, "z")),
            (2, process("a", 0, "b")),
            (3, process("", 0, "")),
        ];
        for order in [[0, 1, 2], [1, 0, 2], [2, 1, 0]] {
            let (mut at, mut united) = states[order[0]].clone();
            for other in &order[1..] {
                at = united.unite(at, &states[*other].1, states[*other].0);
            }
            assert_eq!((at, &united), (3, &process("a", 0, "b")), "{order:?}");
        }
    }

    #[test]
    fn an_unknown_group_replaces_none() {
        let of = |gid| Process {
            gid,
            ..process("a", 1, "")
        };
        for (first, second) in [(None, Some(0)), (Some(0), None)] {
            for later in [1, 2] {
                let mut united = of(first);
                united.unite(1, &of(second), later);
                assert_eq!(united.gid, Some(0));
            }
        }
        let mut united = of(Some(7));
        united.unite(2, &of(Some(9)), 1);
        assert_eq!(united.gid, Some(7), "the latest one counts");
    }

    /// A peak that is not told apart may be private as a whole.
    #[test]
    fn private_memory_is_an_upper_bound() {
        let memory = |rss, private| Memory {
            rss,
            private,
            ..Memory::default()
        };
        let merged = |parts: &[Memory]| {
            let mut whole = Memory::default();
            parts.iter().for_each(|part| whole.absorb(Row(0, 0), part));
            (whole.rss, whole.private)
        };
        let (small, large, unknown) = (memory(50, 40), memory(70, 10), memory(80, 80));
        assert_eq!(merged(&[small, large]), (70, 40));
        assert_eq!(merged(&[small, unknown, large]), (80, 80));
    }
}
