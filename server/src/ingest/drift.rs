//! How far a host's clock is ahead of the server's.
//!
//! A batch says when it was made, and the server knows when it came. What is in between (the way, the
//! spool) makes a host seem behind, never ahead. So of the batches of the last minutes the one with
//! the largest difference is the closest to the truth.

use std::time::{Duration, Instant};

/// Batches of this time are compared.
const WINDOW: Duration = Duration::from_secs(60);
/// Time after which a host that seems behind is believed: a spool is drained until then, or the
/// differences vary.
const TRIAL: Duration = Duration::from_secs(10);
/// Difference in seconds that a live batch may have by its way alone.
const WAY: f64 = 2.0;
/// Differences vary by at most this many seconds, unless a spool is drained.
const JITTER: f64 = 5.0;

/// The differences of the latest batches.
#[derive(Debug, Clone, Copy)]
pub(super) struct Drift {
    first: Instant,
    since: Instant,
    current: Span,
    previous: Option<Span>,
}

/// Smallest and largest difference, in seconds.
#[derive(Debug, Clone, Copy)]
struct Span {
    min: f64,
    max: f64,
}

impl Span {
    fn of(difference: f64) -> Self {
        Self {
            min: difference,
            max: difference,
        }
    }

    fn with(self, other: Self) -> Self {
        Self {
            min: self.min.min(other.min),
            max: self.max.max(other.max),
        }
    }
}

impl Drift {
    /// The first batch: made `made` ns and received `received` ns after the Unix epoch.
    pub(super) fn new(made: u64, received: u64, now: Instant) -> Self {
        Self {
            first: now,
            since: now,
            current: Span::of(difference(made, received)),
            previous: None,
        }
    }

    /// Takes in another batch.
    pub(super) fn add(&mut self, made: u64, received: u64, now: Instant) {
        let span = Span::of(difference(made, received));
        let age = now.duration_since(self.since);
        if age >= 2 * WINDOW {
            // The host was silent. Its clock may have been set meanwhile.
            *self = Self::new(made, received, now);
        } else if age >= WINDOW {
            self.previous = Some(std::mem::replace(&mut self.current, span));
            self.since = now;
        } else {
            self.current = self.current.with(span);
        }
    }

    /// Seconds by which the host's clock is ahead; `None` while that is not known.
    pub(super) fn offset(&self, now: Instant) -> Option<f64> {
        let Span { min, max } = match self.previous {
            Some(previous) => previous.with(self.current),
            None => self.current,
        };
        let is_steady = max - min <= JITTER && now.duration_since(self.first) >= TRIAL;
        (max >= -WAY || is_steady).then(|| (max * 10.0).round() / 10.0)
    }
}

/// Seconds from `received` to `made`.
fn difference(made: u64, received: u64) -> f64 {
    (i128::from(made) - i128::from(received)) as f64 / 1e9
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Drift;

    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 1_000_000 * SECOND;

    /// The offset after batches with these (second of arrival, difference in seconds).
    fn offset(batches: &[(u64, i64)]) -> Option<f64> {
        let start = Instant::now();
        let mut drift: Option<Drift> = None;
        let mut now = start;
        for (at, difference) in batches {
            let received = START + at * SECOND;
            let made = received.saturating_add_signed(difference * SECOND as i64);
            now = start + Duration::from_secs(*at);
            match &mut drift {
                Some(drift) => drift.add(made, received, now),
                None => drift = Some(Drift::new(made, received, now)),
            }
        }
        drift.and_then(|drift| drift.offset(now))
    }

    #[test]
    fn a_clock_that_is_ahead_is_known_at_once() {
        assert_eq!(offset(&[(0, 30)]), Some(30.0));
        assert_eq!(offset(&[(0, 0)]), Some(0.0));
    }

    #[test]
    fn a_clock_that_is_behind_is_known_after_some_batches() {
        assert_eq!(offset(&[(0, -30)]), None);
        assert_eq!(offset(&[(0, -30), (5, -31), (11, -30)]), Some(-30.0));
    }

    #[test]
    fn a_spool_that_is_drained_is_no_wrong_clock() {
        assert_eq!(offset(&[(0, -900), (1, -700), (2, -500), (11, -10)]), None);
        assert_eq!(offset(&[(0, -900), (1, -700), (12, -1)]), Some(-1.0));
        // What was spooled counts no longer after two windows.
        let steady = [(0, -900), (61, -30), (125, -30), (190, -30)];
        assert_eq!(offset(&steady), Some(-30.0));
    }

    #[test]
    fn any_time_of_a_host_is_accepted() {
        let now = Instant::now();
        let drift = Drift::new(u64::MAX, 0, now);
        assert!(drift.offset(now).is_some_and(f64::is_finite));
        let drift = Drift::new(0, u64::MAX, now);
        assert_eq!(drift.offset(now), None);
    }
}
