//! CPU time from switches: what a core was switched to had it until the core is switched away
//! from it.

use crate::clock::SECOND;

/// More cores than this no machine has.
const CORES: usize = 8_192;

/// What each core does.
#[derive(Debug, Default)]
pub(super) struct Cores {
    cores: Vec<Core>,
    /// An idle core was switched away from. These are in no recording that was filtered, and
    /// which lacks switches.
    unfiltered: bool,
}

/// A core: since when it does what, in ns; 0 when that is not known.
#[derive(Debug, Clone, Copy, Default)]
struct Core {
    since: u64,
    thread: u32,
}

impl Cores {
    /// At `at`, `core` goes from `thread` to `next`. Since when it had run `thread`, if that
    /// was told.
    pub(super) fn switch(&mut self, core: u32, at: u64, thread: u32, next: u32) -> Option<u64> {
        self.unfiltered |= thread == 0;
        let core = core as usize;
        if core >= CORES {
            return None;
        }
        if core >= self.cores.len() {
            self.cores.resize(core + 1, Core::default());
        }
        let new = Core {
            since: at,
            thread: next,
        };
        let before = std::mem::replace(&mut self.cores[core], new);
        let ran = before.since != 0 && before.since < at;
        let told = before.thread == thread || self.unfiltered;
        (ran && told).then_some(before.since)
    }
}

/// Cuts a span where seconds begin, so that each second has its own: pieces as (moment within
/// the second, ns). What is before `open`, the first moment that is not closed yet, goes into
/// the first piece.
pub(super) fn by_second(begin: u64, end: u64, open: u64, mut piece: impl FnMut(u64, u64)) {
    let mut from = begin;
    let mut at = begin.max(open).min(end);
    loop {
        let next = (at / SECOND + 1).saturating_mul(SECOND);
        if next >= end {
            // The end itself is the beginning of what comes next.
            piece((end - 1).max(at), end - from);
            return;
        }
        piece(at, next - from);
        from = next;
        at = next;
    }
}

#[cfg(test)]
mod tests {
    use super::{CORES, Cores, by_second};
    use crate::clock::SECOND;

    fn pieces(begin: u64, end: u64, open: u64) -> Vec<(u64, u64)> {
        let mut pieces = Vec::new();
        by_second(begin, end, open, |at, ns| pieces.push((at / SECOND, ns)));
        pieces
    }

    #[test]
    fn the_first_switch_of_a_core_says_nothing() {
        let mut cores = Cores::default();
        assert_eq!(cores.switch(1, 10, 7, 8), None);
        assert_eq!(cores.switch(0, 11, 8, 9), None);
        assert_eq!(cores.switch(1, 30, 8, 9), Some(10));
        assert_eq!(cores.switch(1, 20, 9, 7), None);
        assert_eq!(cores.switch(CORES as u32, 40, 1, 2), None);
        assert_eq!(cores.switch(u32::MAX, 50, 1, 2), None);
    }

    #[test]
    fn a_switch_that_is_missing_is_not_made_up() {
        let mut cores = Cores::default();
        cores.switch(0, 10, 7, 8);
        assert_eq!(cores.switch(0, 20, 9, 8), None);
        assert_eq!(cores.switch(0, 30, 8, 7), Some(20));
        // Idle: all switches are here, and exec has changed the thread's number.
        cores.switch(0, 40, 0, 8);
        assert_eq!(cores.switch(0, 50, 9, 0), Some(40));
    }

    #[test]
    fn a_span_is_cut_at_seconds() {
        assert_eq!(pieces(5, 9, 0), [(0, 4)]);
        let (s, half) = (SECOND, SECOND / 2);
        assert_eq!(
            pieces(half, 3 * s + 1, 0),
            [(0, half), (1, s), (2, s), (3, 1)]
        );
        assert_eq!(pieces(half, 3 * s, 0), [(0, half), (1, s), (2, s)]);
        // Closed seconds take no more.
        assert_eq!(pieces(half, 3 * s, 2 * s), [(2, 2 * s + half)]);
        assert_eq!(pieces(half, s, 2 * s), [(1, half)]);
    }
}
