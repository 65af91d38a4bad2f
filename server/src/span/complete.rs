//! Unites coarse rows of one source with the finer rows of their slots, as completely as they allow.
//!
//! An agent whose spool was full makes minutes of seconds. The store may have other seconds of the same
//! minute, some of the same ones, or another part of the minute. A second can be added to a minute, but a
//! minute cannot be taken apart. So each slot is made of coarse parts that have no sub-slot in common,
//! and of the finer slots that these lack.
//!
//! ```text
//! sub-slots        0123456789
//! packed slot      ######....   made of a posted part and of seconds
//! posted now       ......##..   chosen: it overlaps nothing
//! stored seconds   ##.......#
//! united           ########.#
//! ```
//!
//! The part with the most sub-slots that no finer row has is chosen first, and of equal ones the
//! smallest: the finer rows replace what it lacks. If a part cannot be chosen and has seconds that are nowhere else,
//! they are noted as a loss.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};

use bubble_common::segment::loss::Reason;
use bubble_common::segment::merge::MergeError;
use bubble_common::segment::{Resolution, Segment};

use super::row::{Form, Piece, note_loss};
use super::unite::{finer, keep_slots, roll, starts, unite};

/// The slots that start at `starts`, each united from coarse `pieces` and `fine` ones. Slots that no
/// piece covers are left out.
///
/// # Errors
/// When the pieces are not of one source and span.
pub fn complete_slots(
    pieces: &[Piece],
    fine: &[Piece],
    starts: &BTreeSet<u64>,
) -> Result<Vec<Segment>, MergeError> {
    let Some(length) = pieces
        .first()
        .map(|piece| piece.segment.key.resolution.seconds())
    else {
        return Ok(Vec::new());
    };
    let mut spans: BTreeMap<u64, Vec<Piece>> = BTreeMap::new();
    for piece in fine {
        let start = piece.segment.key.start;
        let of_slot = spans.entry(start - start % length).or_default();
        of_slot.push(piece.clone());
    }
    let mut slots = Vec::new();
    for start in starts {
        let fine = spans.get(start).map(|fine| unite(fine)).transpose()?;
        slots.extend(complete_slot(parts(pieces, *start)?, fine.as_ref())?);
    }
    Ok(slots)
}

/// Replaces the slots of posted pieces by [complete](complete_slots) ones. `fine` are the finer pieces of
/// the same source and span. Does nothing to the finest pieces.
///
/// # Errors
/// As for [`complete_slots`].
pub fn complete_posted(pieces: Vec<Piece>, fine: &[Piece]) -> Result<Vec<Piece>, MergeError> {
    let is_coarse = pieces
        .first()
        .is_some_and(|piece| finer(piece.segment.key.resolution).is_some());
    let posted = pieces.iter().filter(|piece| piece.form == Form::Posted);
    let posted: BTreeSet<u64> = posted.flat_map(|piece| starts(&piece.segment)).collect();
    if !is_coarse || posted.is_empty() {
        return Ok(pieces);
    }
    complete(pieces, fine, &posted)
}

/// Replaces the slots that start at `starts` by [complete](complete_slots) ones. Those whose parts only
/// add up stay as they are.
///
/// # Errors
/// As for [`complete_slots`].
fn complete(
    pieces: Vec<Piece>,
    fine: &[Piece],
    starts: &BTreeSet<u64>,
) -> Result<Vec<Piece>, MergeError> {
    let needed = starts.iter().copied();
    let needed = needed
        .filter(|start| has_overlap(&pieces, fine, *start))
        .collect();
    if BTreeSet::is_empty(&needed) {
        return Ok(pieces);
    }
    let slots = complete_slots(&pieces, fine, &needed)?;
    let done: BTreeSet<u64> = slots.iter().map(|slot| slot.key.start).collect();
    let is_left = |piece: &&Piece| {
        // It would replace the packed slot once more.
        piece.form != Form::Rolled || !done.contains(&piece.segment.key.start)
    };
    let left = pieces.iter().filter(is_left).map(|piece| Piece {
        form: piece.form,
        segment: keep_slots(&piece.segment, |at, _| !done.contains(&at)).into(),
    });
    let slots = slots.into_iter().map(|slot| Piece {
        form: Form::Rolled,
        segment: slot.into(),
    });
    Ok(left.chain(slots).collect())
}

/// Whether the slot at `start` has finer rows, or coarse parts with sub-slots in common.
fn has_overlap(pieces: &[Piece], fine: &[Piece], start: u64) -> bool {
    let coverage = |piece: &Piece| {
        let segment = &piece.segment;
        let length = segment.key.resolution.seconds();
        let slot = start.checked_sub(segment.key.start);
        let slot = slot.and_then(|after| segment.coverage.get((after / length) as usize));
        slot.map_or(0, |coverage| coverage.0)
    };
    let mut covered = 0;
    let overlaps = pieces.iter().any(|piece| {
        let new = coverage(piece);
        let is_known = covered & new != 0;
        covered |= new;
        is_known
    });
    let length = pieces
        .first()
        .map(|piece| piece.segment.key.resolution.seconds());
    let span = start..start + length.unwrap_or(0);
    overlaps
        || fine
            .iter()
            .any(|piece| span.contains(&piece.segment.key.start))
}

/// The coarse parts of the slot at `start`. A rolled slot contains the packed one. That is a part of its
/// own as well if its sub-slots are seconds, which never change: the rolled one may have more in common
/// with the other parts. Larger sub-slots may have grown since.
fn parts(pieces: &[Piece], start: u64) -> Result<Vec<Segment>, MergeError> {
    let has_slot = |piece: &&Piece| {
        let segment = &piece.segment;
        (segment.key.start..segment.end()).contains(&start)
    };
    let of_slot = pieces.iter().filter(has_slot);
    let is_rolled = of_slot.clone().any(|piece| piece.form == Form::Rolled);
    let is_part = |piece: &&Piece| {
        let of_seconds = finer(piece.segment.key.resolution) == Some(Resolution::Second);
        piece.form != Form::Packed || !is_rolled || of_seconds
    };
    of_slot
        .filter(is_part)
        .map(|piece| {
            let segment = &piece.segment;
            segment.slice(start..start + segment.key.resolution.seconds())
        })
        .collect()
}

/// One slot, united from `parts` and the finer segment of its span. `None` if nothing is covered.
fn complete_slot(
    mut parts: Vec<Segment>,
    fine: Option<&Segment>,
) -> Result<Option<Segment>, MergeError> {
    let bits = |slot: &Segment| slot.coverage.first().map_or(0, |coverage| coverage.0);
    let known = fine.and_then(Segment::coarsen);
    let known = known.as_ref().map_or(0, bits);
    parts.sort_by_key(|part| {
        let bits = bits(part);
        let own = (bits & !known).count_ones();
        (Reverse(own), bits.count_ones(), bits)
    });
    let (mut covered, mut lost) = (0, 0);
    for part in &mut parts {
        match bits(part) & covered {
            0 => covered |= bits(part),
            _ => {
                lost |= bits(part);
                // Its facts stay.
                *part = keep_slots(part, |_, _| false);
            }
        }
    }
    if parts.is_empty() {
        return Ok(None);
    }
    let coarse = Segment::merge(&parts)?;
    let whole = match fine {
        Some(fine) => roll(Some(&coarse), fine, false)?.unwrap_or(coarse),
        None => coarse,
    };
    let whole = note_lost(whole, lost & !(covered | known));
    Ok((bits(&whole) != 0).then_some(whole))
}

/// Notes the sub-slots `lost`, as bits: only a part has them that another one overlaps. There are such
/// parts because the spool of an agent was full.
fn note_lost(slot: Segment, lost: u64) -> Segment {
    if lost == 0 {
        return slot;
    }
    let resolution = slot.key.resolution;
    let seconds = resolution.seconds() / u64::from(resolution.sub_slots());
    let count = u64::from(lost.count_ones()) * seconds;
    note_loss(&slot, Reason::SPOOL_FULL, count)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use bubble_common::segment::builder::Builder;
    use bubble_common::segment::loss::Reason;
    use bubble_common::segment::process::{Cpu, Process, ProcessId};
    use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId};

    use super::{complete, complete_slots};
    use crate::span::row::{Form, Piece};
    use crate::span::unite::unite;

    /// Start of a minute.
    const START: u64 = 1_200_000;

    /// Seconds of the minute, each with another CPU time.
    fn seconds(of_minute: &[u64]) -> Segment {
        let key = Key {
            container: ContainerId::new("a").expect("an id"),
            resolution: Resolution::Second,
            start: START,
            source: SourceId([1; 16]),
        };
        let mut builder = Builder::new(key, 60);
        let id = ProcessId {
            pid: 7,
            start: 1,
            exec: 1,
        };
        let process = builder.process(Process::new(id, "worker"));
        for second in of_minute {
            builder.cover(*second as u32, Coverage::SECOND);
            let cpu = Cpu { ns: 1 << second };
            builder.cpu(process, 0, *second as u32, cpu);
        }
        builder.build()
    }

    fn minute(form: Form, of_minute: &[u64]) -> Piece {
        let segment = seconds(of_minute).coarsen().expect("a minute");
        Piece {
            form,
            segment: segment.into(),
        }
    }

    /// Unites parts of a minute with seconds. Checks that each second counts once, and returns them.
    fn united(pieces: &[Piece], fine: &[u64]) -> Vec<u64> {
        let fine = Piece {
            form: Form::Posted,
            segment: seconds(fine).into(),
        };
        let pieces =
            complete(pieces.to_vec(), &[fine], &BTreeSet::from([START])).expect("they fit");
        let whole = unite(&pieces).expect("they fit");
        assert_eq!((whole.key.start, whole.slots()), (START, 1));
        let covered = whole.coverage[0].0;
        let ns: u64 = whole.cpu.iter().map(|cell| cell.value.ns).sum();
        assert_eq!(ns, covered, "each second once");
        (0..60)
            .filter(|second| covered >> second & 1 != 0)
            .collect()
    }

    #[test]
    fn another_part_of_a_minute_counts_beside_its_seconds() {
        let packed = minute(Form::Packed, &[27, 28, 29, 35, 36]);
        let posted = minute(Form::Posted, &[38, 39]);
        let whole = united(&[packed, posted], &[27, 28, 29]);
        assert_eq!(whole, [27, 28, 29, 35, 36, 38, 39]);
    }

    #[test]
    fn seconds_replace_what_two_parts_have_in_common() {
        let packed = minute(Form::Packed, &[0, 1, 2, 3, 4]);
        let posted = minute(Form::Posted, &[4, 5]);
        let whole = united(&[packed, posted], &[0, 1, 2, 3, 4]);
        assert_eq!(whole, [0, 1, 2, 3, 4, 5]);
    }

    #[test]
    fn what_only_an_overlapped_part_has_is_noted_as_lost() {
        let packed = minute(Form::Packed, &[0, 1, 2, 8]);
        let posted = minute(Form::Posted, &[5, 6, 7, 8, 9]);
        let pieces = [packed, posted];
        assert_eq!(united(&pieces, &[0, 8]), [0, 5, 6, 7, 8, 9]);
        let fine = Piece {
            form: Form::Posted,
            segment: seconds(&[0, 8]).into(),
        };
        let whole = complete_slots(&pieces, &[fine], &BTreeSet::from([START])).expect("they fit");
        let losses = whole[0].losses.iter();
        let losses: Vec<(u32, u64)> = losses.map(|cell| (cell.row.0, cell.value.count)).collect();
        assert_eq!(losses, [(Reason::SPOOL_FULL.0, 2)]);
    }

    #[test]
    fn a_packed_slot_is_chosen_that_has_less_in_common_than_the_rolled_one() {
        // The first two seconds have expired.
        let packed = minute(Form::Packed, &[0, 1]);
        let rolled = minute(Form::Rolled, &[0, 1, 2, 3, 7]);
        let posted = minute(Form::Posted, &[3, 4]);
        let whole = united(&[packed, rolled, posted], &[2, 3, 7]);
        assert_eq!(whole, [0, 1, 2, 3, 4, 7]);
    }

    #[test]
    fn the_rolled_slot_replaces_the_packed_one() {
        let packed = minute(Form::Packed, &[0, 1]);
        let rolled = minute(Form::Rolled, &[0, 1, 2]);
        let posted = minute(Form::Posted, &[3]);
        assert_eq!(united(&[packed, rolled, posted], &[0, 1, 2]), [0, 1, 2, 3]);
    }
}
