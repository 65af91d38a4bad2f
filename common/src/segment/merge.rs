//! Merging pieces of one source, adding up sources, cutting, and coarsening.
//!
//! The rules: counts add, measurements take the maximum, dictionaries unite.
//! Within one source a sub-slot counts once, however often it arrives: the
//! coverage bitmaps say what is already there. That makes [`Segment::merge`]
//! idempotent as well as associative and commutative, and lets roll-up, a
//! repeated post and a late arrival all be the same operation.

use std::ops::Range;

use super::builder::Builder;
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
        let pieces: Vec<&Self> = pieces.into_iter().collect();
        let mut builder = united(&pieces, |first, other| first.source == other.source)?;
        for piece in in_order(pieces) {
            let shift = shift(builder.segment(), piece);
            let mut wanted = vec![false; piece.coverage.len()];
            for (slot, arriving) in piece.coverage.iter().enumerate() {
                let target = slot as u32 + shift;
                match Arrival::of(*arriving, builder.segment().coverage[target as usize]) {
                    Arrival::Known => continue,
                    Arrival::New => {}
                    Arrival::Better => builder.clear_slot(target),
                }
                builder.cover(target, *arriving);
                wanted[slot] = true;
            }
            builder.take(piece, |slot| wanted[slot as usize].then_some(slot + shift));
        }
        Ok(builder.build())
    }

    /// Adds up segments of different sources (each already merged) over the
    /// span that holds all of them. The result's source is [`SourceId::SUM`].
    ///
    /// # Errors
    /// As for [`Self::merge`], but for the source.
    pub fn add<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Result<Self, MergeError> {
        let parts: Vec<&Self> = parts.into_iter().collect();
        let mut builder = united(&parts, |_, _| true)?;
        for part in in_order(parts) {
            let shift = shift(builder.segment(), part);
            for (slot, coverage) in part.coverage.iter().enumerate() {
                builder.cover(slot as u32 + shift, *coverage);
            }
            builder.take(part, |slot| Some(slot + shift));
        }
        let mut sum = builder.build();
        sum.key.source = SourceId::SUM;
        Ok(sum)
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
        let mut builder = Builder::new(key, slots as usize);
        builder.facts(&self.facts);
        let place = |slot: u32| {
            let at = self.key.start + u64::from(slot) * length;
            let target = at.checked_sub(start)? / length;
            (target < slots).then_some(target as u32)
        };
        for (slot, coverage) in self.coverage.iter().enumerate() {
            if let Some(target) = place(slot as u32) {
                builder.cover(target, *coverage);
            }
        }
        builder.take(self, place);
        let end = slots.saturating_mul(length).saturating_add(start);
        let moment = |second: u64| second.saturating_mul(1_000_000_000);
        builder.keep_processes_of(moment(start)..moment(end));
        Ok(builder.build())
    }

    /// The same at the next coarser resolution: slots merged, and each coarse
    /// slot's coverage telling which fine ones are in it. `None` for days.
    pub fn coarsen(&self) -> Option<Self> {
        let fine = self.key.resolution;
        let coarse = fine.coarser()?;
        let start = self.key.start - self.key.start % coarse.seconds();
        let slots = (self.end().max(start + 1) - start).div_ceil(coarse.seconds());
        let at = |slot: u32| self.key.start - start + u64::from(slot) * fine.seconds();
        let place = |slot: u32| Some((at(slot) / coarse.seconds()) as u32);
        let key = Key {
            resolution: coarse,
            start,
            ..self.key.clone()
        };
        let mut builder = Builder::new(key, slots as usize);
        builder.facts(&self.facts);
        for (slot, coverage) in self.coverage.iter().enumerate() {
            if !coverage.is_gap() {
                let sub_slot = at(slot as u32) % coarse.seconds() / fine.seconds();
                builder.cover(
                    (at(slot as u32) / coarse.seconds()) as u32,
                    Coverage(1 << sub_slot),
                );
            }
        }
        builder.take(self, place);
        Some(builder.build())
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

/// A builder over the span of all `pieces`, when they belong together.
fn united(pieces: &[&Segment], same: impl Fn(&Key, &Key) -> bool) -> Result<Builder, MergeError> {
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
    let mut builder = Builder::new(
        Key {
            start,
            ..first.clone()
        },
        slots as usize,
    );
    for piece in pieces {
        builder.unite_facts(&piece.facts);
    }
    Ok(builder)
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
