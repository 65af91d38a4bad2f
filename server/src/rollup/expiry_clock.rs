//! The time by which rows expire: never that of a clock which has just jumped ahead.
//!
//! What has expired is gone, so one wrong reading of the clock must not decide. The clock is trusted
//! as long as it agrees with the last trusted reading and the time that has passed since, by the
//! system's clock of uptime. If it is ahead of that, expiry goes on from the last trusted reading,
//! and the new time is trusted after a day in which the clock ran evenly and no agent contradicted it.

use rustix::time::{ClockId, clock_gettime};
use tracing::warn;

/// How far the clock may be ahead, in seconds.
const TOLERANCE: u64 = 3_600;
/// How long a clock that is ahead must have run evenly, in seconds.
const TRIAL: u64 = 86_400;
/// Age of the latest reports of agents, in seconds, beyond which they contradict the clock.
const MAX_REPORT_AGE: u64 = 86_400;

/// The clock and the uptime at one moment, in seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Reading {
    /// Since the Unix epoch.
    pub(super) clock: u64,
    /// Since the system started, suspension included.
    pub(super) uptime: u64,
}

/// Decides by which time rows expire.
#[derive(Debug, Default)]
pub(super) struct ExpiryClock {
    trusted: Option<Reading>,
    /// Since when the clock is ahead.
    suspect: Option<Reading>,
}

impl Reading {
    /// Now, by the clock `clock`.
    pub(super) fn now(clock: u64) -> Self {
        let uptime = clock_gettime(ClockId::Boottime).tv_sec;
        let uptime = u64::try_from(uptime).unwrap_or(0);
        Self { clock, uptime }
    }

    /// What the clock should show at `later`.
    fn expected(self, later: Self) -> u64 {
        self.clock + later.uptime.saturating_sub(self.uptime)
    }
}

impl ExpiryClock {
    /// The time by which rows expire at `now`. `last` is the time by which they expired before this
    /// process started, if they did. `reported` is the time of the latest report of any agent.
    pub(super) fn time(&mut self, now: Reading, last: Option<u64>, reported: Option<u64>) -> u64 {
        let is_contradicted =
            reported.is_some_and(|reported| reported.saturating_add(MAX_REPORT_AGE) < now.clock);
        let first = last.or(reported.filter(|_| is_contradicted));
        let trusted = *self.trusted.get_or_insert(Reading {
            clock: first.unwrap_or(now.clock),
            ..now
        });
        let expected = trusted.expected(now);
        if now.clock <= expected + TOLERANCE {
            self.trusted = Some(now);
            self.suspect = None;
            return now.clock;
        }
        let even = |since: &Reading| since.expected(now).abs_diff(now.clock) <= TOLERANCE;
        let since = self.suspect.filter(even).unwrap_or_else(|| {
            warn!(
                ahead_s = now.clock - expected,
                "the clock is ahead of what was expected: rows expire by the former time, until it \
                 has run evenly for a day and agents agree"
            );
            now
        });
        self.suspect = Some(since);
        if now.uptime.saturating_sub(since.uptime) >= TRIAL && !is_contradicted {
            self.trusted = Some(now);
            self.suspect = None;
            return now.clock;
        }
        expected
    }

    /// Whether the clock is ahead of what was expected.
    pub(super) fn is_suspect(&self) -> bool {
        self.suspect.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::{ExpiryClock, Reading};

    const DAY: u64 = 86_400;
    const START: u64 = 20_000 * DAY;

    fn at(clock: u64, uptime: u64) -> Reading {
        Reading { clock, uptime }
    }

    #[test]
    fn a_clock_that_runs_evenly_or_goes_back_is_followed() {
        let mut clock = ExpiryClock::default();
        for (now, uptime) in [
            (START, 5),
            (START + 60, 65),
            (START - DAY, 125),
            (START, 125 + DAY),
        ] {
            assert_eq!(clock.time(at(now, uptime), None, None), now);
        }
        assert!(!clock.is_suspect());
    }

    #[test]
    fn a_jump_ahead_expires_nothing() {
        let mut clock = ExpiryClock::default();
        clock.time(at(START, 5), None, None);
        let ahead = START + 400 * DAY;
        assert_eq!(clock.time(at(ahead, 65), None, Some(START)), START + 60);
        assert!(clock.is_suspect());
        // Agents contradict it, however long it lasts.
        let later = at(ahead + 9 * DAY, 65 + 9 * DAY);
        assert_eq!(
            clock.time(later, None, Some(START + 9 * DAY)),
            START + 60 + 9 * DAY
        );
        // The clock is set right.
        let right = at(START + 10 * DAY, 5 + 10 * DAY);
        assert_eq!(clock.time(right, None, None), right.clock);
        assert!(!clock.is_suspect());
    }

    #[test]
    fn a_start_with_a_clock_that_is_ahead_is_a_jump() {
        let mut clock = ExpiryClock::default();
        let ahead = START + 400 * DAY;
        assert_eq!(clock.time(at(ahead, 5), Some(START), None), START);
        // A server that was off for that long, with agents that agree or none: after a day.
        assert_eq!(
            clock.time(at(ahead + DAY - 1, 4 + DAY), Some(START), None),
            START + DAY - 1
        );
        let day_later = at(ahead + DAY, 5 + DAY);
        assert_eq!(
            clock.time(day_later, Some(START), Some(ahead)),
            day_later.clock
        );
    }

    #[test]
    fn a_first_clock_that_agents_contradict_is_a_jump() {
        let mut clock = ExpiryClock::default();
        let ahead = at(START + 400 * DAY, 5);
        assert_eq!(clock.time(ahead, None, Some(START)), START);
        assert!(clock.is_suspect());
        let mut clock = ExpiryClock::default();
        assert_eq!(clock.time(ahead, None, Some(ahead.clock)), ahead.clock);
        assert!(!clock.is_suspect());
    }

    #[test]
    fn a_second_jump_begins_the_trial_again() {
        let mut clock = ExpiryClock::default();
        clock.time(at(START, 0), None, None);
        clock.time(at(START + 9 * DAY, 1), None, None);
        let again = clock.time(at(START + 99 * DAY, DAY), None, None);
        assert_eq!(again, START + DAY);
        let before = clock.time(at(START + 100 * DAY - 1, 2 * DAY - 1), None, None);
        assert_eq!(before, START + 2 * DAY - 1);
        let after = at(START + 100 * DAY, 2 * DAY);
        assert_eq!(clock.time(after, None, None), after.clock);
    }
}
