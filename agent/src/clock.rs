//! The one clock: which moment of the day a moment of the kernel's clock was.
//!
//! The kernel stamps with `CLOCK_MONOTONIC` (since boot, never set), segments are
//! kept by the time of day, which an administrator or NTP may set. The difference
//! of the two is therefore kept and changes only when the time of day was stepped.
//! It is rounded to the millisecond, so that two runs of the agent give one process
//! the same start, by which it is told from others.

/// Nanoseconds in a second.
pub const SECOND: u64 = 1_000_000_000;

/// A step of the time of day smaller than this is not followed: it is what
/// reading two clocks one after the other may differ by on a busy host.
const STEP: i64 = 20_000_000;

/// Converts moments of the kernel's clocks to the time of day.
#[derive(Debug, Clone)]
pub struct Clock {
    /// Time of day minus `CLOCK_MONOTONIC`, ns.
    monotonic: i64,
    /// Time of day minus `CLOCK_BOOTTIME` (which counts suspended time), ns.
    boot: i64,
}

/// What became of the time of day since it was last looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// It went on as it should.
    None,
    /// It was set forward by so many nanoseconds.
    Forward(u64),
    /// It was set back by so many nanoseconds: seconds will be met again.
    Back(u64),
}

impl Clock {
    /// A clock that agrees with the host's now.
    pub fn new() -> Self {
        Self {
            monotonic: offset(libc::CLOCK_MONOTONIC),
            boot: offset(libc::CLOCK_BOOTTIME),
        }
    }

    /// The time of day now: ns since the Unix epoch.
    pub fn now(&self) -> u64 {
        self.of_monotonic(read(libc::CLOCK_MONOTONIC))
    }

    /// The time of day at `ns` of `CLOCK_MONOTONIC` (what `bpf_ktime_get_ns` gives).
    pub fn of_monotonic(&self, ns: u64) -> u64 {
        ns.saturating_add_signed(self.monotonic)
    }

    /// The time of day at `ns` of `CLOCK_BOOTTIME` (what /proc counts starts by).
    pub fn of_boot(&self, ns: u64) -> u64 {
        ns.saturating_add_signed(self.boot)
    }

    /// Looks whether the time of day was stepped, and follows it if so.
    pub fn follow(&mut self) -> Step {
        let step = offset(libc::CLOCK_MONOTONIC).saturating_sub(self.monotonic);
        // A suspended host's boot clock moves on alone; starts told by it stay right.
        self.boot = offset(libc::CLOCK_BOOTTIME);
        if step.abs() < STEP {
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

impl Default for Clock {
    fn default() -> Self {
        Self::new()
    }
}

/// Time of day minus `clock`, rounded to the millisecond, from the closest of some tries.
fn offset(clock: libc::clockid_t) -> i64 {
    const MILLISECOND: i64 = 1_000_000;
    let closest = (0..5)
        .map(|_| {
            let before = read(clock);
            let day = read(libc::CLOCK_REALTIME);
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

/// Reads one of the kernel's clocks, ns.
fn read(clock: libc::clockid_t) -> u64 {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is valid for writes, and the clock's id is one of the kernel's own.
    let failed = unsafe { libc::clock_gettime(clock, &raw mut time) } != 0;
    if failed {
        return 0;
    }
    (time.tv_sec as u64)
        .saturating_mul(SECOND)
        .saturating_add(time.tv_nsec as u64)
}

#[cfg(test)]
mod tests {
    use super::{Clock, SECOND, Step};
    use std::time::{SystemTime, UNIX_EPOCH};

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
        // To the millisecond, unless the rounding's edge lies just between them.
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
