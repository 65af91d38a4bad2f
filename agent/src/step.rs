//! The step from one second to the next, while the time of day may be set forward or back.

use bubble_common::segment::SourceId;
use bubble_common::segment::loss::{Loss, Reason};

use crate::clock::{Clock, SECOND, Step};
use crate::sink::Sink as _;
use crate::window::Window;

/// The second to count after `second`, once steps of the time of day are followed.
///
/// | the clock was set | seconds | source |
/// |---|---|---|
/// | forward | those that it skipped are a gap: they did not exist | the same |
/// | back | those that come again are counted again | a new one, as no second of a source counts twice |
///
/// Seconds that did pass, and were not drained one by one, are the loss `late` of the second that has
/// their sums.
pub(crate) fn next_second(second: u64, clock: &mut Clock, window: &mut Window) -> u64 {
    let step = clock.follow();
    follow(second, step, clock.now(), window)
}

/// The same, given the step and the time after it.
fn follow(second: u64, step: Step, now: u64, window: &mut Window) -> u64 {
    let next = now / SECOND;
    // The time that it would be without the step.
    let unset = match step {
        Step::None => now,
        Step::Forward(by) => {
            tracing::warn!(seconds = by / SECOND, "the clock was set forward");
            now.saturating_sub(by)
        }
        Step::Back(by) => {
            tracing::warn!(
                seconds = by / SECOND,
                "the clock was set back: a new source begins"
            );
            window.restart(SourceId(rand::random()), next);
            now.saturating_add(by)
        }
    };
    let missed = (unset / SECOND).saturating_sub(second + 1);
    if step != Step::None || missed > 0 {
        // It began before its count did, or has the sums of the missed seconds too.
        window.mark_partial(next);
    }
    if missed > 0 {
        tracing::debug!(missed, "late: these seconds are counted as one");
        let loss = Loss {
            count: missed,
            bytes: 0,
        };
        window.loss(now, None, Reason::LATE, loss);
    }
    next
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use bubble_common::segment::file::{File, FileIo, FileKind};
    use bubble_common::segment::loss::Reason;
    use bubble_common::segment::process::{Process, ProcessId};
    use bubble_common::segment::{ContainerId, Segment, SourceId};

    use super::follow;
    use crate::clock::{SECOND, Step};
    use crate::sink::Sink as _;
    use crate::window::Window;

    /// Bytes that a process reads in each second.
    const BYTES: u64 = 1_000;
    const MINUTES: u64 = 300;
    const T: u64 = 1_800_000_000;
    const FIRST: SourceId = SourceId([1; 16]);

    /// Counts for some seconds, as the loop does.
    struct Loop {
        window: Window,
        second: u64,
        segments: Vec<Segment>,
        counted: u64,
    }

    impl Loop {
        fn new() -> Self {
            Self {
                window: Window::new(FIRST, T),
                second: T,
                segments: Vec::new(),
                counted: 0,
            }
        }

        /// Counts seconds until the time of day is set, which happens at their end.
        fn count(&mut self, seconds: u64, step: Step) {
            for _ in 1..seconds {
                self.count_one(1, Step::None);
            }
            self.count_one(1, step);
        }

        /// Counts for so many seconds as one.
        fn count_one(&mut self, seconds: u64, step: Step) {
            let id = ContainerId::new("c").unwrap();
            let container = self.window.container(&id);
            let id = ProcessId {
                pid: 7,
                start: 5,
                exec: 0,
            };
            let process = self.window.process(container, &Process::new(id, "p"));
            let file = File {
                path: "/a".to_owned(),
                kind: FileKind::Regular,
            };
            let file = self.window.file(container, &file);
            let read = FileIo {
                bytes_in: BYTES,
                ..FileIo::default()
            };
            let end = (self.second + 1) * SECOND;
            self.window.file_io(end - 1, process, file, read);
            self.counted += BYTES;
            self.window.advance(end);
            let now = (self.second + seconds) * SECOND;
            let now = match step {
                Step::None => now,
                Step::Forward(by) => now + by,
                Step::Back(by) => now - by,
            };
            self.second = follow(self.second, step, now, &mut self.window);
            self.segments.extend(self.window.take_closed());
        }

        /// Ends the loop. Each second of each source must be in one segment, and each byte counted once.
        fn end(mut self) -> Vec<Segment> {
            self.window.close_all();
            self.segments.extend(self.window.take_closed());
            let keys: HashSet<_> = self
                .segments
                .iter()
                .map(|segment| (segment.key.source, segment.key.start))
                .collect();
            assert_eq!(keys.len(), self.segments.len(), "a second is there twice");
            let read = |segment: &Segment| -> u64 {
                segment.file_io.iter().map(|cell| cell.value.bytes_in).sum()
            };
            assert_eq!(self.segments.iter().map(read).sum::<u64>(), self.counted);
            self.segments
        }
    }

    fn late(segments: &[Segment]) -> u64 {
        let losses = segments.iter().flat_map(|segment| &segment.losses);
        let late = losses.filter(|cell| cell.row.0 == Reason::LATE.0);
        late.map(|cell| cell.value.count).sum()
    }

    fn sources(segments: &[Segment]) -> Vec<SourceId> {
        let mut sources: Vec<_> = segments.iter().map(|one| one.key.source).collect();
        sources.dedup();
        sources
    }

    #[test]
    fn seconds_that_a_clock_skips_are_a_gap_and_no_loss() {
        let mut counting = Loop::new();
        counting.count(2, Step::Forward(MINUTES * SECOND));
        assert_eq!(counting.second, T + 2 + MINUTES);
        counting.count(3, Step::None);
        let segments = counting.end();
        assert_eq!(late(&segments), 0);
        assert_eq!(sources(&segments), [FIRST]);
        let starts: Vec<u64> = segments.iter().map(|one| one.key.start - T).collect();
        assert_eq!(starts, [0, 1, MINUTES + 2, MINUTES + 3, MINUTES + 4]);
    }

    #[test]
    fn seconds_that_come_again_are_those_of_another_source() {
        let mut counting = Loop::new();
        counting.count(5, Step::Back(3 * SECOND));
        assert_eq!(counting.second, T + 2);
        counting.count(10, Step::None);
        let segments = counting.end();
        assert_eq!((sources(&segments).len(), late(&segments)), (2, 0));
        assert_eq!(segments.len(), 15);
    }

    #[test]
    fn seconds_that_pass_while_the_clock_is_set_are_late() {
        let by = MINUTES * SECOND;
        for step in [Step::None, Step::Forward(by), Step::Back(by)] {
            let mut counting = Loop::new();
            counting.count(3, Step::None);
            // The loop is held up for four seconds.
            counting.count_one(4, step);
            counting.count(2, Step::None);
            assert_eq!(late(&counting.end()), 3, "{step:?}");
        }
    }
}
