//! Posts whose seconds the store may have in coarser rows alone: so late that the rows of their seconds
//! have expired, or repeated, after an agent with a full spool has posted the minute as well.
//!
//! The store recognises a repeated second by its row. After that row has expired, the coverage of
//! the coarser slot still tells whether it contains the second (or its minute, or its hour). Such
//! a second must not be added to the container's sums again.

use std::time::Duration;

use bubble_common::segment::{Key, Resolution, Segment};

use crate::span::row::Row;
use crate::span::seal::Damage;
use crate::span::unite::finer;
use crate::store::error::StoreError;
use crate::store::segments::{Post, Segments};

/// Nothing younger than this expires, whatever the settings.
const MIN_RETENTION: Duration = Duration::from_secs(300);

/// For each of `posts`, the slots of its packed span that coarser rows contain while its own row may be
/// absent, as bits: it has expired, or the minute was posted.
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
        second && (is_old(post) || post.repeated)
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
            // Repeated: an agent whose spool was full may have posted the minute as well.
            Some((Resolution::Second, _)) if is_late(post) && post.repeated => {
                known(store, post, Resolution::Minute).await?
            }
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
        // The store itself knows seconds.
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
    let bits = |row: &Row| -> Result<u64, Damage> {
        let head = Segment::decode_head(row.segment()?)?;
        let at = start.checked_sub(head.key.start);
        let coverage = at.and_then(|at| head.coverage.get((at / resolution.seconds()) as usize));
        Ok(coverage.map_or(0, |coverage| coverage.0))
    };
    let own = rows.iter().filter(|row| row.key.source == key.source);
    // A damaged row is reported when it is packed or read.
    Ok(own.fold(0, |all, row| all | bits(row).unwrap_or(0)))
}
