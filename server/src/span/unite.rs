//! Unites the rows of one source and packed span into one segment, and rolls a packed span up into a
//! slot of the coarser resolution.
//!
//! Packing and queries both use these functions, so a page shows the same before and after a span is
//! packed.

use bubble_common::segment::builder::Builder;
use bubble_common::segment::merge::MergeError;
use bubble_common::segment::{Coverage, Key, Resolution, Segment};

use super::row::{Form, Piece, Row};

/// The next finer resolution, from which `resolution` is rolled up.
pub fn finer(resolution: Resolution) -> Option<Resolution> {
    Resolution::ALL
        .into_iter()
        .find(|finer| finer.coarser() == Some(resolution))
}

/// Unites the rows of one source and packed span. A rolled slot is complete, and replaces the packed
/// one. For other slots the coverage decides.
///
/// # Errors
/// When the rows are not of one source and span.
pub fn unite(pieces: &[Piece]) -> Result<Segment, MergeError> {
    let mut replaced = Vec::new();
    for piece in pieces.iter().filter(|piece| piece.form == Form::Rolled) {
        replaced.push(piece.segment.key.start..piece.segment.end());
    }
    let is_replaced = |piece: &&Piece| piece.form == Form::Packed && !replaced.is_empty();
    let bases: Vec<Segment> = pieces
        .iter()
        .filter(is_replaced)
        .map(|piece| {
            keep_slots(&piece.segment, |at, _| {
                !replaced.iter().any(|span| span.contains(&at))
            })
        })
        .collect();
    let others = pieces.iter().filter(|piece| !is_replaced(piece));
    Segment::merge(bases.iter().chain(others.map(|piece| &*piece.segment)))
}

/// Copies a segment, and makes gaps of the slots that `keep` refuses. `keep` gets their start and
/// coverage.
pub fn keep_slots(segment: &Segment, keep: impl Fn(u64, Coverage) -> bool) -> Segment {
    let length = segment.key.resolution.seconds();
    let keeps: Vec<bool> = (0..)
        .zip(&segment.coverage)
        .map(|(slot, coverage)| keep(segment.key.start + slot * length, *coverage))
        .collect();
    let mut builder = Builder::new(segment.key.clone(), keeps.len());
    builder.facts(&segment.facts);
    for (slot, coverage) in (0..).zip(&segment.coverage) {
        if keeps[slot as usize] {
            builder.cover(slot, *coverage);
        }
    }
    builder.take(segment, |slot| keeps[slot as usize].then_some(slot));
    builder.build()
}

/// Rolls the packed span `fine` up into a slot of the coarser resolution. `known` is the stored slot,
/// if there is one.
///
/// While all finer rows exist (`complete`), the slot is made anew from them. Where some have expired,
/// or an agent posted coarse pieces, the stored slot stays, and only missing sub-slots are added.
/// Returns `None` if that changes nothing.
///
/// # Errors
/// When the segments are not of one source and slot.
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
    let missing = keep_slots(fine, |at, _| {
        let sub_slot = (at - known.key.start) / length;
        old.checked_shr(sub_slot as u32).unwrap_or(0) & 1 == 0
    });
    match missing.coarsen() {
        Some(missing) => Segment::merge([known, &missing]).map(Some),
        None => Ok(None),
    }
}

/// The stored slot of a coarse span at `start`: from a rolled piece, otherwise from the packed row.
pub fn known_slot(pieces: &[Piece], start: u64) -> Option<Segment> {
    let rolled = pieces
        .iter()
        .find(|piece| piece.form == Form::Rolled && piece.segment.key.start == start);
    if let Some(rolled) = rolled {
        return Some(Segment::clone(&rolled.segment));
    }
    let packed = pieces.iter().find(|piece| piece.form == Form::Packed)?;
    let slot = start..start + packed.segment.key.resolution.seconds();
    packed.segment.slice(slot).ok()
}

/// Starts of the segment's slots that are not gaps.
pub fn starts(segment: &Segment) -> impl Iterator<Item = u64> {
    let starts = (segment.key.start..).step_by(segment.key.resolution.seconds() as usize);
    let slots = starts.zip(&segment.coverage);
    slots.filter_map(|(start, coverage)| (!coverage.is_gap()).then_some(start))
}

/// Bit *i*: slot *i* of the segment's packed span is not a gap.
pub fn slot_bits(segment: &Segment) -> u64 {
    covered_bits(&segment.key, &segment.coverage)
}

/// The same of a stored row within one packed span. If it is damaged: its first slot.
pub fn slot_bits_of(row: &Row) -> u64 {
    let head = row.segment().ok().map(Segment::decode_head);
    match head {
        Some(Ok(head)) => covered_bits(&head.key, &head.coverage),
        _ => slot_bit(row.key.resolution, row.key.start),
    }
}

/// Sub-slots of the slot that starts at `at` that a stored row contains, as bits. If it is damaged: none;
/// whoever packs or reads it reports that.
pub fn sub_slots_of(row: &Row, at: u64) -> u64 {
    let head = row.segment().ok().map(Segment::decode_head);
    let Some(Ok(head)) = head else {
        return 0;
    };
    let slot = at.checked_sub(head.key.start);
    let slot = slot.map(|after| (after / head.key.resolution.seconds()) as usize);
    let coverage = slot.and_then(|slot| head.coverage.get(slot));
    coverage.map_or(0, |coverage| coverage.0)
}

fn covered_bits(key: &Key, coverage: &[Coverage]) -> u64 {
    let resolution = key.resolution;
    let first = (key.start - resolution.packed_start(key.start)) / resolution.seconds();
    (first..)
        .zip(coverage)
        .filter(|(_, coverage)| !coverage.is_gap())
        .fold(0, |bits, (slot, _)| {
            bits | 1_u64.checked_shl(slot as u32).unwrap_or(0)
        })
}

/// The bit of the slot that holds `at` in its packed span.
pub const fn slot_bit(resolution: Resolution, at: u64) -> u64 {
    1 << ((at - resolution.packed_start(at)) / resolution.seconds())
}
