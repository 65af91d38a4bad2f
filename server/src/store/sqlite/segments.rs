//! Storing posts, and reading rows.

use std::borrow::Cow;
use std::ops::Range;

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, Resolution};
use rusqlite::{Connection, OptionalExtension, params};

use super::database::Sqlite;
use super::row_id::{ContainerRow, SourceRow};
use super::rows::{OnConflict, Pieces};
use super::writer::Transaction;
use super::{expire, read, recording};
use crate::clock;
use crate::span::activity::{Activity, Sums};
use crate::span::row::{Form, Row};
use crate::store::column::number;
use crate::store::error::{StoreError, failed};
use crate::store::segments::{Outcome, Post, Segments};

#[async_trait]
impl Segments for Sqlite {
    async fn put(&self, posts: Vec<Post>) -> Result<Vec<Outcome>, StoreError> {
        self.writer
            .run(move |transaction| put(transaction, &posts))
            .await
    }

    async fn range(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        span: Range<u64>,
    ) -> Result<Vec<Row>, StoreError> {
        let container = container.clone();
        self.read_segments(move |connection| read::range(connection, &container, resolution, span))
            .await
    }

    async fn dirty_of(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        span: Range<u64>,
    ) -> Result<Vec<u64>, StoreError> {
        let container = container.clone();
        self.read(move |connection| read::dirty_of(connection, &container, resolution, span))
            .await
    }

    async fn expired_before(&self, resolution: Resolution) -> Result<u64, StoreError> {
        self.read(move |connection| expire::horizon(connection, resolution))
            .await
    }
}

/// Stores posts, each at most once.
fn put(transaction: &mut Transaction<'_>, posts: &[Post]) -> Result<Vec<Outcome>, StoreError> {
    let now = clock::now();
    let mut pieces = Pieces::new(transaction.connection, OnConflict::Keep)?;
    posts
        .iter()
        .map(|post| put_one(transaction, &mut pieces, post, now))
        .collect()
}

fn put_one(
    Transaction { connection, cache }: &mut Transaction<'_>,
    pieces: &mut Pieces<'_>,
    post: &Post,
    now: u64,
) -> Result<Outcome, StoreError> {
    let row = cache.row(connection, &post.key.container)?;
    let source = cache.source(connection, post.key.source)?;
    if post.slots != 0 {
        let resolution = post.key.resolution;
        let span = resolution.packed_start(post.key.start);
        let packed = cache.mark(connection, (row, resolution, span), now)?;
        // A second is whole or absent, so its bit is enough. A coarser slot may be partly
        // new, which only packing can tell.
        let mut stored = match packed && resolution == Resolution::Second {
            true => packed_slots(connection, row, resolution, span, source)?,
            false => 0,
        };
        let (id, start) = (&post.key.container, post.key.start);
        let is_newest = cache.note_end(id, (row, source), start, end_of(post));
        if resolution == Resolution::Second {
            let is_live = post.recording.is_none();
            if post.repeated || (is_live && !is_newest) {
                stored |= read::piece_slots(connection, (row, source), &post.key)?;
                stored |= read::minute_slots(connection, (row, source), &post.key)?;
            }
            if stored & post.slots != 0 && post.slots & !stored != 0 {
                return Ok(Outcome::Overlaps(stored));
            }
        }
        let is_known = post.slots & !stored == 0;
        let put = |pieces: &mut Pieces<'_>| {
            pieces.put((row, source), &post.key, Form::Posted, &post.bytes)
        };
        let is_new = match post.replaces {
            Some(_) => put(&mut Pieces::new(connection, OnConflict::Replace)?)?,
            None => !is_known && put(pieces)?,
        };
        if !is_new {
            return Ok(Outcome::Known);
        }
    }
    let (added, withdrawn) = change(post);
    if let Some(label) = &post.recording {
        let sums = added.sums().without(withdrawn);
        let changed = match withdrawn == Sums::default() {
            true => Cow::Borrowed(&*added),
            false => Cow::Owned(post.activity.clone().with_sums(sums)),
        };
        recording::record(connection, (row, source), label, &changed, now)?;
    }
    cache.change(connection, &post.key.container, |container| {
        let has_new_facts = container.absorb(&added, post.recording.is_some());
        container.withdraw(withdrawn);
        has_new_facts
    })?;
    Ok(Outcome::Stored)
}

/// What a new post adds to the sums of its container and takes from them. It takes back the change of the
/// piece that it replaces.
fn change(post: &Post) -> (Cow<'_, Activity>, Sums) {
    let Some(former) = post.replaces else {
        return (Cow::Borrowed(&post.activity), post.withdrawn);
    };
    let sums = post.activity.sums().plus(former.withdrawn);
    let added = post.activity.clone().with_sums(sums);
    (Cow::Owned(added), post.withdrawn.plus(former.added))
}

/// End of the last slot of a post.
fn end_of(post: &Post) -> u64 {
    let slots = u64::from(u64::BITS - post.slots.leading_zeros());
    let resolution = post.key.resolution;
    resolution.packed_start(post.key.start) + slots * resolution.seconds()
}

/// Slots of a packed row; 0 if there is no such row.
fn packed_slots(
    connection: &Connection,
    container: ContainerRow,
    resolution: Resolution,
    start: u64,
    source: SourceRow,
) -> Result<u64, StoreError> {
    let slots = connection
        .prepare_cached(
            "SELECT slots FROM packed WHERE container = ?1 AND resolution = ?2 AND start = ?3 AND source = ?4",
        )
        .and_then(|mut statement| {
            statement
                .query_row(params![container, resolution as u8, number(start), source], |row| {
                    row.get::<_, i64>(0)
                })
                .optional()
        })
        .map_err(failed("look for a packed row"))?;
    // All 64 bits are used as they are.
    Ok(slots.unwrap_or(0).cast_unsigned())
}
