//! Recordings: which there are, and how one goes.
//!
//! Deleting is in two steps, as the program may delete beside a server that
//! remembers containers and is packing: a mark, which anyone may set, and the
//! sweep, which only the server does, container by container, so that posts are
//! stored in between.

use bubble_common::segment::{ContainerId, Resolution, SourceId};
use rusqlite::{Connection, params};

use super::memory::{ContainerRow, SourceRow};
use super::writer::Open;
use super::{index, read};
use crate::store::column::{number, unsigned};
use crate::store::error::{StoreError, failed};
use crate::store::recording::{Label, Recorded, Recorder, Recording};
use crate::store::row::Activity;

/// Notes that what was just stored of a container is part of a recording.
pub(super) fn note(
    connection: &Connection,
    (container, source): (ContainerRow, SourceRow),
    label: &Label,
    activity: &Activity,
    now: u64,
) -> Result<(), StoreError> {
    put_head(connection, label, now)?;
    put_part(connection, (container, source), label.id, activity)
}

/// Puts a recording, of which the first put decides the name and when it was made.
pub(super) fn put_head(
    connection: &Connection,
    label: &Label,
    created: u64,
) -> Result<(), StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO recording (uuid, name, created, deleted) VALUES (?1, ?2, ?3, 0)
             ON CONFLICT DO NOTHING",
        )
        .and_then(|mut statement| {
            statement.execute(params![label.id.0, label.name, number(created)])
        })
        .map(drop)
        .map_err(failed("note a recording"))
}

/// Adds to what a recording has of a container by a source.
pub(super) fn put_part(
    connection: &Connection,
    (container, source): (ContainerRow, SourceRow),
    recording: SourceId,
    activity: &Activity,
) -> Result<(), StoreError> {
    // A sum that is too large for a column would become a float: it saturates.
    connection
        .prepare_cached(
            "INSERT INTO recorded
                (container, source, recording, first, last, cpu_ns, bytes_in, bytes_out)
             VALUES (?1, ?2, (SELECT id FROM recording WHERE uuid = ?3), ?4, ?5, ?6, ?7, ?8)
             ON CONFLICT DO UPDATE SET
                first = min(first, excluded.first), last = max(last, excluded.last),
                cpu_ns = min(9223372036854775807, cpu_ns + excluded.cpu_ns),
                bytes_in = min(9223372036854775807, bytes_in + excluded.bytes_in),
                bytes_out = min(9223372036854775807, bytes_out + excluded.bytes_out)",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                container,
                source,
                recording.0,
                number(activity.first),
                number(activity.last),
                number(activity.cpu_ns),
                number(activity.bytes_in),
                number(activity.bytes_out),
            ])
        })
        .map(drop)
        .map_err(failed("note a recording"))
}

/// Sources of a container that belong to recordings.
pub(super) fn sources(
    connection: &Connection,
    id: &ContainerId,
) -> Result<Vec<Recorder>, StoreError> {
    connection
        .prepare_cached(
            "SELECT source.uuid, recording.uuid, recorded.first, recorded.last FROM recorded
             JOIN source ON source.id = recorded.source
             JOIN recording ON recording.id = recorded.recording
             JOIN container ON container.id = recorded.container WHERE container.name = ?1",
        )
        .and_then(|mut statement| {
            let rows = statement.query_map([id.as_str()], |row| {
                Ok(Recorder {
                    source: SourceId(row.get(0)?),
                    recording: SourceId(row.get(1)?),
                    span: unsigned(row.get(2)?)..unsigned(row.get(3)?),
                })
            })?;
            rows.collect()
        })
        .map_err(failed("look for recordings of a container"))
}

/// All that are not deleted, oldest first.
pub(super) fn list(connection: &Connection) -> Result<Vec<Recording>, StoreError> {
    let doing = "list recordings";
    let mut statement = connection
        .prepare_cached(
            "SELECT recording.uuid, recording.name, recording.created, container.name, container.title,
                first, last, recorded.cpu_ns, recorded.bytes_in, recorded.bytes_out
             FROM recording JOIN recorded ON recorded.recording = recording.id
             JOIN container ON container.id = recorded.container
             WHERE NOT deleted ORDER BY recording.id, container.name",
        )
        .map_err(failed(doing))?;
    let rows = statement.query_map([], read_part).map_err(failed(doing))?;
    let mut found: Vec<Recording> = Vec::new();
    for row in rows {
        let (recording, part) = row.map_err(failed(doing))?;
        if found.last().map(|last| last.label.id) != Some(recording.label.id) {
            found.push(recording);
        }
        if let Some(recording) = found.last_mut() {
            recording.add(part);
        }
    }
    Ok(found)
}

/// A recording without its containers, and what it holds of one by one source.
fn read_part(row: &rusqlite::Row<'_>) -> rusqlite::Result<(Recording, Recorded)> {
    let column = |index: usize| row.get(index).map(unsigned);
    let recording = Recording {
        label: Label {
            id: SourceId(row.get(0)?),
            name: row.get(1)?,
        },
        created: column(2)?,
        containers: Vec::new(),
    };
    let part = Recorded {
        container: index::id_of(row, 3)?,
        name: row.get(4)?,
        first: column(5)?,
        last: column(6)?,
        cpu_ns: column(7)?,
        bytes_in: column(8)?,
        bytes_out: column(9)?,
    };
    Ok((recording, part))
}

/// Marks a recording as deleted; `false` when there is none.
pub(super) fn delete(connection: &Connection, id: SourceId) -> Result<bool, StoreError> {
    connection
        .execute(
            "UPDATE recording SET deleted = 1 WHERE uuid = ?1 AND NOT deleted",
            [id.0],
        )
        .map(|rows| rows > 0)
        .map_err(failed("delete a recording"))
}

/// A part of a deleted recording: what it holds of one container by one source.
#[derive(Debug, Clone)]
pub(super) struct Doomed {
    container: ContainerRow,
    name: ContainerId,
    source: SourceRow,
}

/// What is left of deleted recordings.
pub(super) fn doomed(connection: &Connection) -> Result<Vec<Doomed>, StoreError> {
    connection
        .prepare_cached(
            "SELECT container.id, container.name, recorded.source
             FROM recording JOIN recorded ON recorded.recording = recording.id
             JOIN container ON container.id = recorded.container WHERE deleted",
        )
        .and_then(|mut statement| {
            let rows = statement.query_map([], |row| {
                Ok(Doomed {
                    container: row.get(0)?,
                    name: index::id_of(row, 1)?,
                    source: row.get(2)?,
                })
            })?;
            rows.collect()
        })
        .map_err(failed("look for deleted recordings"))
}

/// Removes one part of a deleted recording, and the container if nothing else is known of it.
pub(super) fn remove(open: &mut Open<'_>, doomed: &Doomed) -> Result<(), StoreError> {
    let Open { connection, memory } = open;
    memory.evict(connection, &doomed.name, doomed.container)?;
    let doing = "delete a recording's rows";
    // Pieces lie by time: there are none where no mark is.
    for resolution in Resolution::ALL {
        let length = resolution.packed_seconds();
        for start in read::dirty_starts(connection, doomed.container, resolution, 0..u64::MAX)? {
            connection
                .prepare_cached(
                    "DELETE FROM piece WHERE resolution = ?1 AND start >= ?2 AND start < ?3
                     AND container = ?4 AND source = ?5",
                )
                .and_then(|mut statement| {
                    statement.execute(params![
                        resolution as u8,
                        number(start),
                        number(start.saturating_add(length)),
                        doomed.container,
                        doomed.source
                    ])
                })
                .map_err(failed(doing))?;
        }
    }
    remove_rows(connection, doomed).map_err(failed(doing))
}

fn remove_rows(connection: &Connection, doomed: &Doomed) -> rusqlite::Result<()> {
    let place = params![doomed.container, doomed.source];
    connection.execute(
        "DELETE FROM packed WHERE container = ?1 AND source = ?2",
        place,
    )?;
    // What it was first and last seen, and its highest memory, stay as they are.
    connection.execute(
        "UPDATE container SET cpu_ns = max(0, container.cpu_ns - part.cpu_ns),
            bytes_in = max(0, container.bytes_in - part.bytes_in),
            bytes_out = max(0, container.bytes_out - part.bytes_out)
         FROM (SELECT * FROM recorded WHERE container = ?1 AND source = ?2) AS part
         WHERE container.id = ?1",
        place,
    )?;
    connection.execute(
        "DELETE FROM recorded WHERE container = ?1 AND source = ?2",
        place,
    )?;
    let gone = connection.execute(
        "DELETE FROM container WHERE id = ?1 AND live_since = ?2
         AND NOT EXISTS (SELECT 1 FROM recorded WHERE container = ?1)",
        params![doomed.container, i64::MAX],
    )?;
    if gone > 0 {
        connection.execute("DELETE FROM dirty WHERE container = ?1", [doomed.container])?;
    }
    Ok(())
}

/// Forgets deleted recordings of which nothing is left; returns how many.
pub(super) fn forget(connection: &Connection) -> Result<u64, StoreError> {
    connection
        .execute(
            "DELETE FROM recording WHERE deleted
             AND NOT EXISTS (SELECT 1 FROM recorded WHERE recorded.recording = recording.id)",
            [],
        )
        .map(|rows| rows as u64)
        .map_err(failed("forget a deleted recording"))
}
