//! Storing posts.
//!
//! In three steps, each acknowledged before the next: what is known of the span is
//! read, the pieces are written, then the span is marked and what the pieces are
//! worth is noted. A post that is repeated after a failure anywhere does the rest
//! of it; each step can be done twice.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Mutex, PoisonError};

use bubble_common::segment::{ContainerId, Facts, Key, Resolution, SourceId};
use futures_util::future::try_join_all;
use futures_util::{StreamExt, TryStreamExt};

use super::index::DAY;
use super::life::{self, Entry};
use super::mark::Span;
use super::session::{Bound, Cql};
use super::value::{resolution_number, shard, source_of};
use super::{Cassandra, recording, table};
use crate::clock;
use crate::store::column::{form_number, number, unsigned};
use crate::store::error::StoreError;
use crate::store::row::{Form, Outcome, Post};

/// Spans that are worked on at the same time, of one batch.
const PARALLEL: usize = 64;
/// Statements in one batch at most: Cassandra refuses large ones.
const TOGETHER: usize = 40;
/// What is remembered at most, before all of it is forgotten.
const MOST: usize = 100_000;

/// What this process wrote of containers that are live, and need not write again.
#[derive(Default)]
pub(super) struct Told {
    /// The day on which a container was last listed.
    listed: Mutex<HashMap<ContainerId, u64>>,
    /// The latest facts of a source.
    facts: Mutex<HashMap<(ContainerId, SourceId), Facts>>,
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
        let outcomes = put_span(store, &span, &posts).await?;
        Ok::<_, StoreError>((indices, outcomes))
    });
    let mut done = futures_util::stream::iter(work).buffer_unordered(PARALLEL);
    while let Some((indices, of_span)) = done.try_next().await? {
        for (index, outcome) in indices.into_iter().zip(of_span) {
            outcomes[index] = outcome;
        }
    }
    Ok(outcomes)
}

fn span_of(key: &Key) -> Span {
    Span {
        container: key.container.clone(),
        resolution: key.resolution,
        start: key.resolution.packed_start(key.start),
    }
}

/// Stores posts of one span, and returns what became of each.
async fn put_span(
    store: &Cassandra,
    span: &Span,
    posts: &[Post],
) -> Result<Vec<Outcome>, StoreError> {
    let cql = &store.cql;
    let (pieces, packed) = match posts.iter().any(|post| post.slots != 0) {
        true => futures_util::try_join!(known_pieces(cql, span), packed_slots(cql, span))?,
        false => Default::default(),
    };
    let mut outcomes = Vec::with_capacity(posts.len());
    let mut writes = Vec::new();
    let mut worth: Vec<Bound> = Vec::new();
    let mut dirty = false;
    for post in posts {
        let source = post.key.source;
        // A second is whole or not there, so that its bit tells. Of a coarser
        // slot only packing can tell what is new in it.
        let is_packed = post.key.resolution == Resolution::Second
            && packed.get(&source).unwrap_or(&0) & post.slots == post.slots;
        if post.slots != 0 && is_packed {
            outcomes.push(Outcome::Known);
            continue;
        }
        let known = post.slots != 0 && pieces.contains(&(post.key.start, source));
        outcomes.push(match known {
            true => Outcome::Known,
            false => Outcome::Stored,
        });
        if post.slots != 0 {
            if !known {
                writes.push(put_piece(cql, span, &post.key, Form::Posted, &post.bytes));
            }
            // Whoever stored a known piece may have died before this.
            worth.push(Entry::of_post(post).insert(&span.container));
            dirty = true;
        }
        worth.extend(store.told.new_facts(post));
    }
    try_join_all(writes).await?;
    let now = clock::now();
    let live = posts.iter().any(|post| post.recording.is_none());
    let recorded = posts.iter().any(|post| post.recording.is_some());
    let listed = async {
        for post in posts {
            let day = post.activity.last.saturating_sub(1) / DAY;
            if recorded || store.told.is_new_day(&span.container, day) {
                list(cql, &span.container, day).await?;
            }
        }
        Ok(())
    };
    let marked = async {
        if !dirty {
            return write_in_parts(cql, worth).await;
        }
        let mark = store.writer.mark();
        worth.push(span.set(mark, now));
        let list = span.list(cql, mark, now);
        futures_util::try_join!(write_in_parts(cql, worth), list).map(drop)
    };
    futures_util::try_join!(listed, marked)?;
    if live {
        store.told.remember(posts);
    }
    Ok(outcomes)
}

/// Starts and sources of the posted pieces of a span.
async fn known_pieces(cql: &Cql, span: &Span) -> Result<HashSet<(u64, SourceId)>, StoreError> {
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
    let posted = rows
        .iter()
        .filter(|row| row.2 == form_number(Form::Posted))
        .map(|(start, source, _)| Ok((unsigned(*start), source_of(source)?)));
    posted.collect()
}

/// Which slots the packed rows of a span have, by source.
async fn packed_slots(cql: &Cql, span: &Span) -> Result<HashMap<SourceId, u64>, StoreError> {
    let rows: Vec<(Vec<u8>, i64)> = cql
        .rows(
            "look for a packed row",
            table::of(span.resolution).slots,
            (
                span.container.as_str(),
                number(table::bucket(span.resolution, span.start)),
                number(span.start),
            ),
        )
        .await?;
    rows.into_iter()
        .map(|(source, slots)| Ok((source_of(&source)?, slots.cast_unsigned())))
        .collect()
}

/// Writes a piece, in the place of one of the same key and form.
pub(super) async fn put_piece(
    cql: &Cql,
    span: &Span,
    key: &Key,
    form: Form,
    bytes: &[u8],
) -> Result<(), StoreError> {
    let (container, resolution, span, start, source, form) = piece(span, key, form);
    cql.write(
        "store a segment",
        "INSERT INTO piece (container, resolution, span, start, source, form, bytes)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        (container, resolution, span, start, source, form, bytes),
    )
    .await
}

/// Deletes a piece.
pub(super) async fn delete_piece(
    cql: &Cql,
    span: &Span,
    key: &Key,
    form: Form,
) -> Result<(), StoreError> {
    cql.write(
        "delete a piece",
        "DELETE FROM piece WHERE container = ? AND resolution = ? AND span = ?
         AND start = ? AND source = ? AND form = ?",
        piece(span, key, form),
    )
    .await
}

/// The key of a piece's row, column by column.
fn piece<'a>(span: &'a Span, key: &'a Key, form: Form) -> (&'a str, i8, i64, i64, &'a [u8], i8) {
    (
        span.container.as_str(),
        resolution_number(span.resolution),
        number(span.start),
        number(key.start),
        &key.source.0,
        form_number(form),
    )
}

/// Writes statements on one partition, so many at a time.
pub(super) async fn write_in_parts(
    cql: &Cql,
    mut statements: Vec<Bound>,
) -> Result<(), StoreError> {
    while !statements.is_empty() {
        let rest = statements.split_off(statements.len().min(TOGETHER));
        cql.write_together("write what a container is worth", statements)
            .await?;
        statements = rest;
    }
    Ok(())
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

    fn is_new_day(&self, container: &ContainerId, day: u64) -> bool {
        let listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        listed.get(container) != Some(&day)
    }

    /// Remembers what was written of live posts. Recordings may be deleted by another server.
    fn remember(&self, posts: &[Post]) {
        let live = posts.iter().filter(|post| post.recording.is_none());
        let mut listed = self.listed.lock().unwrap_or_else(PoisonError::into_inner);
        let mut facts = self.facts.lock().unwrap_or_else(PoisonError::into_inner);
        if listed.len() > MOST || facts.len() > MOST {
            listed.clear();
            facts.clear();
        }
        for post in live {
            let id = &post.key.container;
            listed.insert(id.clone(), post.activity.last.saturating_sub(1) / DAY);
            let source = (id.clone(), post.key.source);
            if facts.get(&source) != Some(&post.activity.facts) {
                facts.insert(source, post.activity.facts.clone());
            }
        }
    }
}
