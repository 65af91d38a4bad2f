//! Rounds the waits of a process to the unit of segments.

use bubble_common::segment::wait::{KINDS, UNIT, Waits};

use crate::time::SECOND;

/// Waits that differ from whole seconds by less than this share are whole seconds: the length of the time
/// between two drains differs by as much. Idle processes then cost next to nothing.
const TOLERANCE: u64 = 500;

/// What rounding left of the waits of a process, in nanoseconds: at most half a unit each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Rests {
    kinds: [i32; KINDS],
    files: i32,
    connections: i32,
}

impl Rests {
    /// Rounds `ns`, and carries the rests to the next call, so that sums stay exact.
    pub(super) fn round(&mut self, ns: &[u64; KINDS]) -> Waits {
        let mut columns = [0; KINDS];
        for ((column, rest), ns) in columns.iter_mut().zip(&mut self.kinds).zip(ns) {
            *column = round(rest, *ns);
        }
        Waits::of_columns(columns)
    }

    /// Rounds a wait for a file. The rest goes to the next file, so that the sum over files stays exact.
    pub(super) fn round_file(&mut self, ns: u64) -> u64 {
        round(&mut self.files, ns)
    }

    /// Rounds a wait for a connection, likewise.
    pub(super) fn round_connection(&mut self, ns: u64) -> u64 {
        round(&mut self.connections, ns)
    }
}

/// Rounds `ns` to units, and carries what is left.
fn round(rest: &mut i32, ns: u64) -> u64 {
    if ns == 0 {
        return 0;
    }
    let whole = (ns + SECOND / 2) / SECOND * SECOND;
    if whole != 0 && ns.abs_diff(whole) <= whole / TOLERANCE {
        return whole / UNIT;
    }
    // Below zero if the last call rounded up by more than this wait.
    let (exact, unit) = (i128::from(ns) + i128::from(*rest), i128::from(UNIT));
    let units = (exact + unit / 2).max(0) / unit;
    *rest = (exact - units * unit) as i32;
    units as u64
}

#[cfg(test)]
mod tests {
    use bubble_common::segment::wait::KINDS;

    use super::Rests;

    fn only(first: u64) -> [u64; KINDS] {
        let mut ns = [0; KINDS];
        ns[0] = first;
        ns
    }

    #[test]
    fn rests_are_carried() {
        let mut rests = Rests::default();
        let sum: u64 = (0..1_000).map(|_| rests.round(&only(123_456)).core).sum();
        assert_eq!(sum, 1_234 + 1);
        let mut rests = Rests::default();
        assert_eq!(rests.round(&only(49_999)).core, 0);
        assert_eq!(rests.round(&only(1)).core, 1);
        assert_eq!(rests.round(&only(50_001)).core, 0);
    }

    #[test]
    fn short_waits_for_many_files_add_up() {
        let mut rests = Rests::default();
        let sum: u64 = (0..1_000).map(|_| rests.round_file(20_000)).sum();
        assert_eq!(sum, 200);
        // Those of connections have their own rest.
        assert_eq!(rests.round_file(49_999), 0);
        assert_eq!(rests.round_connection(1), 0);
        assert_eq!(rests.round_file(1), 1);
    }

    #[test]
    fn almost_whole_seconds_are_whole() {
        let mut rests = Rests::default();
        for (ns, tenths) in [
            (999_000_000, 10_000),
            (1_001_900_000, 10_000),
            (3_005_000_000, 30_000),
            (1_003_000_000, 10_030),
            (1_900_000, 19),
        ] {
            assert_eq!(rests.round(&only(ns)).core, tenths, "{ns}");
        }
        assert_eq!(rests.round(&[0; KINDS]).sum(), 0);
    }
}
