//! Lives: which rows of processes ran at the same time, as far as a dictionary tells.
//!
//! Memory is measured for each process, and the highest value within a slot counts. The
//! highest values of processes that ran one after the other do not add up: 500 compilers
//! of 50 MiB in one minute never held 25 GB.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::ops::Range;

use super::process::Process;

/// When each row of a sorted dictionary ran, in ns since the Unix epoch.
///
/// A row begins with the fork of its process, or at the end of the process's previous row
/// (exec, rename). A row without an end still runs. The life of a folded row is unknown: it
/// spans all time.
pub fn lives<P: Borrow<Process>>(processes: &[P]) -> Vec<Range<u64>> {
    let mut lives: Vec<Range<u64>> = Vec::with_capacity(processes.len());
    let mut previous: Option<&Process> = None;
    for process in processes.iter().map(Borrow::borrow) {
        let id = process.id;
        let end = match process.end {
            0 => u64::MAX,
            end => end,
        };
        let begin = match previous {
            _ if process.is_folded() => 0,
            Some(row) if (row.id.pid, row.id.start) == (id.pid, id.start) => row.end.max(id.start),
            _ => id.start,
        };
        lives.push(begin..if process.is_folded() { u64::MAX } else { end });
        previous = Some(process);
    }
    lives
}

/// The highest sum of the values that existed at one time. Saturates.
///
/// A life that ends where another begins does not overlap it. An empty life counts as a
/// moment.
pub fn highest_sum(values: impl IntoIterator<Item = (Range<u64>, u64)>) -> u64 {
    highest_held(values.into_iter().map(|(life, own)| (life, own, 0)))
}

/// Like [`highest_sum`], of lives with two values: the first adds up, and of the second the
/// greatest one at that time counts.
pub fn highest_held(values: impl IntoIterator<Item = (Range<u64>, u64, u64)>) -> u64 {
    let mut changes: Vec<(u64, bool, u64, u64)> = Vec::new();
    for (life, own, shared) in values {
        let end = life.end.max(life.start.saturating_add(1));
        changes.push((life.start, true, own, shared));
        changes.push((end, false, own, shared));
    }
    // At the same time, ends come before beginnings.
    changes.sort_unstable();
    let (mut now, mut highest) = (0_u128, 0_u128);
    // How many lives have each second value now.
    let mut alive: BTreeMap<u64, usize> = BTreeMap::new();
    for (_, begins, own, shared) in changes {
        if begins {
            now += u128::from(own);
            if shared > 0 {
                *alive.entry(shared).or_default() += 1;
            }
            let once = alive.last_key_value().map_or(0, |(shared, _)| *shared);
            highest = highest.max(now + u128::from(once));
            continue;
        }
        // A life at the end of time may end before it begins.
        now = now.saturating_sub(u128::from(own));
        if let Some(count) = alive.get_mut(&shared) {
            *count -= 1;
            if *count == 0 {
                alive.remove(&shared);
            }
        }
    }
    u64::try_from(highest).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::segment::process::ProcessId;

    fn row(pid: u32, start: u64, exec: u32, end: u64) -> Process {
        let id = ProcessId { pid, start, exec };
        Process {
            end,
            ..Process::new(id, "p")
        }
    }

    #[test]
    fn a_row_begins_where_the_previous_one_of_its_process_ended() {
        let rows = [
            Process::folded("cc1", 9),
            row(1, 10, 0, 20),
            row(1, 10, 1, 0),
            row(1, 30, 0, 40),
        ];
        let expected = [0..u64::MAX, 10..20, 20..u64::MAX, 30..40];
        assert_eq!(lives(&rows), expected);
    }

    #[test]
    fn values_add_up_only_while_all_of_them_exist() {
        let one_after_the_other = (0..500).map(|i| (i * 10..(i + 1) * 10, 50));
        assert_eq!(highest_sum(one_after_the_other), 50);
        assert_eq!(highest_sum([(0..10, 1), (5..15, 2), (9..12, 4)]), 7);
        assert_eq!(highest_sum([(0..10, 1), (5..5, 2)]), 3);
        let at_the_end = [(u64::MAX..u64::MAX, 5), (0..u64::MAX, u64::MAX)];
        assert_eq!(highest_sum(at_the_end), u64::MAX);
        assert_eq!(highest_sum([]), 0);
    }

    #[test]
    fn the_greatest_second_value_at_one_time_counts() {
        // The first has 9 alone, the others have 5 once and 3 each.
        let lives = [
            (0..10, 0, 9),
            (10..20, 3, 5),
            (15..30, 3, 5),
            (18..19, 1, 0),
        ];
        assert_eq!(highest_held(lives.clone()), 3 + 3 + 1 + 5);
        assert_eq!(highest_held(lives[..2].to_vec()), 9);
        assert_eq!(highest_held([(0..9, 1, 7), (5..9, 1, 8), (8..9, 4, 2)]), 14);
        // One of two with the same value ends.
        assert_eq!(highest_held([(0..5, 0, 7), (0..9, 0, 7), (6..9, 2, 0)]), 9);
        assert_eq!(highest_held([(0..5, 1, u64::MAX)]), u64::MAX);
    }
}
