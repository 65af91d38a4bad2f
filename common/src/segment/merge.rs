//! Merging pieces of one source, adding up sources, cutting, and coarsening.
//!
//! The rules: counts add, measurements take the maximum, dictionaries unite.
//! Within one source a sub-slot counts once, however often it arrives: the
//! coverage bitmaps say what is already there. That makes [`Segment::merge`]
//! idempotent as well as associative and commutative, and lets roll-up, a
//! repeated post and a late arrival all be the same operation.

use std::ops::Range;

use super::builder::unite_facts;
use super::unite::{Part, unite};
use super::{Coverage, Key, Resolution, Segment, SourceId};

/// Why segments cannot become one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergeError {
    /// There was none.
    #[error("nothing to merge")]
    Empty,
    /// They are of different containers, resolutions or sources.
    #[error("segments of {0:?} and {1:?} do not belong together")]
    Different(Key, Key),
    /// Together they would span more slots than a segment may have.
    #[error("the merged segment would have {0} slots, more than the {max} allowed", max = Segment::MAX_SLOTS)]
    TooLong(u64),
}

/// What is done with an arriving slot, by what is known of it already.
#[derive(Debug, PartialEq, Eq)]
enum Arrival {
    /// It is news: it adds up.
    New,
    /// It is known: it is left out.
    Known,
    /// It holds what is known and more: it takes the place.
    Better,
}

impl Arrival {
    fn of(arriving: Coverage, known: Coverage) -> Self {
        if arriving.0 & !known.0 == 0 {
            Self::Known
        } else if arriving.0 & known.0 == 0 {
            Self::New
        } else if (arriving.count(), arriving.0) > (known.count(), known.0) {
            // A superset, or (which no correct agent produces) a partial
            // overlap, where the fuller one counts: too little beats double.
            Self::Better
        } else {
            Self::Known
        }
    }
}

impl Segment {
    /// Most slots that a segment may have: a stored span has at most 60, a
    /// query's answer at most this many.
    pub const MAX_SLOTS: u64 = 4_096;

    /// Makes pieces of one source one, over the span that holds all of them.
    /// A sub-slot that several pieces cover is counted once.
    ///
    /// # Errors
    /// When there is no piece, when they differ in container, resolution or
    /// source, or when the span is longer than [`Self::MAX_SLOTS`].
    pub fn merge<'a>(pieces: impl IntoIterator<Item = &'a Self>) -> Result<Self, MergeError> {
        let pieces = in_order(pieces.into_iter().collect());
        let mut whole = united(&pieces, |first, other| first.source == other.source)?;
        let mut parts: Vec<Part<'_>> = Vec::with_capacity(pieces.len());
        // By slot: which parts' slots are in it so far.
        let mut holders: Vec<Vec<(usize, usize)>> = vec![Vec::new(); whole.coverage.len()];
        for piece in pieces {
            let shift = shift(&whole, piece);
            let mut places = vec![None; piece.coverage.len()];
            for (slot, arriving) in piece.coverage.iter().enumerate() {
                let target = slot + shift as usize;
                let known = &mut whole.coverage[target];
                match Arrival::of(*arriving, *known) {
                    Arrival::Known => continue,
                    Arrival::New => {}
                    Arrival::Better => {
                        *known = Coverage::NONE;
                        for (part, slot) in holders[target].drain(..) {
                            parts[part].places[slot] = None;
                        }
                    }
                }
                known.0 |= arriving.0;
                places[slot] = Some(target as u32);
                holders[target].push((parts.len(), slot));
            }
            parts.push(Part {
                segment: piece,
                places,
            });
        }
        Ok(unite(whole, &parts, |_| true))
    }

    /// Adds up segments of different sources (each already merged) over the
    /// span that holds all of them. The result's source is [`SourceId::SUM`].
    ///
    /// # Errors
    /// As for [`Self::merge`], but for the source.
    pub fn add<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Result<Self, MergeError> {
        let pieces = in_order(parts.into_iter().collect());
        let mut whole = united(&pieces, |_, _| true)?;
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
                places: slots.map(|slot| Some(slot + shift)).collect(),
            });
        }
        Ok(unite(whole, &parts, |_| true))
    }

    /// The part from `span.start` to `span.end` (seconds since the Unix epoch,
    /// rounded outwards to whole slots): exactly these slots, gaps where the
    /// segment has none. Dictionaries keep what the remaining slots name, and
    /// the processes that lived within the span.
    ///
    /// # Errors
    /// When the span is longer than [`Self::MAX_SLOTS`].
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
        let mut places = vec![None; self.coverage.len()];
        for (slot, coverage) in self.coverage.iter().enumerate() {
            let at = self.key.start + slot as u64 * length;
            let target = at.checked_sub(start).map(|after| after / length);
            if let Some(target) = target.filter(|target| *target < slots) {
                slice.coverage[target as usize] = *coverage;
                places[slot] = Some(target as u32);
            }
        }
        let moment = |second: u64| second.saturating_mul(1_000_000_000);
        let end = moment(slots.saturating_mul(length).saturating_add(start));
        let start = moment(start);
        let part = Part {
            segment: self,
            places,
        };
        // When a folded row lived is not known.
        Ok(unite(slice, &[part], |process| {
            !process.is_folded()
                && process.id.start < end
                && (process.end == 0 || process.end >= start)
        }))
    }

    /// The same at the next coarser resolution: slots merged, and each coarse
    /// slot's coverage telling which fine ones are in it. `None` for days.
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
        let place = |slot: u32| (at(slot) / coarse.seconds()) as u32;
        for (slot, coverage) in (0..).zip(&self.coverage) {
            if !coverage.is_gap() {
                let sub_slot = at(slot) % coarse.seconds() / fine.seconds();
                whole.coverage[place(slot) as usize].0 |= 1 << sub_slot;
            }
        }
        let part = Part {
            segment: self,
            places: (0..self.slots()).map(|slot| Some(place(slot))).collect(),
        };
        Some(unite(whole, &[part], |_| true))
    }

    /// How many slots of the finest resolution it knows, were each slot full:
    /// the number of covered slots times a slot's length, in seconds.
    pub fn covered_seconds(&self) -> u64 {
        let known = self
            .coverage
            .iter()
            .filter(|coverage| !coverage.is_gap())
            .count();
        known as u64 * self.key.resolution.seconds()
    }

    /// The resolution at which a span of this many seconds has at most `slots` slots.
    pub fn resolution_for(seconds: u64, slots: u64) -> Resolution {
        Resolution::ALL
            .into_iter()
            .find(|resolution| seconds.div_ceil(resolution.seconds()) <= slots)
            .unwrap_or(Resolution::Day)
    }
}

/// A segment over the span of all `pieces`, with their facts, when they belong together.
fn united(pieces: &[&Segment], same: impl Fn(&Key, &Key) -> bool) -> Result<Segment, MergeError> {
    let first = &pieces.first().ok_or(MergeError::Empty)?.key;
    let stranger = pieces.iter().map(|piece| &piece.key).find(|key| {
        key.container != first.container || key.resolution != first.resolution || !same(first, key)
    });
    if let Some(other) = stranger {
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

/// By time, so that the order of arrival makes no difference where coverages overlap in part.
fn in_order(mut pieces: Vec<&Segment>) -> Vec<&Segment> {
    pieces.sort_by_key(|piece| (piece.end(), piece.key.start, piece.key.source));
    pieces
}

/// How many slots after the start of `whole` the piece begins.
fn shift(whole: &Segment, piece: &Segment) -> u32 {
    ((piece.key.start - whole.key.start) / whole.key.resolution.seconds()) as u32
}
