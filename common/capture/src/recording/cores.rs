//! CPU time from context switches: a core runs the thread that it was switched to until it is
//! switched away from that thread.

use super::{MAX_QUIET_SECONDS, SLACK};
use crate::time::SECOND;

/// Most cores of one machine: the largest `CONFIG_NR_CPUS` of Linux.
const MAX_CORES: usize = 8_192;
/// Most pieces that a span is cut into; the rest goes to the last one. Only a filtered
/// recording has spans of more than a second.
const MAX_PIECES: u64 = 4_096;
/// How long seconds stay open for a thread that runs in a filtered recording, in ns: its time is
/// charged when it leaves the core.
const MAX_HOLD: u64 = MAX_QUIET_SECONDS * SECOND;

/// The threads that the cores of a recording run.
#[derive(Debug, Default)]
pub(crate) struct Cores {
    cores: Vec<Core>,
    /// An idle core was switched away from. A filtered recording has no such switch, and lacks
    /// others, too.
    is_unfiltered: bool,
    /// The latest time of all.
    latest: u64,
}

/// The thread that a core runs, and since when, in ns; 0 if that is unknown.
#[derive(Debug, Clone, Copy, Default)]
struct Core {
    since: u64,
    tid: i64,
    /// The latest time of all cores when `since` was read.
    read_at: u64,
}

/// The time for which a thread ran that leaves a core.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Run {
    /// Not known.
    Unknown,
    /// It began then, in ns.
    Since(u64),
    /// One of its ends cannot be: it goes back, or the recording did not last that long.
    Implausible,
}

impl Core {
    /// Whether a run up to `until` is no longer than the recording went on, which came to `now`.
    #[inline]
    fn is_plausible(&self, until: u64, now: u64) -> bool {
        until.saturating_sub(self.since) <= now.saturating_sub(self.read_at).saturating_add(SLACK)
    }
}

impl Cores {
    /// `core` switches from thread `tid` to `next` at `at`. Returns for how long it ran `tid`.
    ///
    /// That is unknown if the recording may lack the switch to `tid`: unless the last switch was
    /// to it, or no switch is missing.
    #[inline]
    pub(crate) fn switch(&mut self, core: u32, at: u64, tid: i64, next: i64) -> Run {
        self.is_unfiltered |= tid == 0;
        let core = core as usize;
        if core >= self.cores.len() {
            if core >= MAX_CORES {
                return Run::Unknown;
            }
            self.cores.resize(core + 1, Core::default());
        }
        self.latest = self.latest.max(at);
        let new = Core {
            since: at,
            tid: next,
            read_at: self.latest,
        };
        let ran = std::mem::replace(&mut self.cores[core], new);
        if ran.since == 0 || !(ran.tid == tid || self.is_unfiltered) {
            Run::Unknown
        } else if ran.since >= at {
            match ran.since - at {
                ..=SLACK => Run::Unknown,
                _ => Run::Implausible,
            }
        } else if ran.is_plausible(at, self.latest) {
            Run::Since(ran.since)
        } else {
            Run::Implausible
        }
    }

    /// Calls `charge(core, tid, since)` for the threads that run at `until`. They count as
    /// charged up to there, unless it returns false.
    ///
    /// Does nothing in a filtered recording, which may lack the switch away from them.
    pub(crate) fn charge_running(
        &mut self,
        until: u64,
        mut charge: impl FnMut(u32, i64, u64) -> bool,
    ) {
        if !self.is_unfiltered {
            return;
        }
        self.latest = self.latest.max(until);
        for (index, core) in (0..).zip(&mut self.cores) {
            let Core { since, tid, .. } = *core;
            let runs = since != 0 && since < until && core.is_plausible(until, self.latest);
            if runs && (tid <= 0 || charge(index, tid, since)) {
                core.since = until;
                core.read_at = self.latest;
            }
        }
    }

    /// The time before which seconds may be closed at `now`. In a filtered recording they wait
    /// for the threads that run and that count.
    pub(crate) fn complete_until(&self, now: u64, mut is_counted: impl FnMut(i64) -> bool) -> u64 {
        let until = now.saturating_sub(SLACK);
        if self.is_unfiltered {
            return until;
        }
        let oldest = until.saturating_sub(MAX_HOLD);
        let runs = |core: &&Core| (oldest..until).contains(&core.since) && core.tid > 0;
        let since = self.cores.iter().filter(runs);
        let since = since.filter(|core| is_counted(core.tid));
        since.map(|core| core.since).min().unwrap_or(until)
    }

    /// Whether no switch is missing.
    pub(crate) fn is_unfiltered(&self) -> bool {
        self.is_unfiltered
    }

    /// The threads that run.
    pub(crate) fn running(&self) -> impl Iterator<Item = i64> {
        let running = self.cores.iter().filter(|core| core.since != 0);
        running.map(|core| core.tid).filter(|tid| *tid > 0)
    }

    /// Forgets the running threads: switches are missing.
    pub(crate) fn clear(&mut self) {
        self.cores.clear();
    }
}

/// Cuts a span at the seconds, into pieces of (moment within the second, ns).
pub(crate) fn by_second(begin: u64, end: u64, mut piece: impl FnMut(u64, u64)) {
    let mut at = begin;
    for _ in 0..MAX_PIECES {
        let next = (at / SECOND + 1).saturating_mul(SECOND);
        if next >= end {
            break;
        }
        piece(at, next - at);
        at = next;
    }
    // A span that ends with a second was in that second.
    piece((end - 1).max(at), end - at);
}

#[cfg(test)]
mod tests {
    use super::{Cores, MAX_CORES, MAX_HOLD, Run, by_second};
    use crate::recording::SLACK;
    use crate::time::SECOND;

    fn pieces(begin: u64, end: u64) -> Vec<(u64, u64)> {
        let mut pieces = Vec::new();
        by_second(begin, end, |at, ns| pieces.push((at / SECOND, ns)));
        pieces
    }

    #[test]
    fn the_first_switch_of_a_core_says_nothing() {
        let mut cores = Cores::default();
        assert_eq!(cores.switch(1, 10, 7, 8), Run::Unknown);
        assert_eq!(cores.switch(0, 11, 8, 9), Run::Unknown);
        assert_eq!(cores.switch(1, 30, 8, 9), Run::Since(10));
        assert_eq!(cores.switch(1, 20, 9, 7), Run::Unknown);
        assert_eq!(cores.switch(MAX_CORES as u32, 40, 1, 2), Run::Unknown);
        assert_eq!(cores.switch(u32::MAX, 50, 1, 2), Run::Unknown);
    }

    #[test]
    fn a_missing_switch_is_not_made_up() {
        let mut cores = Cores::default();
        cores.switch(0, 10, 7, 8);
        assert_eq!(cores.switch(0, 20, 9, 8), Run::Unknown);
        assert_eq!(cores.switch(0, 30, 8, 7), Run::Since(20));
        // Idle: no switch is missing, and exec has changed the thread's number.
        cores.switch(0, 40, 0, 8);
        assert_eq!(cores.switch(0, 50, 9, 0), Run::Since(40));
    }

    #[test]
    fn running_threads_are_charged_once() {
        let mut cores = Cores::default();
        cores.switch(0, 10, 7, 8);
        cores.charge_running(20, |_, _, _| unreachable!("switches may be missing"));
        cores.switch(1, 15, 0, 9);
        let mut charged = Vec::new();
        cores.charge_running(20, |core, tid, since| {
            charged.push((core, tid, since));
            tid == 9
        });
        assert_eq!(charged, [(0, 8, 10), (1, 9, 15)]);
        assert_eq!(cores.switch(1, 30, 9, 0), Run::Since(20));
        assert_eq!(
            cores.switch(0, 30, 8, 0),
            Run::Since(10),
            "it was not charged"
        );
    }

    #[test]
    fn a_time_that_goes_back_is_no_run() {
        let (t, hour) = (9_000 * SECOND, 3_600 * SECOND);
        let mut cores = Cores::default();
        cores.switch(0, t, 0, 7);
        // The time of one event is damaged: neither the run before nor the one after counts.
        assert_eq!(cores.switch(0, t + 5 - hour, 7, 8), Run::Implausible);
        cores.charge_running(t + 9, |_, tid, _| unreachable!("{tid} ran for an hour"));
        assert_eq!(cores.switch(0, t + 10, 8, 7), Run::Implausible);
        assert_eq!(cores.switch(0, t + 30, 7, 0), Run::Since(t + 10));
        // The clock was set back: later runs count.
        cores.switch(0, t + 40 - hour, 0, 7);
        assert_eq!(
            cores.switch(0, t + 50 - hour, 7, 0),
            Run::Since(t + 40 - hour)
        );
    }

    #[test]
    fn seconds_wait_for_the_threads_that_run_in_a_filtered_recording() {
        let now = 900 * SECOND;
        let mut cores = Cores::default();
        cores.switch(0, now - MAX_HOLD, 7, 8);
        cores.switch(1, now - 5 * SECOND, 8, 9);
        cores.switch(2, now - 9 * SECOND, 9, 10);
        let wait = |cores: &Cores, tid| cores.complete_until(now, |of| of == tid);
        assert_eq!(wait(&cores, 8), now - MAX_HOLD);
        assert_eq!(wait(&cores, 9), now - 5 * SECOND);
        assert_eq!(wait(&cores, 1), now - SLACK);
        let later = now + 2 * SECOND;
        assert_eq!(cores.complete_until(later, |tid| tid == 8), later - SLACK);
        cores.switch(3, now, 0, 7);
        assert_eq!(wait(&cores, 9), now - SLACK);
    }

    #[test]
    fn a_span_is_cut_at_seconds() {
        assert_eq!(pieces(5, 9), [(0, 4)]);
        let (s, half) = (SECOND, SECOND / 2);
        assert_eq!(pieces(half, 3 * s + 1), [(0, half), (1, s), (2, s), (3, 1)]);
        assert_eq!(pieces(half, 3 * s), [(0, half), (1, s), (2, s)]);
    }

    #[test]
    fn a_span_has_a_bounded_number_of_pieces() {
        let long = pieces(0, 5_000 * SECOND);
        assert_eq!(long.len(), 4_097);
        assert_eq!(long[4_096], (4_999, 904 * SECOND));
    }
}
