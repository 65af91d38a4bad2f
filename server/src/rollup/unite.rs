//! How rows of one source and one packed span become one segment, and how a
//! packed span becomes a slot of the coarser resolution.
//!
//! Packing and queries both go through here, so that a page shows the same
//! before and after a span was packed.

use bubble_common::segment::builder::Builder;
use bubble_common::segment::merge::MergeError;
use bubble_common::segment::{Coverage, Resolution, Segment};

use crate::store::row::Form;

/// A decoded row.
#[derive(Debug, Clone)]
pub struct Piece {
    /// How it came to be.
    pub form: Form,
    /// What is in it.
    pub segment: Segment,
}

/// The resolution from which `resolution` is rolled up.
pub fn finer(resolution: Resolution) -> Option<Resolution> {
    Resolution::ALL
        .into_iter()
        .find(|finer| finer.coarser() == Some(resolution))
}

/// One segment from the rows of one source and packed span. A rolled slot is
/// complete, and takes the place of the packed one; for the rest coverage decides.
///
/// # Errors
/// When the rows do not belong together.
pub fn unite(pieces: &[Piece]) -> Result<Segment, MergeError> {
    let mut replaced = Vec::new();
    for piece in pieces.iter().filter(|piece| piece.form == Form::Rolled) {
        replaced.push(piece.segment.key.start..piece.segment.end());
    }
    let stale = |piece: &&Piece| piece.form == Form::Packed && !replaced.is_empty();
    let bases: Vec<Segment> = pieces
        .iter()
        .filter(stale)
        .map(|piece| {
            keep_slots(&piece.segment, |at, _| {
                !replaced.iter().any(|span| span.contains(&at))
            })
        })
        .collect();
    let others = pieces.iter().filter(|piece| !stale(piece));
    Segment::merge(bases.iter().chain(others.map(|piece| &piece.segment)))
}

/// The same with only the slots that `keep`, given their start and coverage, accepts; the others are gaps.
pub fn keep_slots(segment: &Segment, keep: impl Fn(u64, Coverage) -> bool) -> Segment {
    let length = segment.key.resolution.seconds();
    let kept: Vec<bool> = (0..)
        .zip(&segment.coverage)
        .map(|(slot, coverage)| keep(segment.key.start + slot * length, *coverage))
        .collect();
    let mut builder = Builder::new(segment.key.clone(), kept.len());
    builder.facts(&segment.facts);
    for (slot, coverage) in (0..).zip(&segment.coverage) {
        if kept[slot as usize] {
            builder.cover(slot, *coverage);
        }
    }
    builder.take(segment, |slot| kept[slot as usize].then_some(slot));
    builder.build()
}

/// The coarse slot that the packed span `fine` makes, where `known` is what is
/// stored of that slot (one slot of the coarser resolution), if anything.
///
/// While all of the finer rows exist (`complete`) the slot is made anew from
/// them. Where some have expired, or an agent posted coarse pieces, what is known
/// stays and only sub-slots that are not in it are added. `None` when that
/// changes nothing.
///
/// # Errors
/// When the segments do not belong together.
pub fn roll(
    known: Option<&Segment>,
    fine: &Segment,
    complete: bool,
) -> Result<Option<Segment>, MergeError> {
    let Some(fresh) = fine.coarsen() else {
        return Ok(None);
    };
    let Some(known) = known.filter(|known| known.coverage.iter().any(|c| !c.is_gap())) else {
        return Ok(Some(fresh));
    };
    let bits = |segment: &Segment| segment.coverage.first().map_or(0, |coverage| coverage.0);
    let (old, new) = (bits(known), bits(&fresh));
    if complete && new & old == old {
        return Ok(Some(fresh));
    }
    if new & !old == 0 {
        return Ok(None);
    }
    let length = fine.key.resolution.seconds();
    let news = keep_slots(fine, |at, _| {
        let sub_slot = (at - known.key.start) / length;
        old.checked_shr(sub_slot as u32).unwrap_or(0) & 1 == 0
    });
    match news.coarsen() {
        Some(news) => Segment::merge([known, &news]).map(Some),
        None => Ok(None),
    }
}

/// What the rows of a coarse span say of its slot at `start`: a rolled piece, or else the packed row.
pub fn known_slot(pieces: &[Piece], start: u64) -> Option<Segment> {
    let rolled = pieces
        .iter()
        .find(|piece| piece.form == Form::Rolled && piece.segment.key.start == start);
    if let Some(rolled) = rolled {
        return Some(rolled.segment.clone());
    }
    let packed = pieces.iter().find(|piece| piece.form == Form::Packed)?;
    let slot = start..start + packed.segment.key.resolution.seconds();
    packed.segment.slice(slot).ok()
}

/// Bit *i*: slot *i* of the segment's packed span is not a gap.
pub fn slot_bits(segment: &Segment) -> u64 {
    let resolution = segment.key.resolution;
    let first =
        (segment.key.start - resolution.packed_start(segment.key.start)) / resolution.seconds();
    (first..)
        .zip(&segment.coverage)
        .filter(|(_, coverage)| !coverage.is_gap())
        .fold(0, |bits, (slot, _)| {
            bits | 1_u64.checked_shl(slot as u32).unwrap_or(0)
        })
}
