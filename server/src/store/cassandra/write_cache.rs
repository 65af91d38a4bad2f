//! A cache of recent writes of this process, which saves repeating them and reading before them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use bubble_common::segment::{ContainerId, Facts, Key, Resolution, SourceId, facts};

use super::life_row;
use super::listing::DAY;
use super::session::Bound;
use crate::store::container::Container;
use crate::store::segments::Post;

/// Entries of each map at most. Beyond that the cache is emptied.
const MAX_ENTRIES: usize = 100_000;
/// Age beyond which the end of a source is not relied upon: an agent waits as long for an answer, and then
/// may post to another server.
const MAX_END_AGE: Duration = Duration::from_secs(20);

/// What this process wrote of live containers. Recordings are not cached, because another server may
/// delete them.
#[derive(Default)]
pub(super) struct WriteCache {
    /// The day on which a container was last listed.
    listed: Mutex<HashMap<ContainerId, u64>>,
    /// The latest facts of a source.
    facts: Mutex<HashMap<(ContainerId, SourceId), Facts>>,
    /// End of the latest stored slot of a source, and when it was stored.
    ends: Mutex<HashMap<(ContainerId, SourceId), (u64, Instant)>>,
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
            let written = written.get(&(container.clone(), source));
            if written.is_some_and(|written| is_written(facts, written)) {
                return None;
            }
        }
        let json = serde_json::to_string(facts).unwrap_or_default();
        let (at, recorded) = (post.activity.last, post.recording.is_some());
        Some(life_row::insert_facts(
            container, source, at, recorded, &json,
        ))
    }

    /// Whether all of `posts` are live seconds, and each follows the last one of its source, which was
    /// stored shortly before `now`.
    pub(super) fn are_consecutive(&self, posts: &[Post], now: Instant) -> bool {
        let written = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ends: HashMap<SourceId, u64> = HashMap::new();
        posts.iter().filter(|post| post.slots != 0).all(|post| {
            let Key { source, start, .. } = post.key;
            let before = ends.insert(source, end_of(post));
            let before = before.or_else(|| {
                let (end, stored) = written.get(&(post.key.container.clone(), source))?;
                let age = now.saturating_duration_since(*stored);
                (age < MAX_END_AGE).then_some(*end)
            });
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
        let now = Instant::now();
        for post in live {
            let id = &post.key.container;
            listed.insert(id.clone(), post.activity.last.saturating_sub(1) / DAY);
            let source = (id.clone(), post.key.source);
            if post.slots != 0 {
                // A repeated post neither moves the end back nor makes it younger.
                let end = ends.get(&source).map_or(0, |(end, _)| *end);
                if end_of(post) > end {
                    ends.insert(source.clone(), (end_of(post), now));
                }
            }
            remember(facts.entry(source).or_default(), &post.activity.facts);
        }
    }
}

fn is_address(name: &str) -> bool {
    name.starts_with(facts::ADDRESS)
}

/// Whether `written` says all that `facts` say. A segment has the addresses of its own seconds only, and
/// perhaps nothing else: what was written before holds on.
fn is_written(facts: &Facts, written: &Facts) -> bool {
    let (own, known) = (reported(facts), reported(written));
    let addresses = || written.keys().filter(|name| is_address(name));
    let are_known = addresses().count() >= Container::MAX_ADDRESSES
        || facts
            .keys()
            .all(|name| !is_address(name) || written.contains_key(name));
    are_known && (own.clone().next().is_none() || own.eq(known))
}

/// Facts without addresses.
fn reported(facts: &Facts) -> impl Iterator<Item = (&String, &String)> + Clone {
    facts.iter().filter(|(name, _)| !is_address(name))
}

/// Notes in `written` that `facts` are written too.
fn remember(written: &mut Facts, facts: &Facts) {
    if reported(facts).next().is_some() && !reported(facts).eq(reported(written)) {
        written.retain(|name, _| is_address(name));
    }
    for (name, value) in facts {
        let is_full =
            || written.keys().filter(|name| is_address(name)).count() >= Container::MAX_ADDRESSES;
        if written.get(name) == Some(value) || (is_address(name) && is_full()) {
            continue;
        }
        written.insert(name.clone(), value.clone());
    }
}

/// End of the last slot of a post.
fn end_of(post: &Post) -> u64 {
    let slots = u64::from(u64::BITS - post.slots.leading_zeros());
    post.key.resolution.packed_start(post.key.start) + slots * post.key.resolution.seconds()
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use bubble_common::segment::{ContainerId, Key, Resolution, SourceId};

    use super::{MAX_END_AGE, WriteCache};
    use crate::span::activity::{Activity, Sums};
    use crate::store::segments::Post;

    fn post(resolution: Resolution, start: u64, slots: u64) -> Post {
        Post {
            key: Key {
                container: ContainerId::new("a").expect("an id"),
                resolution,
                start,
                source: SourceId([1; 16]),
            },
            slots,
            bytes: Vec::new(),
            activity: Activity::default(),
            recording: None,
            repeated: false,
            replaces: None,
            withdrawn: Sums::default(),
        }
    }

    #[test]
    fn a_second_follows_only_what_was_stored_shortly_before() {
        let cache = WriteCache::default();
        let follows = |at: Instant| {
            let next = post(Resolution::Second, 601, 0b10);
            cache.are_consecutive(&[next], at)
        };
        assert!(!follows(Instant::now()));
        cache.insert(&[post(Resolution::Second, 600, 1)]);
        let now = Instant::now();
        assert!(follows(now));
        assert!(!follows(now + MAX_END_AGE));
        // It may be in this minute.
        cache.insert(&[post(Resolution::Minute, 600, 1 << 10)]);
        assert!(!follows(now));
    }
}
