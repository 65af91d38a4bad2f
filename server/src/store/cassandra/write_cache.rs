//! A cache of recent writes of this process, which saves repeating them and reading before them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use bubble_common::segment::{ContainerId, Facts, Key, Resolution, SourceId};

use super::life_row;
use super::listing::DAY;
use super::session::Bound;
use crate::store::segments::Post;

/// Entries of each map at most. Beyond that the cache is emptied.
const MAX_ENTRIES: usize = 100_000;

/// What this process wrote of live containers. Recordings are not cached, because another server may
/// delete them.
#[derive(Default)]
pub(super) struct WriteCache {
    /// The day on which a container was last listed.
    listed: Mutex<HashMap<ContainerId, u64>>,
    /// The latest facts of a source.
    facts: Mutex<HashMap<(ContainerId, SourceId), Facts>>,
    /// End of the latest stored second of a source.
    ends: Mutex<HashMap<(ContainerId, SourceId), u64>>,
}

impl WriteCache {
    /// Statement that writes the facts of a post; `None` if they are written already.
    pub(super) fn new_facts(&self, post: &Post) -> Option<Bound> {
        let facts = &post.activity.facts;
        let source = post.key.source;
        if facts.is_empty() && post.slots != 0 {
            return None;
        }
        let container = &post.key.container;
        if post.recording.is_none() {
            let written = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
            if written.get(&(container.clone(), source)) == Some(facts) {
                return None;
            }
        }
        let json = serde_json::to_string(facts).unwrap_or_default();
        let (at, recorded) = (post.activity.last, post.recording.is_some());
        Some(life_row::insert_facts(
            container, source, at, recorded, &json,
        ))
    }

    /// Whether all of `posts` are live seconds, and each follows the last one of its source.
    pub(super) fn are_consecutive(&self, posts: &[Post]) -> bool {
        let written = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ends: HashMap<SourceId, u64> = HashMap::new();
        posts.iter().filter(|post| post.slots != 0).all(|post| {
            let Key { source, start, .. } = post.key;
            let before = ends.insert(source, end_of(post));
            let before =
                before.or_else(|| written.get(&(post.key.container.clone(), source)).copied());
            let live_second = post.recording.is_none() && post.key.resolution == Resolution::Second;
            live_second && before == Some(start)
        })
    }

    /// Whether a container is not listed yet for `day`.
    pub(super) fn is_new_day(&self, container: &ContainerId, day: u64) -> bool {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.get(container) != Some(&day)
    }

    /// Forgets a source of a container whose rows were deleted: later posts write all again.
    pub(super) fn forget(&self, container: &ContainerId, source: SourceId) {
        let key = (container.clone(), source);
        self.listed
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(container);
        self.facts
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&key);
        self.ends
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .remove(&key);
    }

    /// Adds live posts after they were written.
    pub(super) fn insert(&self, posts: &[Post]) {
        let live = posts.iter().filter(|post| post.recording.is_none());
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.len() > MAX_ENTRIES || facts.len() > MAX_ENTRIES || ends.len() > MAX_ENTRIES {
            listed.clear();
            facts.clear();
            ends.clear();
        }
        for post in live {
            let id = &post.key.container;
            listed.insert(id.clone(), post.activity.last.saturating_sub(1) / DAY);
            let source = (id.clone(), post.key.source);
            if post.key.resolution == Resolution::Second && post.slots != 0 {
                // A repeated post does not move the end back.
                let end = ends.entry(source.clone()).or_default();
                *end = end_of(post).max(*end);
            }
            if facts.get(&source) != Some(&post.activity.facts) {
                facts.insert(source, post.activity.facts.clone());
            }
        }
    }
}

/// End of the last slot of a post.
fn end_of(post: &Post) -> u64 {
    let slots = u64::from(u64::BITS - post.slots.leading_zeros());
    post.key.resolution.packed_start(post.key.start) + slots * post.key.resolution.seconds()
}
