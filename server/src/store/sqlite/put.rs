//! Storing posts, and the results of packing.

use std::fmt;

use bubble_common::segment::{Key, Resolution};
use rusqlite::{CachedStatement, Connection, OptionalExtension, params};

use super::memory::{ContainerRow, SourceRow};
use super::recording;
use super::writer::Open;
use crate::clock;
use crate::store::column::{form_number, number, unsigned};
use crate::store::error::{StoreError, failed};
use crate::store::row::{Form, Outcome, Packed, Post, Repack, Row};

/// Stores posts, each at most once.
pub(super) fn put(open: &mut Open<'_>, posts: &[Post]) -> Result<Vec<Outcome>, StoreError> {
    let now = clock::now();
    let mut pieces = Pieces::new(open.connection, Taken::Keep)?;
    posts
        .iter()
        .map(|post| put_one(open, &mut pieces, post, now))
        .collect()
}

fn put_one(
    Open { connection, memory }: &mut Open<'_>,
    pieces: &mut Pieces<'_>,
    post: &Post,
    now: u64,
) -> Result<Outcome, StoreError> {
    let row = memory.row(connection, &post.key.container)?;
    let source = memory.source(connection, post.key.source)?;
    if post.slots != 0 {
        let resolution = post.key.resolution;
        let span = resolution.packed_start(post.key.start);
        let packed = memory.mark(connection, (row, resolution, span), now)?;
        // A second is whole or not there, so that its bit tells. Of a coarser
        // slot only packing can tell what is new in it.
        let known = packed
            && resolution == Resolution::Second
            && packed_slots(connection, row, resolution, span, source)? & post.slots == post.slots;
        if known || !pieces.put((row, source), &post.key, Form::Posted, &post.bytes)? {
            return Ok(Outcome::Known);
        }
    }
    if let Some(label) = &post.recording {
        recording::note(connection, (row, source), label, &post.activity, now)?;
    }
    memory.change(connection, &post.key.container, |container| {
        container.absorb(&post.activity, post.recording.is_some())
    })?;
    Ok(Outcome::Stored)
}

/// Which slots a packed row has; none when there is no such row.
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

/// What becomes of a row whose key is taken.
#[derive(Clone, Copy)]
pub(super) enum Taken {
    /// The first stays.
    Keep,
    /// The new one takes its place.
    Replace,
}

impl fmt::Display for Taken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "INSERT OR IGNORE",
            Self::Replace => "INSERT OR REPLACE",
        })
    }
}

/// Puts pieces: many by one statement, as to look it up costs a part of what it does.
pub(super) struct Pieces<'a> {
    insert: CachedStatement<'a>,
}

impl<'a> Pieces<'a> {
    /// What becomes of a piece whose key is taken is the same for all.
    pub(super) fn new(connection: &'a Connection, taken: Taken) -> Result<Self, StoreError> {
        let sql = format!(
            "{taken} INTO piece (resolution, start, container, source, form, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
        );
        let insert = connection.prepare_cached(&sql);
        let insert = insert.map_err(failed("store a segment"))?;
        Ok(Self { insert })
    }

    /// Puts a piece; `false` when its key is taken and the first stays.
    pub(super) fn put(
        &mut self,
        (container, source): (ContainerRow, SourceRow),
        key: &Key,
        form: Form,
        bytes: &[u8],
    ) -> Result<bool, StoreError> {
        let (resolution, form) = (key.resolution as u8, form_number(form));
        let start = number(key.start);
        self.insert
            .execute(params![resolution, start, container, source, form, bytes])
            .map(|rows| rows > 0)
            .map_err(failed("store a segment"))
    }
}

/// Puts the result of packing in place.
pub(super) fn repack(open: &mut Open<'_>, change: &Repack) -> Result<(), StoreError> {
    let now = clock::now();
    let Open { connection, memory } = open;
    let span = &change.span;
    let container = memory.row(connection, &span.container)?;
    for Packed { row, slots, .. } in &change.packed {
        let source = memory.source(connection, row.key.source)?;
        put_packed(connection, (container, source), row, *slots, Taken::Replace)?;
    }
    for (key, form) in &change.pieces {
        let source = memory.source(connection, key.source)?;
        connection
            .prepare_cached(
                "DELETE FROM piece WHERE resolution = ?1 AND start = ?2 AND container = ?3
                 AND source = ?4 AND form = ?5",
            )
            .and_then(|mut statement| {
                statement.execute(params![
                    key.resolution as u8,
                    number(key.start),
                    container,
                    source,
                    form_number(*form)
                ])
            })
            .map_err(failed("delete a packed piece"))?;
    }
    let mut pieces = Pieces::new(connection, Taken::Replace)?;
    for row in &change.rolled {
        let resolution = row.key.resolution;
        let coarse = resolution.packed_start(row.key.start);
        memory.mark(connection, (container, resolution, coarse), now)?;
        let place = (container, memory.source(connection, row.key.source)?);
        pieces.put(place, &row.key, row.form, &row.bytes)?;
    }
    memory.clear(
        connection,
        (container, span.resolution, span.start),
        span.marks.first().map_or(0, |mark| mark.number),
    )
}

/// Puts a packed row.
pub(super) fn put_packed(
    connection: &Connection,
    (container, source): (ContainerRow, SourceRow),
    Row { key, bytes, .. }: &Row,
    slots: u64,
    taken: Taken,
) -> Result<(), StoreError> {
    let sql = format!(
        "{taken} INTO packed (container, resolution, start, source, slots, bytes)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
    );
    connection
        .prepare_cached(&sql)
        .and_then(|mut statement| {
            statement.execute(params![
                container,
                key.resolution as u8,
                number(key.start),
                source,
                slots.cast_signed(),
                bytes
            ])
        })
        .map(drop)
        .map_err(failed("store a packed segment"))
}

/// Deletes expired rows of one container, but for those of recordings; returns how many.
pub(super) fn expire(
    open: &mut Open<'_>,
    container: ContainerRow,
    resolution: Resolution,
    before: u64,
) -> Result<u64, StoreError> {
    let last = before.saturating_sub(resolution.packed_seconds());
    open.connection
        .prepare_cached(
            "DELETE FROM packed WHERE container = ?1 AND resolution = ?2 AND start <= ?3
             AND source NOT IN (SELECT source FROM recorded WHERE recorded.container = ?1)
             AND NOT EXISTS (SELECT 1 FROM dirty WHERE dirty.container = packed.container
                 AND dirty.resolution = packed.resolution AND dirty.start = packed.start)",
        )
        .and_then(|mut statement| {
            statement.execute(params![container, resolution as u8, number(last)])
        })
        .map(|rows| rows as u64)
        .map_err(failed("delete expired rows"))
}

/// Remembers up to when rows have expired.
pub(super) fn set_horizon(
    open: &mut Open<'_>,
    resolution: Resolution,
    before: u64,
) -> Result<(), StoreError> {
    open.connection
        .prepare_cached(
            "INSERT INTO horizon (resolution, before) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET before = max(before, excluded.before)",
        )
        .and_then(|mut statement| statement.execute(params![resolution as u8, number(before)]))
        .map(drop)
        .map_err(failed("note what has expired"))
}

/// Up to when rows have expired.
pub(super) fn horizon(connection: &Connection, resolution: Resolution) -> Result<u64, StoreError> {
    connection
        .prepare_cached("SELECT before FROM horizon WHERE resolution = ?1")
        .and_then(|mut statement| {
            statement
                .query_row([resolution as u8], |row| row.get(0))
                .optional()
        })
        .map(|before| before.map_or(0, unsigned))
        .map_err(failed("read what has expired"))
}
