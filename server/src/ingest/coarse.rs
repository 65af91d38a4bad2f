//! Coarse posts: where its spool is full, an agent makes minutes of seconds, and the store may have some
//! of these seconds already.
//!
//! A slot of minutes cannot be taken apart. So slots that are stored as a whole are cut out of the post.
//! To the sums of its container the post adds what packing its span will add to the rows: both use
//! `span/complete.rs`.
//!
//! A minute may also come in two halves, when a file of the spool ended in it. Both have the same key, so
//! the second one is stored as a union of both.

use std::collections::{BTreeMap, BTreeSet};

use bubble_common::segment::{Resolution, Segment};

use super::error::IngestError;
use super::prepare::{DECODING_PER_BYTE, repost};
use crate::memory::{MemoryError, Pool, Reservation};
use crate::span::activity::{Change, Sums, activity};
use crate::span::complete::complete_slots;
use crate::span::row::{Form, Piece, Row, decode};
use crate::span::unite::{finer, keep_slots, slot_bit, starts, unite};
use crate::store::error::StoreError;
use crate::store::segments::{Post, Segments};

/// Copies of a post that are decoded at the same time: the post, its new part, and the union with a half.
const COPIES: usize = 3;

/// Sub-slots that are stored, as bits, by the start of their slot.
type SubSlots = BTreeMap<u64, u64>;

/// The part of a coarse post that is not stored, with the sums of that part. `None` if nothing is left.
/// Reserves from `memory` for the post and the stored rows of its span. It does not wait, as the caller
/// holds `used` bytes of the same pool.
///
/// # Errors
/// When the store fails, or the memory is not free.
pub(super) async fn unknown_part(
    store: &dyn Segments,
    post: Post,
    memory: &Pool,
    used: usize,
) -> Result<Option<Post>, IngestError> {
    let resolution = post.key.resolution;
    let held = reserve(memory, used, COPIES * post.bytes.len())?;
    let Some((finer, segment)) = finer(resolution).zip(Segment::decode(&post.bytes).ok()) else {
        return Ok(Some(post));
    };
    let span = segment.key.start..segment.end();
    let rows = async |resolution: Resolution| -> Result<Vec<Row>, StoreError> {
        let container = &segment.key.container;
        let rows = store.range(container, resolution, span.clone()).await?;
        let own = rows.into_iter();
        let own = own.filter(|row| row.key.source == segment.key.source);
        Ok(own.collect())
    };
    let (fine, pieces) = (rows(finer).await?, rows(resolution).await?);
    let stored = fine.iter().chain(&pieces).map(|row| row.bytes.len());
    let needed = COPIES * post.bytes.len() + stored.sum::<usize>();
    drop(held);
    let _held = reserve(memory, used, needed)?;
    let (fine, pieces) = (decode(fine).0, decode(pieces).0);
    // Without rows there is nothing to unite.
    let seconds = unite(&fine).map(|fine| known_finer(&fine, resolution));
    let seconds = seconds.unwrap_or_default();
    let coarse = unite(&pieces).ok();
    let slots = coarse.as_ref().map(known_slots).unwrap_or_default();
    let bits = |known: &SubSlots, at: u64| known.get(&at).copied().unwrap_or(0);
    let is_new = |at, coverage: u64| coverage & !(bits(&seconds, at) | bits(&slots, at)) != 0;
    let rest = keep_slots(&segment, |at, coverage| is_new(at, coverage.0));
    let is_cut = rest.coverage != segment.coverage;
    let left = match is_cut {
        false => post,
        true => match repost(&post, rest) {
            Some(left) => left,
            None => return Ok(None),
        },
    };
    // Cannot fail: these segments are of one source and span.
    Ok(Some(counted(&left, pieces, &fine).unwrap_or(left)))
}

/// Reserves memory to decode `bytes`, beside `used` bytes that the caller holds: at most half of the pool,
/// so that a caller with less than half fits beside it.
///
/// # Errors
/// When it can never fit beside the caller's, or is not free now.
fn reserve(memory: &Pool, used: usize, bytes: usize) -> Result<Reservation, MemoryError> {
    let limit = memory.size();
    let decoded = bytes.saturating_mul(DECODING_PER_BYTE).min(limit / 2);
    if used.saturating_add(decoded) > limit {
        // Fewer posts at a time need less.
        return Err(MemoryError::TooLarge { limit });
    }
    memory.try_reserve(decoded)
}

/// The post with the sums that it adds beside coarse `pieces` and `fine` ones that are stored: those of
/// its slots as packing will make them, less those without the post. It is united with the stored piece
/// that has its key, if there is one.
fn counted(post: &Post, mut pieces: Vec<Piece>, fine: &[Piece]) -> Option<Post> {
    let key = &post.key;
    let own = Segment::decode(&post.bytes).ok()?;
    let has_key =
        |piece: &Piece| piece.form == Form::Posted && piece.segment.key.start == key.start;
    let half = pieces.iter().position(has_key);
    let half = half.map(|half| pieces.swap_remove(half));
    let whole = match &half {
        Some(half) => repost(post, Segment::merge([&*half.segment, &own]).ok()?)?,
        None => post.clone(),
    };
    let segment = Segment::decode(&whole.bytes).ok()?;
    let slots: BTreeSet<u64> = starts(&segment).collect();
    let sums = |pieces: &[Piece]| -> Option<Sums> {
        // Without a coarse piece, the finer ones are not rolled up yet.
        let none = keep_slots(&segment, |_, _| false);
        let none = Piece {
            form: Form::Posted,
            segment: none.into(),
        };
        let pieces: Vec<Piece> = pieces.iter().cloned().chain([none]).collect();
        let slots = complete_slots(&pieces, fine, &slots).ok()?;
        let sums = slots.iter().map(|slot| activity(slot).sums());
        Some(sums.fold(Sums::default(), Sums::plus))
    };
    let without = sums(&pieces)?;
    let former = match &half {
        None => without,
        Some(half) => {
            pieces.push(half.clone());
            let former = sums(&pieces)?;
            pieces.pop();
            former
        }
    };
    pieces.push(Piece {
        form: Form::Posted,
        segment: segment.clone().into(),
    });
    let change = Change::between(without, sums(&pieces)?);
    Some(Post {
        activity: whole.activity.clone().with_sums(change.added),
        // With it, rows may have less: it may have more seconds than a part that it takes the place of.
        withdrawn: change.withdrawn,
        replaces: half.map(|_| Change::between(without, former)),
        ..whole
    })
}

/// The coverage of coarse rows.
fn known_slots(coarse: &Segment) -> SubSlots {
    let length = coarse.key.resolution.seconds();
    let starts = (coarse.key.start..).step_by(length as usize);
    let slots = starts.zip(&coarse.coverage);
    slots.map(|(start, coverage)| (start, coverage.0)).collect()
}

/// The coverage that slots of `resolution` have by their finer rows.
fn known_finer(fine: &Segment, resolution: Resolution) -> SubSlots {
    let mut known = SubSlots::new();
    let starts = (fine.key.start..).step_by(fine.key.resolution.seconds() as usize);
    for (at, coverage) in starts.zip(&fine.coverage) {
        if !coverage.is_gap() {
            let start = at - at % resolution.seconds();
            *known.entry(start).or_default() |= slot_bit(fine.key.resolution, at);
        }
    }
    known
}

#[cfg(test)]
mod tests {
    use super::reserve;
    use crate::memory::{Memory, MemoryError};

    #[test]
    fn what_never_fits_beside_its_caller_is_too_large() {
        let pool = Memory::new(64 << 20).posts;
        let (limit, half) = (pool.size(), pool.size() / 2);
        let used = pool.try_reserve(half).expect("free");
        assert!(reserve(&pool, half, limit).is_ok(), "half is enough");
        let others = pool.try_reserve(1 << 10).expect("free");
        let busy = reserve(&pool, half, limit);
        assert_eq!(busy.err(), Some(MemoryError::Busy));
        drop((used, others));
        let never = reserve(&pool, half + 1, limit);
        assert_eq!(never.err(), Some(MemoryError::TooLarge { limit }));
    }
}
