//! What happened at a point in time and is not in a table: starts and exits of
//! processes are, in the dictionary of processes, and so are not repeated here.

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// When: nanoseconds since the Unix epoch, within the segment's span.
    pub at: u64,
    /// What.
    pub kind: EventKind,
    /// To which process: an index into the dictionary of processes.
    pub process: Option<u32>,
    /// More about it: the peer that refused, the exit code, …
    pub detail: String,
}

/// What kind of thing happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKind(pub u32);

impl EventKind {
    /// The container started.
    pub const CONTAINER_START: Self = Self(0);
    /// The container ended; the detail is its exit code.
    pub const CONTAINER_END: Self = Self(1);
    /// The kernel killed a process for want of memory.
    pub const OOM_KILL: Self = Self(2);
    /// A connection was refused or failed; the detail is the peer.
    pub const CONNECTION_FAILED: Self = Self(3);
    /// Events beyond the cap; the detail is how many.
    pub const FOLDED: Self = Self(4);

    /// Its name in the API; empty for a number that this version does not know.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "container_start",
            1 => "container_end",
            2 => "oom_kill",
            3 => "connection_failed",
            4 => "folded",
            _ => "",
        }
    }
}
