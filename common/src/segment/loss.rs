//! Losses: what could not be counted, and why. Folded rows are no losses, as their totals are exact.

use super::cell::value;

/// Reason of a loss: the first index of its row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(pub u32);

impl Reason {
    /// A kernel map was full. The bytes are those that it could not hold.
    pub const MAP_FULL: Self = Self(0);
    /// The kernel's ring buffer was full: process events are missing.
    pub const RING_FULL: Self = Self(1);
    /// A path could not be resolved. Its bytes are counted under `(unknown)`.
    pub const PATH_UNKNOWN: Self = Self(2);
    /// The agent's spool was full: whole slots were dropped.
    pub const SPOOL_FULL: Self = Self(3);
    /// The capture says that its recorder dropped events.
    pub const CAPTURE_DROPS: Self = Self(4);
    /// The agent was late and counted two slots as one.
    pub const LATE: Self = Self(5);
    /// A container's cgroup vanished before its last figures were read. The container's totals
    /// lack what its processes did after the previous reading.
    pub const CGROUP_GONE: Self = Self(6);
    /// A recording has a value that cannot be: a result above the most that a call can move, a
    /// time that goes back, a run over a long pause, more memory than the machine has. What it
    /// stands for is not counted.
    pub const IMPLAUSIBLE: Self = Self(7);
    /// It is not known in which container a process was. A recording says it too late: more of its
    /// activity came before than can wait. Or the process was moved between containers again before a core
    /// that it ran on had learned of the first move.
    pub const UNATTRIBUTED: Self = Self(8);
    /// A file was mapped into memory: what is read and written there passes no hook. Counts mappings.
    pub const MAPPED_FILE: Self = Self(9);
    /// io_uring requests without a result that a hook sees. The bytes are those that they asked for.
    pub const IO_URING: Self = Self(10);
    /// Requests of `io_submit` whose results the program read from shared memory. The bytes are those
    /// that they asked for.
    pub const AIO: Self = Self(11);
    /// System calls of 32-bit programs whose arguments cannot be read.
    pub const UNREAD_CALL: Self = Self(12);

    /// A cgroup was gone before anything was known about it, or could not be read. If it was
    /// that of a container, what its processes did is counted nowhere.
    pub const CGROUP_UNKNOWN: Self = Self(15);
    /// The server refused seconds for good. The count is the number of seconds. The loss is in the
    /// second in which the refusal was seen, as the refused ones cannot be stored.
    pub const REFUSED: Self = Self(20);
    /// The slot holds seconds that were observed in part, or drained so late that they contain part
    /// of their neighbours. The count is the number of such seconds.
    pub const PARTIAL: Self = Self(21);
    /// The agent's spool was damaged on disk. The count is the number of seconds.
    pub const SPOOL_DAMAGED: Self = Self(22);
    /// The agent could not read files of the container's cgroup.
    pub const UNREADABLE: Self = Self(23);
    /// Stored rows are damaged on the server's disk, and left out. The count is the number of rows; what
    /// they held is a gap.
    pub const STORE_DAMAGED: Self = Self(24);

    /// Its name in the API. Empty for a number that this version does not know.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "map_full",
            1 => "ring_full",
            2 => "path_unknown",
            3 => "spool_full",
            4 => "capture_drops",
            5 => "late",
            6 => "cgroup_gone",
            7 => "implausible",
            8 => "unattributed",
            9 => "mapped_file",
            10 => "io_uring",
            11 => "aio",
            12 => "unread_call",
            15 => "cgroup_unknown",
            20 => "refused",
            21 => "partial",
            22 => "spool_damaged",
            23 => "unreadable",
            24 => "store_damaged",
            _ => "",
        }
    }
}

/// How much was lost in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    /// Number of losses.
    pub count: u64,
    /// Lost bytes of I/O, if known.
    pub bytes: u64,
}
value!(Loss {
    count: add,
    bytes: add
});
