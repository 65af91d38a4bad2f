//! Retention: how long rows of each resolution live.

use bubble_common::segment::Resolution;

/// How long rows of each resolution live, in seconds. Days never expire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Of seconds.
    pub seconds: u64,
    /// Of minutes.
    pub minutes: u64,
    /// Of hours.
    pub hours: u64,
    /// Of the last seconds of a container that has ended: those that it had when it was last seen. No
    /// effect if it is below [`Self::seconds`].
    pub finished: u64,
}

impl Default for Retention {
    fn default() -> Self {
        Self {
            seconds: 3_600,
            minutes: 2 * 86_400,
            hours: 120 * 86_400,
            finished: 2 * 86_400,
        }
    }
}

impl Retention {
    /// How long rows of `resolution` live, in seconds; `None` is for ever.
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

    /// The same for a container that was last seen at `last_seen`: its last seconds expire later.
    pub fn expired_of(&self, resolution: Resolution, last_seen: u64, now: u64) -> Option<u64> {
        let before = self.expired_before(resolution, now)?;
        match resolution {
            Resolution::Second => Some(self.finished(now).expired_before(last_seen, before)),
            _ => Some(before),
        }
    }

    /// What is retained of containers that have ended, at `now`.
    pub const fn finished(&self, now: u64) -> Finished {
        Finished {
            seconds: self.seconds,
            before: now.saturating_sub(self.finished),
        }
    }

    /// Whether rows of the time `at` still exist at `now`, of a container that was last seen at
    /// `last_seen`.
    pub fn holds(&self, resolution: Resolution, at: u64, last_seen: u64, now: u64) -> bool {
        self.expired_of(resolution, last_seen, now)
            .is_none_or(|before| at >= before)
    }
}

/// The last seconds of containers that have ended, which expire later than others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Finished {
    /// How long before the end of a container its seconds are retained.
    seconds: u64,
    /// Seconds before this time have expired, whatever container they are of.
    before: u64,
}

impl Finished {
    /// Seconds before this have expired of a container that was last seen at `last_seen`, where
    /// those of others have before `before`.
    pub fn expired_before(&self, last_seen: u64, before: u64) -> u64 {
        let own = last_seen.saturating_sub(self.seconds).max(self.before);
        Resolution::Second.packed_start(own).min(before)
    }
}

#[cfg(test)]
mod tests {
    use bubble_common::segment::Resolution;

    use super::Retention;

    #[test]
    fn the_last_seconds_of_a_container_expire_later() {
        let retention = Retention::default();
        let hour = 3_600;
        let ended = 100 * 86_400;
        let holds = |at, now| retention.holds(Resolution::Second, at, ended, now);
        // While it runs, an hour.
        assert!(holds(ended - hour, ended) && !holds(ended - hour - 60, ended));
        // After its end the same hour, for two days.
        for later in [hour, 86_400, 2 * 86_400 - hour] {
            assert!(holds(ended - hour, ended + later), "{later}");
            assert!(!holds(ended - hour - 60, ended + later), "{later}");
        }
        assert!(!holds(ended - 60, ended + 2 * 86_400));
        let none = Retention {
            finished: 0,
            ..retention
        };
        assert!(!none.holds(Resolution::Second, ended - 60, ended, ended + 2 * hour));
        assert!(retention.holds(Resolution::Minute, ended, ended, ended + 86_400));
    }
}
