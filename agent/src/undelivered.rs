//! What was counted, but will not reach the server: it becomes a loss in the data.
//!
//! The spool notes it, and the counting thread takes it at the end of the next second. The note stays
//! until the second that reports it is on disk; the spool writes all notes to its file of losses.
//!
//! ```text
//! noted ──take──► taken ──spooled──► gone
//!   ▲               │
//!   └───given up────┘
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bubble_common::segment::loss::Reason;
use bubble_common::segment::{ContainerId, Segment, SourceId};

/// Maximum number of containers that are told apart until the next second. The seconds of others
/// count as those of any container.
const MAX_CONTAINERS: usize = 4_096;

/// Reasons for which seconds are given up.
const REASONS: [Reason; 3] = [Reason::SPOOL_FULL, Reason::SPOOL_DAMAGED, Reason::REFUSED];

/// The container, if it is known, and the reason.
pub type Kind = (Option<ContainerId>, Reason);

/// Slot of a source, by its start: seconds since the Unix epoch. If the clock is set back, another source
/// counts the same seconds.
type Slot = (SourceId, u64);

/// A loss of whole seconds that a segment reports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ReportedLoss {
    container: ContainerId,
    reason: Reason,
    slot: Slot,
    seconds: u64,
    /// The part of `seconds` that each segment of the same slot reports: the loss of any container.
    shared: u64,
}

/// Losses of whole seconds that segments report.
pub(crate) type ReportedLosses = Vec<ReportedLoss>;

/// Seconds that were counted and given up. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Undelivered(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    noted: BTreeMap<Kind, u64>,
    /// Taken for this second, which reports them and is not on disk.
    taken: BTreeMap<(Slot, Kind), u64>,
    /// Whether the file of losses has other sums.
    is_changed: bool,
}

impl Undelivered {
    /// Notes `seconds` seconds, of one container or of any.
    pub fn add(&self, container: Option<&ContainerId>, reason: Reason, seconds: u64) {
        let mut notes = self.lock();
        notes.is_changed |= seconds > 0;
        add(&mut notes.noted, container, reason, seconds);
    }

    /// Notes again the losses that segments on disk report, as these are given up. A loss of any
    /// container counts once, although each container reports it.
    pub(crate) fn add_reported(&self, reported: &ReportedLosses) {
        let mut shared = BTreeMap::new();
        for loss in reported {
            let own = loss.seconds - loss.shared;
            self.add(Some(&loss.container), loss.reason, own);
            shared.insert((loss.slot, loss.reason), loss.shared);
        }
        for ((_, reason), seconds) in shared {
            self.add(None, reason, seconds);
        }
    }

    /// Takes what was noted since the last call, for the segments of `source` and `second` (since the Unix
    /// epoch). The losses of containers that are not running are those of any container.
    pub fn take(
        &self,
        source: SourceId,
        second: u64,
        is_running: impl Fn(&ContainerId) -> bool,
    ) -> Vec<(Kind, u64)> {
        let mut notes = self.lock();
        let mut taken = BTreeMap::new();
        for ((container, reason), seconds) in std::mem::take(&mut notes.noted) {
            let container = container.filter(|container| is_running(container));
            let sum: &mut u64 = taken.entry((container, reason)).or_default();
            *sum = sum.saturating_add(seconds);
        }
        for ((container, reason), seconds) in &taken {
            let known = container.as_ref();
            let known = known.filter(|_| notes.taken.len() < MAX_CONTAINERS);
            let key = ((source, second), (known.cloned(), *reason));
            let sum = notes.taken.entry(key).or_default();
            *sum = sum.saturating_add(*seconds);
        }
        taken.into_iter().collect()
    }

    /// Takes back the losses that segments were to report, as these are given up before they are on
    /// disk.
    pub(crate) fn take_back(&self, reported: &ReportedLosses) {
        let mut notes = self.lock();
        for ((container, reason), seconds) in notes.remove_taken(reported) {
            add(&mut notes.noted, container.as_ref(), reason, seconds);
        }
    }

    /// Removes the notes of losses that segments report: these are on disk, or the server has them.
    pub(crate) fn settle(&self, reported: &ReportedLosses) {
        let mut notes = self.lock();
        let removed = notes.remove_taken(reported);
        notes.is_changed |= !removed.is_empty();
    }

    /// Whether something is taken that no second on disk reports.
    pub(crate) fn has_taken(&self) -> bool {
        !self.lock().taken.is_empty()
    }

    /// Whether the file of losses has other sums.
    pub fn is_changed(&self) -> bool {
        self.lock().is_changed
    }

    /// Notes whether the file of losses has other sums.
    pub(crate) fn set_changed(&self, is_changed: bool) {
        self.lock().is_changed = is_changed;
    }

    /// All notes, those taken as well.
    pub fn all(&self) -> BTreeMap<Kind, u64> {
        let notes = self.lock();
        let mut all = notes.noted.clone();
        for ((_, (container, reason)), seconds) in &notes.taken {
            add(&mut all, container.as_ref(), *reason, *seconds);
        }
        all
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Notes {
    /// Removes what was taken for the slots of `reported`, and is in them: the loss of a container in its
    /// own segment, that of any container in each.
    fn remove_taken(&mut self, reported: &ReportedLosses) -> Vec<(Kind, u64)> {
        let mut removed = Vec::new();
        for loss in reported {
            for container in [Some(&loss.container), None] {
                let key = (loss.slot, (container.cloned(), loss.reason));
                if let Some(seconds) = self.taken.remove(&key) {
                    removed.push((key.1, seconds));
                }
            }
        }
        removed
    }
}

fn add(
    sums: &mut BTreeMap<Kind, u64>,
    container: Option<&ContainerId>,
    reason: Reason,
    seconds: u64,
) {
    if seconds == 0 {
        return;
    }
    let known = container.filter(|_| sums.len() < MAX_CONTAINERS);
    let sum = sums.entry((known.cloned(), reason)).or_default();
    *sum = sum.saturating_add(seconds);
}

/// The losses of whole seconds that segments report.
pub(crate) fn reported_losses<'a>(
    segments: impl IntoIterator<Item = &'a Segment>,
) -> ReportedLosses {
    let mut reported = ReportedLosses::new();
    // Number of segments of each slot.
    let mut segments_at: BTreeMap<Slot, usize> = BTreeMap::new();
    for segment in segments {
        let resolution = segment.key.resolution.seconds();
        let start = |slot| {
            let offset = u64::from(slot) * resolution;
            (segment.key.source, segment.key.start.saturating_add(offset))
        };
        for slot in 0..segment.slots() {
            *segments_at.entry(start(slot)).or_default() += 1;
        }
        for loss in &segment.losses {
            let reason = Reason(loss.row.0);
            if REASONS.contains(&reason) {
                reported.push(ReportedLoss {
                    container: segment.key.container.clone(),
                    reason,
                    slot: start(loss.slot),
                    seconds: loss.value.count,
                    shared: 0,
                });
            }
        }
    }
    // Number of segments that report a loss, and the least of their counts.
    let mut reports: BTreeMap<(Slot, Reason), (usize, u64)> = BTreeMap::new();
    for loss in &reported {
        let (count, least) = reports
            .entry((loss.slot, loss.reason))
            .or_insert((0, u64::MAX));
        *count += 1;
        *least = loss.seconds.min(*least);
    }
    for loss in &mut reported {
        let segments = segments_at.get(&loss.slot);
        let report = reports.get(&(loss.slot, loss.reason));
        if let (Some(&segments), Some(&(count, least))) = (segments, report)
            && count == segments
            && count > 1
        {
            loss.shared = least;
        }
    }
    reported
}

/// Number of seconds that a segment of seconds or minutes covers. The agent makes no coarser ones.
pub fn covered_seconds(segment: &Segment) -> u64 {
    let coverage = segment.coverage.iter();
    coverage.map(|coverage| u64::from(coverage.count())).sum()
}

#[cfg(test)]
mod tests {
    use bubble_common::segment::builder::Builder;
    use bubble_common::segment::loss::{Loss, Reason};
    use bubble_common::segment::{ContainerId, Key, Resolution, Segment, SourceId};

    use super::{Undelivered, reported_losses};

    const SOURCE: SourceId = SourceId([1; 16]);

    fn id(name: &str) -> ContainerId {
        ContainerId::new(name).unwrap()
    }

    /// A second of a container that reports so many refused seconds.
    fn reporting(name: &str, start: u64, count: u64) -> Segment {
        let key = Key {
            container: id(name),
            resolution: Resolution::Second,
            start,
            source: SOURCE,
        };
        let mut builder = Builder::new(key, 1);
        builder.loss(Reason::REFUSED, 0, Loss { count, bytes: 0 });
        builder.build()
    }

    #[test]
    fn a_loss_that_each_container_reports_removes_one_note() {
        let undelivered = Undelivered::default();
        undelivered.add(None, Reason::REFUSED, 3);
        undelivered.take(SOURCE, 100, |_| true);
        undelivered.add(Some(&id("a")), Reason::REFUSED, 2);
        undelivered.take(SOURCE, 101, |_| true);
        undelivered.add(Some(&id("b")), Reason::REFUSED, 1);
        let segments = ["a", "b", "c"].map(|name| reporting(name, 100, 3));
        // Two batches of one second settle it once.
        undelivered.settle(&reported_losses(&segments[..2]));
        undelivered.settle(&reported_losses(&segments[2..]));
        let all: Vec<_> = undelivered.all().into_iter().collect();
        let expected = [("a", 2), ("b", 1)];
        let expected = expected.map(|(name, seconds)| ((Some(id(name)), Reason::REFUSED), seconds));
        assert_eq!(all, expected);
    }

    #[test]
    fn each_container_settles_its_own_loss_and_that_of_ended_ones() {
        let undelivered = Undelivered::default();
        for (name, seconds) in [("a", 2), ("b", 2), ("ended", 5)] {
            undelivered.add(Some(&id(name)), Reason::REFUSED, seconds);
        }
        let taken = undelivered.take(SOURCE, 100, |container| *container != id("ended"));
        assert_eq!(taken.first(), Some(&((None, Reason::REFUSED), 5)));
        let segments = ["a", "b"].map(|name| reporting(name, 100, 7));
        undelivered.settle(&reported_losses(&segments[..1]));
        let all: Vec<_> = undelivered.all().into_iter().collect();
        assert_eq!(all, [((Some(id("b")), Reason::REFUSED), 2)]);
        undelivered.take_back(&reported_losses(&segments[1..]));
        assert!(!undelivered.has_taken());
        assert_eq!(undelivered.take(SOURCE, 101, |_| true).len(), 1);
    }

    #[test]
    fn a_second_that_is_counted_again_settles_its_own_loss() {
        let undelivered = Undelivered::default();
        undelivered.add(Some(&id("a")), Reason::REFUSED, 3);
        undelivered.take(SOURCE, 100, |_| true);
        // The clock was set back: another source counts the same second.
        let other = SourceId([2; 16]);
        undelivered.add(Some(&id("a")), Reason::REFUSED, 2);
        undelivered.take(other, 100, |_| true);
        let first = reporting("a", 100, 3);
        let mut second = reporting("a", 100, 2);
        second.key.source = other;
        undelivered.settle(&reported_losses([&second]));
        assert_eq!(
            undelivered.all().into_values().collect::<Vec<_>>(),
            [3],
            "the first one is not on disk"
        );
        undelivered.settle(&reported_losses([&first]));
        assert!(undelivered.all().is_empty());
        // Both report a loss, so neither shares it with the other.
        undelivered.add_reported(&reported_losses([&first, &second]));
        assert_eq!(undelivered.all().into_values().sum::<u64>(), 5);
    }

    #[test]
    fn a_loss_of_any_container_is_noted_again_once() {
        let undelivered = Undelivered::default();
        let segments = [("a", 3), ("b", 5)].map(|(name, count)| reporting(name, 100, count));
        undelivered.add_reported(&reported_losses(&segments));
        let all: Vec<_> = undelivered.all().into_iter().collect();
        let expected = [(None, 3), (Some(id("b")), 2)];
        let expected = expected.map(|(container, seconds)| ((container, Reason::REFUSED), seconds));
        assert_eq!(all, expected);
        // A loss that not every container reports is of those that do.
        let silent = reporting("c", 200, 0);
        let segments = [reporting("a", 200, 1), reporting("b", 200, 1), silent];
        let reported = reported_losses(&segments);
        assert!(reported.iter().all(|loss| loss.shared == 0));
    }
}
