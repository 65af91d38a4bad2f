//! Turns of sources. What a coarse post adds to the sums depends on what is stored of its source
//! (`coarse.rs`), so nothing else of that source is stored between the look at it and the write.
//!
//! This holds for the posts of one server. Servers that share a store do not wait for each other.

use std::collections::BTreeMap;

use bubble_common::segment::{Resolution, SourceId};
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::store::segments::Post;

/// Sources share so many locks.
const SHARDS: usize = 64;

/// A lock for each shard of sources.
pub(super) struct Turns([RwLock<()>; SHARDS]);

/// The right to store posts of a shard of sources, until it is dropped.
#[expect(dead_code, reason = "it is only held")]
pub(super) enum Turn<'a> {
    /// Beside other posts of seconds.
    Shared(RwLockReadGuard<'a, ()>),
    /// Beside no other post.
    Alone(RwLockWriteGuard<'a, ()>),
}

impl Default for Turns {
    fn default() -> Self {
        Self(std::array::from_fn(|_| RwLock::default()))
    }
}

impl Turns {
    /// Waits until `posts` may be stored: coarse ones alone, and seconds beside other seconds.
    pub(super) async fn take(&self, posts: &[Post]) -> Vec<Turn<'_>> {
        let mut shards: BTreeMap<usize, bool> = BTreeMap::new();
        for post in posts.iter().filter(|post| post.slots != 0) {
            let alone = shards.entry(shard(post.key.source)).or_default();
            *alone |= post.key.resolution != Resolution::Second;
        }
        let mut turns = Vec::with_capacity(shards.len());
        // In one order, so that no two wait for each other.
        for (shard, alone) in shards {
            let lock = &self.0[shard];
            turns.push(match alone {
                true => Turn::Alone(lock.write().await),
                false => Turn::Shared(lock.read().await),
            });
        }
        turns
    }
}

/// The shard of a source, whose id is random.
fn shard(source: SourceId) -> usize {
    usize::from(source.0[0]) % SHARDS
}

#[cfg(test)]
mod tests {
    use bubble_common::segment::{ContainerId, Key, Resolution, SourceId};
    use futures_util::FutureExt as _;

    use super::Turns;
    use crate::span::activity::{Activity, Sums};
    use crate::store::segments::Post;

    fn post(source: u8, resolution: Resolution) -> Post {
        Post {
            key: Key {
                container: ContainerId::new("a").expect("an id"),
                resolution,
                start: 600,
                source: SourceId([source; 16]),
            },
            slots: 1,
            bytes: Vec::new(),
            activity: Activity::default(),
            recording: None,
            repeated: false,
            replaces: None,
            withdrawn: Sums::default(),
        }
    }

    #[test]
    fn a_coarse_post_is_stored_beside_no_other_of_its_source() {
        let turns = Turns::default();
        let take = |source, resolution| {
            let posts = [post(source, resolution)];
            turns.take(&posts).now_or_never()
        };
        let second = take(1, Resolution::Second).expect("free");
        let another = take(1, Resolution::Second).expect("beside it");
        assert!(take(1, Resolution::Minute).is_none());
        drop((second, another));
        let minute = take(1, Resolution::Minute).expect("free");
        assert!(take(1, Resolution::Second).is_none());
        assert!(take(1, Resolution::Minute).is_none());
        assert!(take(2, Resolution::Second).is_some(), "another source");
        drop(minute);
        assert!(take(1, Resolution::Second).is_some());
    }
}
