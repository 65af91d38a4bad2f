//! Storing posts.
//!
//! There are three steps, each acknowledged before the next:
//!
//! 1. Read which slots of the spans are stored.
//! 2. Write the pieces.
//! 3. Mark the spans, and write what the pieces add to the container's sums.
//!
//! Each step can be repeated, so a post that is repeated after a failure completes the rest.
//!
//! The first step is skipped in the most common case: a second that follows the last one of its
//! source that this process stored, within the time that an agent waits for an answer. A source repeats
//! what was not acknowledged before it continues, so nobody has stored that second yet. If another server
//! has just done so, it is overwritten with the same bytes. Any other second may be late: a source that got
//! no answer may have merged it with other seconds, or into a minute. Then the slots of all pieces are read,
//! and the minutes that contain them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use bubble_common::segment::{Key, Resolution, SourceId};
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt};

use super::cluster::Cassandra;
use super::life_row::{self, LifeRow};
use super::listing::{self, DAY};
use super::mark::{self, Span};
use super::session::{Bound, Cql};
use super::{piece, read, recording};
use crate::clock;
use crate::span::row::Form;
use crate::span::unite::slot_bit;
use crate::store::error::StoreError;
use crate::store::packing::Mark;
use crate::store::segments::{Outcome, Post};

/// Spans of one batch that are processed at the same time.
const CONCURRENCY: usize = 64;

/// Stores posts, each at most once.
pub(super) async fn put(store: &Cassandra, posts: Vec<Post>) -> Result<Vec<Outcome>, StoreError> {
    recording::record(&store.cql, &posts).await?;
    let mut outcomes = vec![Outcome::Known; posts.len()];
    let mut spans: BTreeMap<Span, Vec<(usize, Post)>> = BTreeMap::new();
    let mut keys = HashSet::new();
    for (index, post) in posts.into_iter().enumerate() {
        // Of two posts with one key in a batch, the first counts.
        if post.slots == 0 || keys.insert(post.key.clone()) {
            let of_span = spans.entry(span_of(&post.key)).or_default();
            of_span.push((index, post));
        }
    }
    let work = spans.into_iter().map(async |(span, posts)| {
        let (indices, posts): (Vec<usize>, Vec<Post>) = posts.into_iter().unzip();
        let stored = put_pieces(store, span, posts).await?;
        Ok::<_, StoreError>((indices, stored))
    });
    let work = futures_util::stream::iter(work).buffer_unordered(CONCURRENCY);
    let stored: Vec<(Vec<usize>, Stored)> = work.try_collect().await?;
    for (indices, of_span) in &stored {
        for (index, outcome) in indices.iter().zip(&of_span.outcomes) {
            outcomes[*index] = *outcome;
        }
    }
    // The number is drawn after all pieces are stored, so one mark is enough.
    let (mark, now) = (store.writer.mark(), clock::now());
    let dirty = stored.iter().filter(|(_, of_span)| of_span.dirty);
    let dirty: Vec<Span> = dirty.map(|(_, of_span)| of_span.span.clone()).collect();
    let listed = mark::list_all(&store.cql, &dirty, mark, now);
    let counted = futures_util::stream::iter(stored)
        .map(|(_, of_span)| mark_and_count(store, of_span, mark, now))
        .buffer_unordered(CONCURRENCY)
        .try_collect::<()>();
    futures_util::try_join!(listed, counted)?;
    Ok(outcomes)
}

fn span_of(key: &Key) -> Span {
    Span {
        container: key.container.clone(),
        resolution: key.resolution,
        start: key.resolution.packed_start(key.start),
    }
}

/// Posts of one span, after their pieces were stored.
struct Stored {
    span: Span,
    posts: Vec<Post>,
    outcomes: Vec<Outcome>,
    /// Statements that write what the pieces add to the container's sums.
    contributions: Vec<Bound>,
    /// Whether the span has new pieces.
    dirty: bool,
}

/// Stores the pieces of one span.
async fn put_pieces(store: &Cassandra, span: Span, posts: Vec<Post>) -> Result<Stored, StoreError> {
    let cql = &store.cql;
    let has_slots = posts.iter().any(|post| post.slots != 0);
    let repeated = posts.iter().any(|post| post.repeated);
    let are_consecutive = || store.written.are_consecutive(&posts, Instant::now());
    let mut stored = match has_slots && (repeated || !are_consecutive()) {
        true => StoredSpan::read(cql, &span, &posts).await?,
        false => StoredSpan::default(),
    };
    let has_pieces = |post: &Post| stored.pieces.contains_key(&post.key.source);
    if posts
        .iter()
        .any(|post| may_overlap(post) && has_pieces(post))
    {
        stored.read_slots(cql, &span).await?;
    }
    let mut outcomes = Vec::with_capacity(posts.len());
    let mut writes = Vec::new();
    let mut contributions: Vec<Bound> = Vec::new();
    let mut dirty = false;
    for post in &posts {
        let Key { source, start, .. } = post.key;
        if post.slots == 0 {
            outcomes.push(Outcome::Stored);
        } else if stored.contains(post) {
            outcomes.push(Outcome::Known);
            continue;
        } else if let Some((outcome, is_same)) = stored.overlap(post) {
            // Also now: the server that stored it may have died before these steps.
            dirty = true;
            if is_same {
                contributions.push(LifeRow::of_post(post).insert(&span.container));
            }
            outcomes.push(outcome);
            continue;
        } else {
            let piece = slot_bit(span.resolution, start);
            let pieces = stored.pieces.entry(source).or_default();
            let is_new = *pieces & piece == 0 || post.replaces.is_some();
            outcomes.push(match is_new {
                true => Outcome::Stored,
                false => Outcome::Known,
            });
            if is_new {
                writes.push(piece::write(
                    cql,
                    &span,
                    &post.key,
                    Form::Posted,
                    &post.bytes,
                ));
            }
            *pieces |= piece;
            *stored.slots.entry(source).or_default() |= post.slots;
            // Also for a known piece: the server that stored it may have died before this step.
            contributions.push(LifeRow::of_post(post).insert(&span.container));
            dirty = true;
        }
        contributions.extend(store.written.new_facts(post));
    }
    try_join_all(writes).await?;
    Ok(Stored {
        span,
        posts,
        outcomes,
        contributions,
        dirty,
    })
}

/// Whether a post is looked for within other pieces. An unmarked one may arrive after its repetition.
fn may_overlap(post: &Post) -> bool {
    let is_second = post.key.resolution == Resolution::Second && post.slots != 0;
    is_second && (post.repeated || post.recording.is_none())
}

/// Marks the span of stored pieces, and writes what they add to the container's sums.
async fn mark_and_count(
    store: &Cassandra,
    of_span: Stored,
    mark: Mark,
    now: u64,
) -> Result<(), StoreError> {
    let Stored {
        span,
        posts,
        outcomes,
        mut contributions,
        dirty,
    } = of_span;
    // Of a post that overlaps nothing is written.
    let posts = posts.into_iter().zip(outcomes);
    let posts = posts.filter(|(_, outcome)| !matches!(outcome, Outcome::Overlaps(_)));
    let posts: Vec<Post> = posts.map(|(post, _)| post).collect();
    let cql = &store.cql;
    let recorded = posts.iter().any(|post| post.recording.is_some());
    let listed = async {
        for post in &posts {
            let day = post.activity.last.saturating_sub(1) / DAY;
            if recorded || store.written.is_new_day(&span.container, day) {
                listing::add(cql, &span.container, day).await?;
            }
        }
        Ok(())
    };
    if dirty {
        contributions.push(span.set(mark, now));
    }
    futures_util::try_join!(listed, cql.write_in_parts(life_row::DOING, contributions))?;
    store.written.insert(&posts);
    Ok(())
}

/// Slots of a span that are stored, as bits, by source.
#[derive(Debug, Clone, Default)]
struct StoredSpan {
    /// Starts of posted pieces.
    pieces: HashMap<SourceId, u64>,
    /// Slots of packed rows.
    packed: HashMap<SourceId, u64>,
    /// Slots that rows of minutes contain.
    minutes: HashMap<SourceId, u64>,
    /// Slots of posted pieces, read for posts that may overlap them.
    slots: HashMap<SourceId, u64>,
    /// Keys and slots of these pieces.
    posted: HashSet<(SourceId, u64, u64)>,
}

impl StoredSpan {
    async fn read(cql: &Cql, span: &Span, posts: &[Post]) -> Result<Self, StoreError> {
        let packed = read::packed_slots(cql, &span.container, span.resolution, span.start);
        let late = posts.iter().filter(|post| may_overlap(post));
        let late: HashSet<SourceId> = late.map(|post| post.key.source).collect();
        let minutes = async {
            match late.is_empty() {
                true => Ok(HashMap::new()),
                // The span of seconds is a minute.
                false => read::minute_slots(cql, &span.container, span.start, &late).await,
            }
        };
        let (pieces, packed, minutes) =
            futures_util::try_join!(piece::posted(cql, span), packed, minutes)?;
        Ok(Self {
            pieces,
            packed: packed.into_iter().collect(),
            minutes,
            ..Self::default()
        })
    }

    /// Reads the slots of all pieces.
    async fn read_slots(&mut self, cql: &Cql, span: &Span) -> Result<(), StoreError> {
        for (key, slots) in piece::posted_slots(cql, span.clone()).await? {
            *self.slots.entry(key.source).or_default() |= slots;
            self.posted.insert((key.source, key.start, slots));
        }
        Ok(())
    }

    /// The outcome of a post if some of it is stored, and whether that is one piece with its
    /// key and slots.
    fn overlap(&self, post: &Post) -> Option<(Outcome, bool)> {
        if !may_overlap(post) {
            return None;
        }
        let source = &post.key.source;
        let of = |slots: &HashMap<SourceId, u64>| slots.get(source).copied().unwrap_or(0);
        let stored = of(&self.slots) | of(&self.packed) | of(&self.minutes);
        if stored & post.slots == 0 {
            return None;
        }
        Some(match post.slots & !stored {
            0 => {
                let piece = (*source, post.key.start, post.slots);
                (Outcome::Known, self.posted.contains(&piece))
            }
            _ => (Outcome::Overlaps(stored), false),
        })
    }

    /// Whether the packed row contains all of a post. A second is whole or absent, so its bit is
    /// enough. A coarser slot may be partly new, which only packing can tell.
    fn contains(&self, post: &Post) -> bool {
        let packed = self.packed.get(&post.key.source).unwrap_or(&0);
        post.key.resolution == Resolution::Second && packed & post.slots == post.slots
    }
}
