//! Writing rows: pieces and packed ones.

use std::fmt;

use bubble_common::segment::Key;
use rusqlite::{CachedStatement, Connection, params};

use super::row_id::{ContainerRow, SourceRow};
use crate::span::row::{Form, Row};
use crate::store::column::{form_number, number};
use crate::store::error::{StoreError, failed};

/// What to do if a row with the same key exists.
#[derive(Clone, Copy)]
pub(super) enum OnConflict {
    /// Keep the existing row.
    Keep,
    /// Replace the existing row.
    Replace,
}

impl fmt::Display for OnConflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Keep => "INSERT OR IGNORE",
            Self::Replace => "INSERT OR REPLACE",
        })
    }
}

/// Puts pieces with one prepared statement, because looking it up for each is costly.
pub(super) struct Pieces<'a> {
    insert: CachedStatement<'a>,
}

impl<'a> Pieces<'a> {
    /// Prepares the statement; `on_conflict` applies to all pieces.
    pub(super) fn new(
        connection: &'a Connection,
        on_conflict: OnConflict,
    ) -> Result<Self, StoreError> {
        let sql = format!(
            "{on_conflict} INTO piece (resolution, start, container, source, form, bytes)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)"
        );
        let insert = connection.prepare_cached(&sql);
        let insert = insert.map_err(failed("store a segment"))?;
        Ok(Self { insert })
    }

    /// Puts a piece; `false` if an existing one was kept.
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

/// Puts a packed row.
pub(super) fn put_packed(
    connection: &Connection,
    (container, source): (ContainerRow, SourceRow),
    Row { key, bytes, .. }: &Row,
    slots: u64,
    on_conflict: OnConflict,
) -> Result<(), StoreError> {
    let sql = format!(
        "{on_conflict} INTO packed (container, resolution, start, source, slots, bytes)
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
