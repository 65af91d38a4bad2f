//! Processes: who they were, and their CPU time and memory.

use super::cell::value;

/// One program that one process ran: a row of the dictionary of processes.
///
/// A process that calls `exec` (or renames itself) becomes another row with the
/// same `pid` and `start` and a higher `exec`, so that what the shell read is not
/// charged to the program it became.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// What tells it from every other of this container.
    pub id: ProcessId,
    /// Process id inside the container's pid namespace (0 when not known).
    pub container_pid: u32,
    /// Process id of the parent on the host (0 when not known).
    pub parent: u32,
    /// User id on the host.
    pub uid: u32,
    /// The kernel's `comm`, at most 15 bytes.
    pub name: String,
    /// Path of the program.
    pub exe: String,
    /// The command line, words separated by one NUL, `argv[0]` first.
    pub args: String,
    /// When this row ended (by exit, or by the next exec): ns since the Unix epoch; 0 while it runs.
    pub end: u64,
    /// How the process ended; absent while it runs and when it went on as another program.
    pub exit: Option<Exit>,
    /// How many processes are folded into this row; 1 for a process by itself.
    pub count: u32,
}

/// What tells a process from every other on its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct ProcessId {
    /// Process id (thread group id) on the host; 0 for a folded row.
    pub pid: u32,
    /// When the process was forked: ns since the Unix epoch; 0 for a folded row.
    pub start: u64,
    /// How many times it had called `exec` or renamed itself when this row began.
    pub exec: u32,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// It returned this code.
    Code(u8),
    /// This signal killed it.
    Signal(u8),
}

/// Name of the row into which what exceeds a table's cap is folded.
pub const OTHER: &str = "(other)";

impl Process {
    /// A process of which only the identity and the name are known.
    pub fn new(id: ProcessId, name: impl Into<String>) -> Self {
        Self {
            id,
            container_pid: 0,
            parent: 0,
            uid: 0,
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

    /// Order and identity within a dictionary: folded rows are told apart by name.
    pub fn identity(&self) -> (ProcessId, &str) {
        (self.id, if self.is_folded() { &self.name } else { "" })
    }

    /// Takes in what `other`, the same process, knows more: the later end, the
    /// known exit, for the rest the greater value, so that order does not matter.
    pub fn absorb(&mut self, other: &Self) {
        fn greater<T: PartialOrd + Clone>(kept: &mut T, other: &T) {
            if *other > *kept {
                *kept = other.clone();
            }
        }
        greater(&mut self.container_pid, &other.container_pid);
        greater(&mut self.parent, &other.parent);
        greater(&mut self.uid, &other.uid);
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Memory {
    /// Virtual size in bytes.
    pub vm: u64,
    /// Resident set in bytes.
    pub rss: u64,
    /// Swapped out, in bytes.
    pub swap: u64,
}
value!(Memory {
    vm: max,
    rss: max,
    swap: max
});
