//! What the programs could not hold: running totals, one a cause.

use super::plain;

/// Why something was lost: the index in the map `LOSSES`.
#[repr(transparent)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cause(pub u32);

impl Cause {
    /// The map of CPU sums was full; the amount is nanoseconds.
    pub const CPU: Self = Self(0);
    /// The ring buffer was full: a record is missing. The amount is its bytes.
    pub const RING: Self = Self(1);
    /// A map of file sums was full; the amount is bytes of I/O.
    pub const FILE: Self = Self(2);
    /// A map of connection sums was full; the amount is bytes of I/O.
    pub const NETWORK: Self = Self(3);
    /// A path could not be resolved; its bytes are counted.
    pub const PATH: Self = Self(4);
    /// A program interrupted another that used the same scratch space; the amount is bytes of I/O.
    pub const BUSY: Self = Self(5);

    /// How many causes there are: entries of the map.
    pub const COUNT: u32 = 6;
}

/// How much was lost since the programs were loaded.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Lost {
    /// How many times.
    pub count: u64,
    /// How much: the unit is the cause's.
    pub amount: u64,
}

plain! {
    Cause is 4 bytes;
    Lost is 16 bytes;
}
