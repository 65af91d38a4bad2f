//! Merging pieces of one source, adding up sources, slicing, and coarsening.
//!
//! The rules: counts add up, measurements take the maximum, dictionaries unite.
//! Within one source a sub-slot counts once, however often it arrives: the
//! coverage bitmaps say which are there already. So [`Segment::merge`] is
//! idempotent, associative and commutative, and roll-up, a repeated post and a
//! late arrival are the same operation.

use std::ops::Range;

use super::builder::unite_facts;
use super::part::Part;
use super::unite::unite;
use super::{Coverage, Key, Segment, SourceId, census};

/// Why segments cannot be united.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There are no segments.
    #[error("nothing to merge")]
    Empty,
    /// They differ in container, resolution or source.
    #[error("segments of {0:?} and {1:?} do not belong together")]
    Different(Key, Key),
    /// The result would have more slots than a segment may have.
    #[error("the merged segment would have {0} slots, more than the {max} allowed", max = Segment::MAX_SLOTS)]
    TooLong(u64),
}

/// What to do with an arriving slot, depending on the present coverage.
#[derive(Debug, PartialEq, Eq)]
enum Arrival {
    /// Nothing of it is covered: it adds up.
    New,
    /// All of it is covered: it is left out.
    Duplicate,
    /// It covers more than the present slot, and replaces it.
    Replacement,
}

impl Arrival {
    fn classify(arriving: Coverage, covered: Coverage) -> Self {
        if arriving.0 & !covered.0 == 0 {
            Self::Duplicate
        } else if arriving.0 & covered.0 == 0 {
            Self::New
        } else if (arriving.count(), arriving.0) > (covered.count(), covered.0) {
            // A superset. Or a partial overlap, which no correct agent produces:
            // then the fuller one counts, as too little beats double.
            Self::Replacement
        } else {
            Self::Duplicate
        }
    }
}

impl Segment {
    /// Maximum number of slots. A stored span has at most 60, the answer to a query
    /// at most this many.
    pub const MAX_SLOTS: u64 = 4_096;

    /// Merges pieces of one source, over the span that holds all of them.
    /// A sub-slot that several pieces cover counts once.
    ///
    /// # Errors
    /// If there are no pieces, if they differ in container, resolution or
    /// source, or if the span has more than [`Self::MAX_SLOTS`] slots.
    pub fn merge<'a>(pieces: impl IntoIterator<Item = &'a Self>) -> Result<Self, MergeError> {
        let pieces = sorted(pieces.into_iter().collect());
        let mut whole = empty_whole(&pieces, |first, other| first.source == other.source)?;
        let mut parts: Vec<Part<'_>> = Vec::with_capacity(pieces.len());
        // For each slot: the slots of which parts are in it so far.
        let mut holders: Vec<Vec<(usize, usize)>> = vec![Vec::new(); whole.coverage.len()];
        for piece in pieces {
            let shift = shift(&whole, piece);
            let mut targets = vec![None; piece.coverage.len()];
            for (slot, arriving) in piece.coverage.iter().enumerate() {
                let target = slot + shift as usize;
                let covered = &mut whole.coverage[target];
                match Arrival::classify(*arriving, *covered) {
                    Arrival::Duplicate => continue,
                    Arrival::New => {}
                    Arrival::Replacement => {
                        *covered = Coverage::NONE;
                        for (part, slot) in holders[target].drain(..) {
                            parts[part].targets[slot] = None;
                        }
                    }
                }
                covered.0 |= arriving.0;
                targets[slot] = Some(target as u32);
                holders[target].push((parts.len(), slot));
            }
            parts.push(Part {
                segment: piece,
                targets,
            });
        }
        Ok(unite(whole, &parts, |_| true))
    }

    /// Adds up segments of different sources, each already merged, over the span
    /// that holds all of them. The result's source is [`SourceId::SUM`].
    ///
    /// # Errors
    /// As for [`Self::merge`], except that the sources may differ.
    pub fn add<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Result<Self, MergeError> {
        let pieces = sorted(parts.into_iter().collect());
        let mut whole = empty_whole(&pieces, |_, _| true)?;
        whole.key.source = SourceId::SUM;
        let mut parts = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let shift = shift(&whole, piece);
            for (slot, coverage) in (shift as usize..).zip(&piece.coverage) {
                whole.coverage[slot].0 |= coverage.0;
            }
            let slots = 0..piece.slots();
            parts.push(Part {
                segment: piece,
                targets: slots.map(|slot| Some(slot + shift)).collect(),
            });
        }
        Ok(unite(whole, &parts, |_| true))
    }

    /// The slots from `span.start` to `span.end` (seconds since the Unix epoch,
    /// rounded outwards to whole slots), with gaps outside of this segment. The
    /// dictionaries keep what the remaining slots name, and all processes that
    /// lived within the span.
    ///
    /// # Errors
    /// If the span has more than [`Self::MAX_SLOTS`] slots.
    pub fn slice(&self, span: Range<u64>) -> Result<Self, MergeError> {
        let length = self.key.resolution.seconds();
        let start = span.start - span.start % length;
        let slots = span.end.max(start).div_ceil(length) - start / length;
        if slots > Self::MAX_SLOTS {
            return Err(MergeError::TooLong(slots));
        }
        let key = Key {
            start,
            ..self.key.clone()
        };
        let mut slice = Self::empty(key, slots as usize);
        slice.facts.clone_from(&self.facts);
        let mut targets = vec![None; self.coverage.len()];
        for (slot, coverage) in self.coverage.iter().enumerate() {
            let at = self.key.start + slot as u64 * length;
            let target = at.checked_sub(start).map(|after| after / length);
            if let Some(target) = target.filter(|target| *target < slots) {
                slice.coverage[target as usize] = *coverage;
                targets[slot] = Some(target as u32);
            }
        }
        let nanoseconds = |second: u64| second.saturating_mul(1_000_000_000);
        let end = nanoseconds(slots.saturating_mul(length).saturating_add(start));
        let start = nanoseconds(start);
        let part = Part {
            segment: self,
            targets,
        };
        let is_whole = part.is_whole();
        // The lifetime of a folded row is unknown.
        let mut slice = unite(slice, &[part], |process| {
            !process.is_folded()
                && process.id.start < end
                && (process.end == 0 || process.end >= start)
        });
        if !is_whole {
            census::recount(&mut slice, false);
        }
        Ok(slice)
    }

    /// The same content at the next coarser resolution. The coverage of each coarse slot
    /// says which fine slots are in it. `None` for days.
    pub fn coarsen(&self) -> Option<Self> {
        let fine = self.key.resolution;
        let coarse = fine.coarser()?;
        let start = self.key.start - self.key.start % coarse.seconds();
        let slots = (self.end().max(start + 1) - start).div_ceil(coarse.seconds());
        let at = |slot: u32| self.key.start - start + u64::from(slot) * fine.seconds();
        let key = Key {
            resolution: coarse,
            start,
            ..self.key.clone()
        };
        let mut whole = Self::empty(key, slots as usize);
        whole.facts.clone_from(&self.facts);
        let target = |slot: u32| (at(slot) / coarse.seconds()) as u32;
        for (slot, coverage) in (0..).zip(&self.coverage) {
            if !coverage.is_gap() {
                let sub_slot = at(slot) % coarse.seconds() / fine.seconds();
                whole.coverage[target(slot) as usize].0 |= 1 << sub_slot;
            }
        }
        let part = Part {
            segment: self,
            targets: (0..self.slots()).map(|slot| Some(target(slot))).collect(),
        };
        Some(unite(whole, &[part], |_| true))
    }
}

/// An empty segment over the span of all `pieces`, with their facts.
///
/// # Errors
/// If they differ in container or resolution, if `same` rejects a key, or if the span is too long.
fn empty_whole(
    pieces: &[&Segment],
    same: impl Fn(&Key, &Key) -> bool,
) -> Result<Segment, MergeError> {
    let first = &pieces.first().ok_or(MergeError::Empty)?.key;
    let different = pieces.iter().map(|piece| &piece.key).find(|key| {
        key.container != first.container || key.resolution != first.resolution || !same(first, key)
    });
    if let Some(other) = different {
        return Err(MergeError::Different(first.clone(), other.clone()));
    }
    let start = pieces
        .iter()
        .map(|piece| piece.key.start)
        .min()
        .unwrap_or(first.start);
    let end = pieces
        .iter()
        .map(|piece| piece.end())
        .max()
        .unwrap_or(start);
    let slots = (end - start) / first.resolution.seconds();
    if slots > Segment::MAX_SLOTS {
        return Err(MergeError::TooLong(slots));
    }
    let key = Key {
        start,
        ..first.clone()
    };
    let mut whole = Segment::empty(key, slots as usize);
    for piece in pieces {
        unite_facts(&mut whole.facts, &piece.facts);
    }
    Ok(whole)
}

/// Sorts by time, so that the order of arrival does not matter where coverages overlap partly.
fn sorted(mut pieces: Vec<&Segment>) -> Vec<&Segment> {
    pieces.sort_by_key(|piece| (piece.end(), piece.key.start, piece.key.source));
    pieces
}

/// Number of slots between the start of `whole` and the start of the piece.
fn shift(whole: &Segment, piece: &Segment) -> u32 {
    ((piece.key.start - whole.key.start) / whole.key.resolution.seconds()) as u32
}
