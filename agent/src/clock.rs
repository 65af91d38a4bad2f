//! Converts the kernel's clocks to the time of day.
//!
//! The kernel stamps with `CLOCK_MONOTONIC` (since boot, never set). Segments are stored by the time
//! of day, which an administrator or NTP may set. The difference of the two is therefore measured once,
//! and again only when the time of day was stepped. It is rounded to the millisecond: then two runs of
//! the agent compute the same start for a process, and the start is part of the process's identity.

use std::time::Duration;

pub use bubble_capture::time::SECOND;
use rustix::time::{ClockId, clock_gettime};

/// Smaller steps of the time of day are ignored: on a busy host two readings, one after the other,
/// may differ by that much.
const MIN_STEP: Duration = Duration::from_millis(20);
/// Number of readings of a pair of clocks. The closest pair counts.
const READINGS: u32 = 5;

/// Converts times of the kernel's clocks to the time of day.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Time of day minus `CLOCK_MONOTONIC`, ns.
    monotonic: i64,
    /// Time of day minus `CLOCK_BOOTTIME` (which includes suspended time), ns.
    boot: i64,
}

/// Change of the time of day, other than by its passing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// No change.
    None,
    /// Set forward, by so many nanoseconds.
    Forward(u64),
    /// Set back, by so many nanoseconds: some seconds occur twice.
    Back(u64),
}

impl Clock {
    /// A clock that agrees with the host's now.
    pub fn new() -> Self {
        Self {
            monotonic: offset(ClockId::Monotonic),
            boot: offset(ClockId::Boottime),
        }
    }

    /// The time of day now: ns since the Unix epoch.
    pub fn now(&self) -> u64 {
        self.of_monotonic(read(ClockId::Monotonic))
    }

    /// The time of day at `ns` of `CLOCK_MONOTONIC` (the clock of `bpf_ktime_get_ns`).
    pub fn of_monotonic(&self, ns: u64) -> u64 {
        ns.saturating_add_signed(self.monotonic)
    }

    /// The time of day at `ns` of `CLOCK_BOOTTIME` (the clock of starts in /proc).
    pub fn of_boot(&self, ns: u64) -> u64 {
        ns.saturating_add_signed(self.boot)
    }

    /// Checks whether the time of day was stepped, and follows it if so.
    pub fn follow(&mut self) -> Step {
        let step = offset(ClockId::Monotonic).saturating_sub(self.monotonic);
        // The boot clock alone moves on while a host is suspended. Starts stay right only if its
        // offset is measured again.
        self.boot = offset(ClockId::Boottime);
        if Duration::from_nanos(step.unsigned_abs()) < MIN_STEP {
            return Step::None;
        }
        self.monotonic = self.monotonic.saturating_add(step);
        if step > 0 {
            Step::Forward(step.unsigned_abs())
        } else {
            Step::Back(step.unsigned_abs())
        }
    }
}

#[cfg(test)]
impl Clock {
    /// Makes it differ from the host's clock by so many seconds more.
    pub(crate) fn shift(&mut self, seconds: i64) {
        let by = seconds * SECOND as i64;
        self.monotonic += by;
        self.boot += by;
    }
}

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// Time of day minus `clock`, rounded to the millisecond.
fn offset(clock: ClockId) -> i64 {
    const MILLISECOND: i64 = 1_000_000;
    let closest = (0..READINGS)
        .map(|_| {
            let before = read(clock);
            let day = read(ClockId::Realtime);
            let after = read(clock);
            (
                after - before,
                day as i64 - (before + (after - before) / 2) as i64,
            )
        })
        .min()
        .map_or(0, |(_, offset)| offset);
    (closest + MILLISECOND / 2).div_euclid(MILLISECOND) * MILLISECOND
}

/// Reads a clock, ns.
pub(crate) fn read(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    (time.tv_sec as u64)
        .saturating_mul(SECOND)
        .saturating_add(time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use std::time::{SystemTime, UNIX_EPOCH};

    use super::{Clock, SECOND, Step};

    #[test]
    fn now_is_the_time_of_day() {
        let day = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .unwrap()
            .as_nanos() as u64;
        assert!(Clock::new().now().abs_diff(day) < SECOND);
    }

    #[test]
    fn two_clocks_agree() {
        let (a, b) = (Clock::new(), Clock::new());
        // They may differ by a millisecond if they are rounded in different directions.
        assert!(
            a.of_monotonic(5 * SECOND)
                .abs_diff(b.of_monotonic(5 * SECOND))
                <= 1_000_000
        );
        assert!(a.of_boot(5 * SECOND).abs_diff(b.of_boot(5 * SECOND)) <= 1_000_000);
    }

    #[test]
    fn a_step_is_followed_once() {
        let mut clock = Clock::new();
        let true_offset = clock.monotonic;
        clock.monotonic -= 90 * SECOND as i64;
        assert!(matches!(clock.follow(), Step::Forward(ns) if ns.abs_diff(90 * SECOND) < SECOND));
        assert_eq!(clock.follow(), Step::None);
        assert!(clock.monotonic.abs_diff(true_offset) <= 1_000_000);
        clock.monotonic += 90 * SECOND as i64;
        assert!(matches!(clock.follow(), Step::Back(ns) if ns.abs_diff(90 * SECOND) < SECOND));
    }

    #[test]
    fn before_the_epoch_is_the_epoch() {
        let clock = Clock {
            monotonic: i64::MIN,
            boot: i64::MIN,
        };
        assert_eq!(clock.of_monotonic(1), 0);
        assert_eq!(clock.of_boot(1), 0);
    }
}
