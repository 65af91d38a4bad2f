//! Posts so late that the rows of their seconds have expired.
//!
//! The store recognises a repeated second by its row. After that row has expired, the coverage of
//! the coarser slot still tells whether it contains the second (or its minute, or its hour). Such
//! a second must not be added to the container's sums again.

use std::time::Duration;

use bubble_common::segment::codec::DecodeError;
use bubble_common::segment::{Key, Resolution, Segment};

use crate::span::unite::finer;
use crate::store::error::StoreError;
use crate::store::segments::{Post, Segments};

/// Nothing younger than this expires, whatever the settings.
const MIN_RETENTION: Duration = Duration::from_secs(300);

/// For each of `posts`, whether coarser rows contain all of it and its own row has expired.
pub(super) async fn are_known(
    store: &dyn Segments,
    posts: &[Post],
    now: u64,
) -> Result<Vec<bool>, StoreError> {
    let is_late = |post: &Post| {
        // A coarser slot may be partly new, which only packing can tell.
        let second = post.key.resolution == Resolution::Second && post.slots != 0;
        second && post.recording.is_none() && post.key.start + MIN_RETENTION.as_secs() < now
    };
    if !posts.iter().any(is_late) {
        return Ok(vec![false; posts.len()]);
    }
    let mut expired = Vec::new();
    for resolution in Resolution::ALL {
        expired.push((resolution, store.expired_before(resolution).await?));
    }
    let mut known = Vec::with_capacity(posts.len());
    for post in posts {
        let mut left = expired
            .iter()
            .filter(|(_, before)| post.key.start >= *before);
        known.push(match left.next() {
            Some((resolution, _)) if is_late(post) => is_known(store, post, *resolution).await?,
            _ => false,
        });
    }
    Ok(known)
}

/// Whether the rows of the resolution `left` contain all of `post`. It is the finest that has not
/// expired.
async fn is_known(store: &dyn Segments, post: &Post, left: Resolution) -> Result<bool, StoreError> {
    let key = &post.key;
    let start = key.start - key.start % left.seconds();
    let sub_slots = match finer(left) {
        // The store itself knows seconds.
        None => return Ok(false),
        // A post lies within one minute, and its slots are seconds of it.
        Some(Resolution::Second) => post.slots,
        Some(finer) => 1 << ((key.start - start) / finer.seconds()),
    };
    let covered = covered(store, key, left, start).await?;
    Ok(covered & sub_slots == sub_slots)
}

/// Sub-slots of the slot at `start` that rows of the source of `key` contain.
async fn covered(
    store: &dyn Segments,
    key: &Key,
    resolution: Resolution,
    start: u64,
) -> Result<u64, StoreError> {
    let slot = start..start + resolution.seconds();
    let rows = store.range(&key.container, resolution, slot).await?;
    let bits = |bytes: &[u8]| -> Result<u64, DecodeError> {
        let head = Segment::decode_head(bytes)?;
        let at = start.checked_sub(head.key.start);
        let coverage = at.and_then(|at| head.coverage.get((at / resolution.seconds()) as usize));
        Ok(coverage.map_or(0, |coverage| coverage.0))
    };
    let own = rows.iter().filter(|row| row.key.source == key.source);
    // A row that cannot be decoded is reported when it is packed.
    Ok(own.fold(0, |all, row| all | bits(&row.bytes).unwrap_or(0)))
}
