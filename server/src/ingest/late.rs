//! What comes so late that the row which would tell whether it is known has expired.
//!
//! The store knows a second again by its row. When that is gone, the coarser slot
//! still says by its coverage whether the second (or its minute, or its hour) is in
//! it: then it must not be added to the sums of the container's life again.

use bubble_common::segment::codec::DecodeError;
use bubble_common::segment::{Key, Resolution, Segment};

use crate::rollup::unite::finer;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::row::Post;

/// Nothing expires within so many seconds, whatever the settings.
const RECENT: u64 = 300;

/// For each of `posts` whether all that it tells is in coarser rows, and its own has expired.
pub(super) async fn known(
    store: &dyn Store,
    posts: &[Post],
    now: u64,
) -> Result<Vec<bool>, StoreError> {
    let late = |post: &Post| {
        // Of coarser slots only packing can tell what is new in them.
        let second = post.key.resolution == Resolution::Second && post.slots != 0;
        second && post.recording.is_none() && post.key.start + RECENT < now
    };
    if !posts.iter().any(late) {
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
            Some((resolution, _)) if late(post) => is_known(store, post, *resolution).await?,
            _ => false,
        });
    }
    Ok(known)
}

/// Whether all of `post`, of whose span `left` is the finest resolution that is still there, is known by that.
async fn is_known(store: &dyn Store, post: &Post, left: Resolution) -> Result<bool, StoreError> {
    let key = &post.key;
    let start = key.start - key.start % left.seconds();
    let sub_slots = match finer(left) {
        // The store itself tells.
        None => return Ok(false),
        // A post is within one minute, whose seconds are its slots.
        Some(Resolution::Second) => post.slots,
        Some(finer) => 1 << ((key.start - start) / finer.seconds()),
    };
    let covered = covered(store, key, left, start).await?;
    Ok(covered & sub_slots == sub_slots)
}

/// Which sub-slots of the slot at `start` rows of the source of `key` hold.
async fn covered(
    store: &dyn Store,
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
    // A row that can't be read is reported when it is packed.
    Ok(own.fold(0, |all, row| all | bits(&row.bytes).unwrap_or(0)))
}
