//! Posts that are so late that the rows of their seconds have expired.
//!
//! The store recognises a repeated second by its row, or by the minute that contains it. After these
//! rows have expired, the coverage of the coarser slot still tells whether it contains the second (or its
//! minute, or its hour). Such a second must not be added to the container's sums again.

use std::time::Duration;

use bubble_common::segment::{Key, Resolution};

use crate::span::unite::{finer, sub_slots_of};
use crate::store::error::StoreError;
use crate::store::segments::{Post, Segments};

/// Nothing younger than this expires, whatever the settings.
const MIN_RETENTION: Duration = Duration::from_secs(300);

/// For each of `posts`, the slots of its packed span that coarser rows contain while its own row may have
/// expired, as bits.
pub(super) async fn known_slots(
    store: &dyn Segments,
    posts: &[Post],
    now: u64,
) -> Result<Vec<u64>, StoreError> {
    let is_old =
        |post: &Post| post.recording.is_none() && post.key.start + MIN_RETENTION.as_secs() < now;
    let is_late = |post: &Post| {
        // A coarser slot may be partly new, which only packing can tell.
        let second = post.key.resolution == Resolution::Second && post.slots != 0;
        second && is_old(post)
    };
    if !posts.iter().any(is_late) {
        return Ok(vec![0; posts.len()]);
    }
    let mut expired = Vec::new();
    for resolution in Resolution::ALL {
        expired.push((resolution, store.expired_before(resolution).await?));
    }
    let mut all = Vec::with_capacity(posts.len());
    for post in posts {
        let mut left = expired
            .iter()
            .filter(|(_, before)| post.key.start >= *before);
        all.push(match left.next() {
            Some((resolution, _)) if is_late(post) => known(store, post, *resolution).await?,
            _ => 0,
        });
    }
    Ok(all)
}

/// The slots of `post` that the rows of the resolution `left` contain. It is the finest that has not
/// expired.
async fn known(store: &dyn Segments, post: &Post, left: Resolution) -> Result<u64, StoreError> {
    let key = &post.key;
    let start = key.start - key.start % left.seconds();
    let sub_slots = match finer(left) {
        // The store itself knows seconds, and minutes that contain them.
        None => return Ok(0),
        // A post lies within one minute, and its slots are seconds of it.
        Some(Resolution::Second) => post.slots,
        Some(finer) => 1 << ((key.start - start) / finer.seconds()),
    };
    let covered = covered(store, key, left, start).await?;
    Ok(match finer(left) {
        Some(Resolution::Second) => covered & post.slots,
        _ if covered & sub_slots == sub_slots => post.slots,
        _ => 0,
    })
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
    let own = rows.iter().filter(|row| row.key.source == key.source);
    Ok(own.fold(0, |all, row| all | sub_slots_of(row, start)))
}
