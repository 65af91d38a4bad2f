//! Running totals of what the programs could not count or report, by cause.

use super::plain;

/// Why something was lost. The number is the index in the map `LOSSES`.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause(pub u32);

impl Cause {
    /// The map of CPU sums was full. The amount is nanoseconds.
    pub const CPU: Self = Self(0);
    /// The ring buffer was full, so a record is missing. The amount is its bytes.
    pub const RING: Self = Self(1);
    /// The maps of file sums were full. The amount is bytes of I/O.
    pub const FILE: Self = Self(2);
    /// The maps of connection sums were full. The amount is bytes of I/O.
    pub const NETWORK: Self = Self(3);
    /// A path could not be resolved. The amount is bytes of I/O, which are counted all the same.
    pub const PATH: Self = Self(4);
    /// A program preempted another that used the same scratch buffer. The amount is bytes of I/O.
    pub const BUSY: Self = Self(5);
    /// A map of threads or of waits was full. The amount is nanoseconds that are known to be missing.
    pub const WAIT: Self = Self(6);
    /// A process was moved between cgroups again before a core that it runs on had learned of the first
    /// move. The amount is nanoseconds.
    pub const MOVED: Self = Self(7);

    /// Number of causes: entries of the map.
    pub const COUNT: u32 = 8;
}

/// What was lost since the programs were loaded.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lost {
    /// Number of times.
    pub count: u64,
    /// Amount, in the unit of the cause.
    pub amount: u64,
}

plain! {
    Cause is 4 bytes;
    Lost is 16 bytes;
}
