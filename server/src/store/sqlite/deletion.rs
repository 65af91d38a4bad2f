//! Deleting containers, in two steps like recordings: any process marks, and the server removes.

use bubble_common::segment::{ContainerId, Resolution};
use rusqlite::{Connection, params};

use super::row_id::ContainerRow;
use super::writer::Transaction;
use super::{bindings, entry, read};
use crate::store::binding::of_container;
use crate::store::column::number;
use crate::store::error::{StoreError, failed};

/// A container that is marked as deleted.
#[derive(Debug, Clone)]
pub(super) struct Marked {
    row: ContainerRow,
    name: ContainerId,
}

/// Marks a container as deleted; `false` if it does not exist.
pub(super) fn mark(connection: &Connection, id: &ContainerId) -> Result<bool, StoreError> {
    let Some(row) = entry::row_of(connection, id)? else {
        return Ok(false);
    };
    connection
        .execute(
            "INSERT OR IGNORE INTO deleted_container (container) VALUES (?1)",
            [row],
        )
        .map(|_| true)
        .map_err(failed("delete a container"))
}

/// The containers that are marked.
pub(super) fn marked(connection: &Connection) -> Result<Vec<Marked>, StoreError> {
    connection
        .prepare_cached(
            "SELECT container.id, container.name FROM deleted_container
             JOIN container ON container.id = deleted_container.container",
        )
        .and_then(|mut statement| {
            let rows = statement.query_map([], |row| {
                Ok(Marked {
                    row: row.get(0)?,
                    name: entry::id_of(row, 1)?,
                })
            })?;
            rows.collect()
        })
        .map_err(failed("look for deleted containers"))
}

/// Removes all rows of a container, and the recordings that had no other.
pub(super) fn remove(transaction: &mut Transaction<'_>, of: &Marked) -> Result<(), StoreError> {
    let Transaction { connection, cache } = transaction;
    cache.evict(connection, &of.name, of.row)?;
    let doing = "delete a container's rows";
    // Pieces are ordered by time; a mark tells where there are some.
    for resolution in Resolution::ALL {
        let length = resolution.packed_seconds();
        for start in read::dirty_starts(connection, of.row, resolution, 0..u64::MAX)? {
            connection
                .prepare_cached(
                    "DELETE FROM piece WHERE resolution = ?1 AND start >= ?2 AND start < ?3
                     AND container = ?4",
                )
                .and_then(|mut statement| {
                    statement.execute(params![
                        resolution as u8,
                        number(start),
                        number(start.saturating_add(length)),
                        of.row
                    ])
                })
                .map_err(failed(doing))?;
        }
    }
    for statement in [
        "DELETE FROM packed WHERE container = ?1",
        "DELETE FROM dirty WHERE container = ?1",
        "DELETE FROM recorded WHERE container = ?1",
        "DELETE FROM container WHERE id = ?1",
        "DELETE FROM deleted_container WHERE container = ?1",
    ] {
        connection
            .execute(statement, [of.row])
            .map_err(failed(doing))?;
    }
    bindings::release(connection, &of_container(&of.name))?;
    connection
        .execute(
            "DELETE FROM recording WHERE NOT deleted
             AND NOT EXISTS (SELECT 1 FROM recorded WHERE recorded.recording = recording.id)",
            [],
        )
        .map(drop)
        .map_err(failed(doing))
}
