//! The four lengths of a slot, and the spans that are stored as one.

/// Length of a slot. It also decides how many slots a packed segment has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[repr(u8)]
pub enum Resolution {
    /// 1 s; packed by the minute.
    Second = 0,
    /// 60 s; packed by the hour.
    Minute = 1,
    /// 3,600 s; packed by the day.
    Hour = 2,
    /// 86,400 s (UTC days); packed by 32 days.
    Day = 3,
}

impl Resolution {
    /// From the finest to the coarsest.
    pub const ALL: [Self; 4] = [Self::Second, Self::Minute, Self::Hour, Self::Day];

    /// Length of a slot in seconds.
    pub const fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3_600,
            Self::Day => 86_400,
        }
    }

    /// Number of slots in a packed segment.
    pub const fn packed_slots(self) -> u64 {
        match self {
            Self::Second | Self::Minute => 60,
            Self::Hour => 24,
            Self::Day => 32,
        }
    }

    /// Length of a packed span in seconds.
    pub const fn packed_seconds(self) -> u64 {
        self.seconds() * self.packed_slots()
    }

    /// Start of the packed span that contains the second `at`.
    pub const fn packed_start(self, at: u64) -> u64 {
        at - at % self.packed_seconds()
    }

    /// Number of slots of the next finer resolution in a slot (1 for a second).
    pub const fn sub_slots(self) -> u32 {
        match self {
            Self::Second => 1,
            Self::Minute | Self::Hour => 60,
            Self::Day => 24,
        }
    }

    /// The next coarser resolution.
    pub const fn coarser(self) -> Option<Self> {
        match self {
            Self::Second => Some(Self::Minute),
            Self::Minute => Some(Self::Hour),
            Self::Hour => Some(Self::Day),
            Self::Day => None,
        }
    }

    /// The resolution with the number `n` on the wire.
    pub const fn from_u8(n: u8) -> Option<Self> {
        match n {
            0 => Some(Self::Second),
            1 => Some(Self::Minute),
            2 => Some(Self::Hour),
            3 => Some(Self::Day),
            _ => None,
        }
    }

    /// `second`, `minute`, `hour` or `day`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }
}
