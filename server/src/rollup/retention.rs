//! How long each resolution is kept.

use bubble_common::segment::Resolution;

/// How long each resolution is kept, in seconds; days are kept for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Of seconds.
    pub seconds: u64,
    /// Of minutes.
    pub minutes: u64,
    /// Of hours.
    pub hours: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            seconds: 3_600,
            minutes: 2 * 86_400,
            hours: 120 * 86_400,
        }
    }
}

impl Retention {
    /// How long `resolution` is kept, in seconds; `None` is for ever.
    pub const fn of(&self, resolution: Resolution) -> Option<u64> {
        match resolution {
            Resolution::Second => Some(self.seconds),
            Resolution::Minute => Some(self.minutes),
            Resolution::Hour => Some(self.hours),
            Resolution::Day => None,
        }
    }

    /// Spans that end at or before this have expired at `now`.
    pub fn expired_before(&self, resolution: Resolution, now: u64) -> Option<u64> {
        let cut = now.saturating_sub(self.of(resolution)?);
        Some(resolution.packed_start(cut))
    }

    /// Whether what happened at `at` is still there at `now`.
    pub fn holds(&self, resolution: Resolution, at: u64, now: u64) -> bool {
        self.expired_before(resolution, now)
            .is_none_or(|before| at >= before)
    }
}
