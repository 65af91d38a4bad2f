//! Expiry: deletes packed rows, and keeps the horizon.

use bubble_common::segment::Resolution;
use rusqlite::{Connection, OptionalExtension, params};

use super::row_id::ContainerRow;
use super::writer::Transaction;
use crate::store::column::{number, unsigned};
use crate::store::error::{StoreError, failed};

/// Deletes expired rows of one container, except those of recordings. Returns their number.
pub(super) fn expire(
    transaction: &mut Transaction<'_>,
    container: ContainerRow,
    resolution: Resolution,
    before: u64,
) -> Result<u64, StoreError> {
    let last = before.saturating_sub(resolution.packed_seconds());
    transaction
        .connection
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

/// Moves the horizon forward.
pub(super) fn set_horizon(
    transaction: &mut Transaction<'_>,
    resolution: Resolution,
    before: u64,
) -> Result<(), StoreError> {
    transaction
        .connection
        .prepare_cached(
            "INSERT INTO horizon (resolution, before) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET before = max(before, excluded.before)",
        )
        .and_then(|mut statement| statement.execute(params![resolution as u8, number(before)]))
        .map(drop)
        .map_err(failed("note what has expired"))
}

/// The horizon: rows of spans before it may have expired.
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
