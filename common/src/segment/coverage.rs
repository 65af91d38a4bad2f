//! Which sub-slots a slot holds.

/// Which sub-slots of one source a slot holds: bit *i* is set if the *i*-th
/// slot of the next finer resolution was merged in (for a second: bit 0).
///
/// It makes merging idempotent: a sub-slot of a source counts once, however often
/// it arrives. 0 is a gap. It means that nothing is known, and not that nothing
/// happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Coverage(pub u64);

impl Coverage {
    /// A gap.
    pub const NONE: Self = Self(0);
    /// A whole second.
    pub const SECOND: Self = Self(1);

    /// Whether nothing is known about this slot.
    pub const fn is_gap(self) -> bool {
        self.0 == 0
    }

    /// Number of sub-slots in it.
    pub const fn count(self) -> u32 {
        self.0.count_ones()
    }
}
