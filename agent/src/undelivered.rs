//! What was counted, but will not reach the server: it becomes a loss in the data.
//!
//! The spool notes it, and the counting thread takes it at the end of the next second. The note stays
//! until the second that tells it is on disk; the spool writes all notes to its file of losses.
//!
//! ```text
//! noted ──take──► taken ──spooled──► gone
//!   ▲               │
//!   └───given up────┘
//! ```

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bubble_common::segment::loss::Reason;
use bubble_common::segment::{ContainerId, Segment};

/// Maximum number of containers that are told apart until the next second. The seconds of others
/// count as those of any container.
const MAX_CONTAINERS: usize = 4_096;

/// Reasons for which seconds are given up.
const REASONS: [Reason; 3] = [Reason::SPOOL_FULL, Reason::SPOOL_DAMAGED, Reason::REFUSED];

/// The container, if it is known, and the reason.
pub type Kind = (Option<ContainerId>, Reason);

/// Losses of whole seconds that segments tell.
pub(crate) type Told = Vec<(Kind, u64)>;

/// Seconds that were counted and given up. Clones share them.
#[derive(Debug, Clone, Default)]
pub struct Undelivered(Arc<Mutex<Notes>>);

#[derive(Debug, Default)]
struct Notes {
    noted: BTreeMap<Kind, u64>,
    /// Taken, but the second that tells them is not on disk.
    taken: BTreeMap<Kind, u64>,
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

    /// Notes again the losses that segments were to tell, as these are given up.
    pub(crate) fn add_told(&self, told: &Told) {
        for ((container, reason), seconds) in told {
            self.add(container.as_ref(), *reason, *seconds);
        }
    }

    /// Takes what was noted since the last call.
    pub fn take(&self) -> Vec<(Kind, u64)> {
        let mut notes = self.lock();
        let noted = std::mem::take(&mut notes.noted);
        for ((container, reason), seconds) in &noted {
            add(&mut notes.taken, container.as_ref(), *reason, *seconds);
        }
        noted.into_iter().collect()
    }

    /// Takes back the losses that segments were to tell, as these are given up before they are on disk.
    pub(crate) fn take_back(&self, told: &Told) {
        let mut notes = self.lock();
        for (kind, seconds) in told {
            notes.is_changed |= subtract(&mut notes.taken, kind, *seconds) > 0;
            add(&mut notes.noted, kind.0.as_ref(), kind.1, *seconds);
        }
    }

    /// Removes the notes of losses that segments tell: these are on disk, or the server has them.
    pub(crate) fn settle(&self, told: &Told) {
        let mut notes = self.lock();
        for (kind, seconds) in told {
            notes.is_changed |= subtract(&mut notes.taken, kind, *seconds) < *seconds;
        }
    }

    /// Whether something is taken that is not told on disk.
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
        for ((container, reason), seconds) in &notes.taken {
            add(&mut all, container.as_ref(), *reason, *seconds);
        }
        all
    }

    fn lock(&self) -> MutexGuard<'_, Notes> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
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

/// Subtracts seconds that a container tells. They may be those of any container, or of one that is gone.
/// Returns how many of them are not there.
fn subtract(sums: &mut BTreeMap<Kind, u64>, own: &Kind, mut seconds: u64) -> u64 {
    let others = sums.keys().filter(|kind| kind.1 == own.1).cloned();
    let kinds: Vec<Kind> = std::iter::once(own.clone()).chain(others).collect();
    for kind in kinds {
        if let Some(sum) = sums.get_mut(&kind) {
            let part = seconds.min(*sum);
            *sum -= part;
            seconds -= part;
            if *sum == 0 {
                sums.remove(&kind);
            }
        }
    }
    seconds
}

/// The losses of whole seconds that segments tell.
pub(crate) fn told<'a>(segments: impl IntoIterator<Item = &'a Segment>) -> Told {
    let losses = segments.into_iter().flat_map(|segment| {
        let losses = segment.losses.iter();
        losses.map(|loss| {
            let container = Some(segment.key.container.clone());
            ((container, Reason(loss.row.0)), loss.value.count)
        })
    });
    losses
        .filter(|((_, reason), _)| REASONS.contains(reason))
        .collect()
}

/// Number of seconds that a segment of seconds or minutes covers. The agent makes no coarser ones.
pub fn covered_seconds(segment: &Segment) -> u64 {
    let coverage = segment.coverage.iter();
    coverage.map(|coverage| u64::from(coverage.count())).sum()
}
