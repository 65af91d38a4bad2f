//! Events: what happened at a point in time. Starts and exits of processes are in
//! the dictionary of processes, and not repeated here.

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Event {
    /// When: nanoseconds since the Unix epoch, within the segment's span.
    pub at: u64,
    /// What happened.
    pub kind: EventKind,
    /// The process: an index into the dictionary.
    pub process: Option<u32>,
    /// Details: the peer that refused, the exit code, …
    pub detail: String,
}

/// Kind of an event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventKind(pub u32);

impl EventKind {
    /// The container started.
    pub const CONTAINER_START: Self = Self(0);
    /// The container ended. The detail is its exit code.
    pub const CONTAINER_END: Self = Self(1);
    /// The OOM killer ended a process.
    pub const OOM_KILL: Self = Self(2);
    /// A connection was refused or failed. The detail is the peer.
    pub const CONNECTION_FAILED: Self = Self(3);
    /// Events beyond the cap. The detail is their number.
    pub const FOLDED: Self = Self(4);

    /// Its name in the API. Empty for a number that this version does not know.
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
