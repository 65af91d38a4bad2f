//! Storing posts.
//!
//! In three steps, each acknowledged before the next: what is known of the spans is
//! read, the pieces are written, then the spans are marked and what the pieces are
//! worth is noted. A post that is repeated after a failure anywhere does the rest
//! of it; each step can be done twice.
//!
//! The first step is left out of what is most common: a second that follows the last one of its
//! source that this process stored. A source repeats what was not acknowledged before it goes on, so
//! nobody has stored that second yet; had another server done so all the same, it would be written
//! again as it was.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use bubble_common::segment::{ContainerId, Facts, Key, Resolution, SourceId};
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt};
use scylla::value::CqlValue;

use super::index::DAY;
use super::life::{self, Entry, slot_bit};
use super::mark::{self, Span};
use super::session::{Bound, Cql};
use super::value::{big, blob, resolution_number, shard, source_of, text, tiny};
use super::{Cassandra, read, recording};
use crate::clock;
use crate::store::column::{form_number, number, unsigned};
use crate::store::error::StoreError;
use crate::store::row::{Form, Mark, Outcome, Post};

/// Spans that are worked on at the same time, of one batch.
const PARALLEL: usize = 64;
/// What is remembered at most, before all of it is forgotten.
const MOST: usize = 100_000;

/// What this process wrote of containers that are live, and need not write again.
#[derive(Default)]
pub(super) struct Told {
    /// The day on which a container was last listed.
    listed: Mutex<HashMap<ContainerId, u64>>,
    /// The latest facts of a source.
    facts: Mutex<HashMap<(ContainerId, SourceId), Facts>>,
    /// Where the latest stored second of a source ends.
    ends: Mutex<HashMap<(ContainerId, SourceId), u64>>,
}

/// Stores posts, each at most once.
pub(super) async fn put(store: &Cassandra, posts: Vec<Post>) -> Result<Vec<Outcome>, StoreError> {
    recording::note(&store.cql, &posts).await?;
    let mut outcomes = vec![Outcome::Known; posts.len()];
    let mut spans: BTreeMap<Span, Vec<(usize, Post)>> = BTreeMap::new();
    let mut keys = HashSet::new();
    for (index, post) in posts.into_iter().enumerate() {
        // Of two of one key in one batch the first counts.
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
    let work = futures_util::stream::iter(work).buffer_unordered(PARALLEL);
    let stored: Vec<(Vec<usize>, Stored)> = work.try_collect().await?;
    for (indices, of_span) in &stored {
        for (index, outcome) in indices.iter().zip(&of_span.outcomes) {
            outcomes[*index] = *outcome;
        }
    }
    // The number is drawn after all pieces are there, so that one is enough.
    let (mark, now) = (store.writer.mark(), clock::now());
    let dirty = stored.iter().filter(|(_, of_span)| of_span.dirty);
    let dirty: Vec<Span> = dirty.map(|(_, of_span)| of_span.span.clone()).collect();
    let listed = mark::list_all(&store.cql, &dirty, mark, now);
    let noted = futures_util::stream::iter(stored)
        .map(|(_, of_span)| note(store, of_span, mark, now))
        .buffer_unordered(PARALLEL)
        .try_collect::<()>();
    futures_util::try_join!(listed, noted)?;
    Ok(outcomes)
}

fn span_of(key: &Key) -> Span {
    Span {
        container: key.container.clone(),
        resolution: key.resolution,
        start: key.resolution.packed_start(key.start),
    }
}

/// Posts of one span, whose pieces are stored.
struct Stored {
    span: Span,
    posts: Vec<Post>,
    outcomes: Vec<Outcome>,
    /// Statements that note what the pieces are worth.
    worth: Vec<Bound>,
    /// Whether the span is to be packed.
    dirty: bool,
}

/// Stores the pieces of posts of one span.
async fn put_pieces(store: &Cassandra, span: Span, posts: Vec<Post>) -> Result<Stored, StoreError> {
    let cql = &store.cql;
    let has_slots = posts.iter().any(|post| post.slots != 0);
    let mut known = match has_slots && !store.told.go_on_with(&posts) {
        true => Known::read(cql, &span).await?,
        false => Known::default(),
    };
    let mut outcomes = Vec::with_capacity(posts.len());
    let mut writes = Vec::new();
    let mut worth: Vec<Bound> = Vec::new();
    let mut dirty = false;
    for post in &posts {
        let Key { source, start, .. } = post.key;
        if post.slots == 0 {
            outcomes.push(Outcome::Stored);
        } else if known.packs_all(post) {
            outcomes.push(Outcome::Known);
            continue;
        } else {
            let piece = slot_bit(span.resolution, start);
            let pieces = known.pieces.entry(source).or_default();
            outcomes.push(match *pieces & piece {
                0 => Outcome::Stored,
                _ => Outcome::Known,
            });
            if *pieces & piece == 0 {
                writes.push(put_piece(cql, &span, &post.key, Form::Posted, &post.bytes));
            }
            *pieces |= piece;
            // Whoever stored a known piece may have died before this.
            worth.push(Entry::of_post(post).insert(&span.container));
            dirty = true;
        }
        worth.extend(store.told.new_facts(post));
    }
    try_join_all(writes).await?;
    Ok(Stored {
        span,
        posts,
        outcomes,
        worth,
        dirty,
    })
}

/// Marks the span of what is stored, and notes what that is worth.
async fn note(store: &Cassandra, of_span: Stored, mark: Mark, now: u64) -> Result<(), StoreError> {
    let Stored {
        span,
        posts,
        mut worth,
        dirty,
        ..
    } = of_span;
    let cql = &store.cql;
    let recorded = posts.iter().any(|post| post.recording.is_some());
    let listed = async {
        for post in &posts {
            let day = post.activity.last.saturating_sub(1) / DAY;
            if recorded || store.told.is_new_day(&span.container, day) {
                list(cql, &span.container, day).await?;
            }
        }
        Ok(())
    };
    if dirty {
        worth.push(span.set(mark, now));
    }
    futures_util::try_join!(listed, cql.write_in_parts(life::WORTH, worth))?;
    store.told.remember(&posts);
    Ok(())
}

/// What is stored of a span, as bits of its slots, by source.
#[derive(Debug, Clone, Default)]
struct Known {
    /// Starts of pieces as they were posted.
    pieces: HashMap<SourceId, u64>,
    /// Slots of packed rows.
    packed: HashMap<SourceId, u64>,
}

impl Known {
    async fn read(cql: &Cql, span: &Span) -> Result<Self, StoreError> {
        let packed = read::packed_slots(cql, &span.container, span.resolution, span.start);
        let (pieces, packed) = futures_util::try_join!(known_pieces(cql, span), packed)?;
        Ok(Self {
            pieces,
            packed: packed.into_iter().collect(),
        })
    }

    /// Whether all of a post is in the packed row. A second is whole or not there, so that its bit
    /// tells. Of a coarser slot only packing can tell what is new in it.
    fn packs_all(&self, post: &Post) -> bool {
        let packed = self.packed.get(&post.key.source).unwrap_or(&0);
        post.key.resolution == Resolution::Second && packed & post.slots == post.slots
    }
}

/// Where the posted pieces of a span start, by source.
async fn known_pieces(cql: &Cql, span: &Span) -> Result<HashMap<SourceId, u64>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, i8)> = cql
        .rows(
            "look for pieces",
            "SELECT start, source, form FROM piece
             WHERE container = ? AND resolution = ? AND span = ?",
            (
                span.container.as_str(),
                resolution_number(span.resolution),
                number(span.start),
            ),
        )
        .await?;
    let mut known: HashMap<SourceId, u64> = HashMap::new();
    for (start, source, form) in rows {
        if form == form_number(Form::Posted) {
            let start = slot_bit(span.resolution, unsigned(start));
            *known.entry(source_of(&source)?).or_default() |= start;
        }
    }
    Ok(known)
}

/// Writes a piece, in the place of one of the same key and form.
pub(super) async fn put_piece(
    cql: &Cql,
    span: &Span,
    key: &Key,
    form: Form,
    bytes: &[u8],
) -> Result<(), StoreError> {
    cql.write(
        "store a segment",
        "INSERT INTO piece (container, resolution, span, start, source, form, bytes)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            span.container.as_str(),
            resolution_number(span.resolution),
            number(span.start),
            number(key.start),
            &key.source.0[..],
            form_number(form),
            bytes,
        ),
    )
    .await
}

/// Deletes pieces of a span, by their keys: one statement for those of a source and form.
pub(super) async fn delete_pieces(
    cql: &Cql,
    span: &Span,
    pieces: impl Iterator<Item = (&Key, Form)>,
) -> Result<(), StoreError> {
    let mut starts: BTreeMap<(SourceId, Form), Vec<CqlValue>> = BTreeMap::new();
    for (key, form) in pieces {
        let of_source = starts.entry((key.source, form)).or_default();
        of_source.push(CqlValue::BigInt(number(key.start)));
    }
    let delete = |((source, form), starts): ((SourceId, Form), Vec<CqlValue>)| {
        (
            "DELETE FROM piece WHERE container = ? AND resolution = ? AND span = ?
             AND start IN ? AND source = ? AND form = ?",
            vec![
                text(span.container.as_str()),
                tiny(resolution_number(span.resolution)),
                big(span.start),
                Some(CqlValue::List(starts)),
                blob(&source.0),
                tiny(form_number(form)),
            ],
        )
    };
    cql.write_in_parts("delete a piece", starts.into_iter().map(delete).collect())
        .await
}

/// Lists a container as one that there is, and that was active on a day.
pub(super) async fn list(cql: &Cql, container: &ContainerId, day: u64) -> Result<(), StoreError> {
    let doing = "list a container";
    let known = cql.write(
        doing,
        "INSERT INTO container (shard, container) VALUES (?, ?)",
        (shard(container), container.as_str()),
    );
    let active = cql.write(
        doing,
        "INSERT INTO active (day, shard, container) VALUES (?, ?, ?)",
        (number(day), shard(container), container.as_str()),
    );
    futures_util::try_join!(known, active).map(drop)
}

/// Where the last slot of a post ends.
fn end_of(post: &Post) -> u64 {
    let slots = u64::from(u64::BITS - post.slots.leading_zeros());
    post.key.resolution.packed_start(post.key.start) + slots * post.key.resolution.seconds()
}

impl Told {
    /// Statement that writes the facts of a post, unless this process just did.
    fn new_facts(&self, post: &Post) -> Option<Bound> {
        let facts = &post.activity.facts;
        let source = post.key.source;
        if facts.is_empty() && post.slots != 0 {
            return None;
        }
        let container = &post.key.container;
        if post.recording.is_none() {
            let told = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
            if told.get(&(container.clone(), source)) == Some(facts) {
                return None;
            }
        }
        let json = serde_json::to_string(facts).unwrap_or_default();
        let (at, recorded) = (post.activity.last, post.recording.is_some());
        Some(life::say(container, source, at, recorded, &json))
    }

    /// Whether these are seconds, each of which follows the one before it of its source.
    fn go_on_with(&self, posts: &[Post]) -> bool {
        let told = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ends: HashMap<SourceId, u64> = HashMap::new();
        posts.iter().filter(|post| post.slots != 0).all(|post| {
            let Key { source, start, .. } = post.key;
            let before = ends.insert(source, end_of(post));
            let before =
                before.or_else(|| told.get(&(post.key.container.clone(), source)).copied());
            let live_second = post.recording.is_none() && post.key.resolution == Resolution::Second;
            live_second && before == Some(start)
        })
    }

    fn is_new_day(&self, container: &ContainerId, day: u64) -> bool {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.get(container) != Some(&day)
    }

    /// Remembers what was written of live posts. Recordings may be deleted by another server.
    fn remember(&self, posts: &[Post]) {
        let live = posts.iter().filter(|post| post.recording.is_none());
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        let mut ends = self.ends.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.len() > MOST || facts.len() > MOST || ends.len() > MOST {
            listed.clear();
            facts.clear();
            ends.clear();
        }
        for post in live {
            let id = &post.key.container;
            listed.insert(id.clone(), post.activity.last.saturating_sub(1) / DAY);
            let source = (id.clone(), post.key.source);
            if post.key.resolution == Resolution::Second && post.slots != 0 {
                // What comes again was stored up to there.
                let end = ends.entry(source.clone()).or_default();
                *end = end_of(post).max(*end);
            }
            if facts.get(&source) != Some(&post.activity.facts) {
                facts.insert(source, post.activity.facts.clone());
            }
        }
    }
}
