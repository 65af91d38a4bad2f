//! What could not be counted, and why. Folded rows are not losses: their totals are exact.

use super::cell::value;

/// Why something was lost: the first index of a row of losses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reason(pub u32);

impl Reason {
    /// A kernel map was full: the bytes are those that it could not hold.
    pub const MAP_FULL: Self = Self(0);
    /// The kernel's ring buffer was full: process events are missing.
    pub const RING_FULL: Self = Self(1);
    /// A path could not be resolved; its bytes are counted, under `(unknown)`.
    pub const PATH_UNKNOWN: Self = Self(2);
    /// The agent's spool was full: whole slots were dropped.
    pub const SPOOL_FULL: Self = Self(3);
    /// A recorded capture says that it dropped events.
    pub const CAPTURE_DROPS: Self = Self(4);
    /// The agent came too late and counted two slots as one.
    pub const LATE: Self = Self(5);
    /// A container's cgroup was gone before its last figures were read: its own count is short of
    /// what its processes did after the reading before.
    pub const CGROUP_GONE: Self = Self(6);

    /// Its name in the API; empty for a number that this version does not know.
    pub const fn name(self) -> &'static str {
        match self.0 {
            0 => "map_full",
            1 => "ring_full",
            2 => "path_unknown",
            3 => "spool_full",
            4 => "capture_drops",
            5 => "late",
            6 => "cgroup_gone",
            _ => "",
        }
    }
}

/// How much was lost in a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    /// How many times.
    pub count: u64,
    /// How many bytes of I/O, where that is known.
    pub bytes: u64,
}
value!(Loss {
    count: add,
    bytes: add
});
