//! Recordings: listed, and deleted in two steps.
//!
//! The command line may delete while a server caches containers and packs. So any process
//! may mark a recording as deleted, but only the server sweeps its rows. It sweeps container
//! by container, so that posts are stored in between.

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, Resolution, SourceId};
use rusqlite::{Connection, params};

use super::database::Sqlite;
use super::row_id::{ContainerRow, SourceRow};
use super::writer::Transaction;
use super::{deletion, entry, read};
use crate::clock;
use crate::span::activity::Activity;
use crate::store::column::{number, unsigned};
use crate::store::error::{StoreError, failed};
use crate::store::recording::{Label, Recorded, Recorder, Recording, Recordings, Upload};

#[async_trait]
impl Recordings for Sqlite {
    async fn recorded(&self, container: &ContainerId) -> Result<Vec<Recorder>, StoreError> {
        let container = container.clone();
        self.read(move |connection| sources(connection, &container))
            .await
    }

    async fn recordings(&self) -> Result<Vec<Recording>, StoreError> {
        self.read(|connection| list(connection)).await
    }

    async fn note_upload(&self, label: &Label, upload: &Upload) -> Result<bool, StoreError> {
        let (label, upload) = (label.clone(), upload.clone());
        self.writer
            .run(move |transaction| {
                put_upload(transaction.connection, &label, &upload, clock::now())
            })
            .await
    }

    async fn delete_recording(&self, id: SourceId) -> Result<bool, StoreError> {
        self.writer
            .run(move |transaction| delete(transaction.connection, id))
            .await
    }

    async fn delete_container(&self, id: &ContainerId) -> Result<bool, StoreError> {
        let id = id.clone();
        self.writer
            .run(move |transaction| deletion::mark(transaction.connection, &id))
            .await
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        let containers = self.read(|connection| deletion::marked(connection)).await?;
        let removed = containers.len() as u64;
        for container in containers {
            self.writer
                .run(move |transaction| deletion::remove(transaction, &container))
                .await?;
        }
        let parts = self.read(|connection| deleted_parts(connection)).await?;
        if parts.is_empty() {
            return Ok(removed);
        }
        // One at a time: posts are stored in between.
        for part in parts {
            self.writer
                .run(move |transaction| remove(transaction, &part))
                .await?;
        }
        let recordings = self
            .writer
            .run(|transaction| remove_empty(transaction.connection))
            .await?;
        Ok(removed + recordings)
    }
}

/// Records that a stored segment belongs to a recording.
pub(super) fn record(
    connection: &Connection,
    (container, source): (ContainerRow, SourceRow),
    label: &Label,
    activity: &Activity,
    now: u64,
) -> Result<(), StoreError> {
    put_head(connection, label, now)?;
    put_part(connection, (container, source), label.id, activity)
}

/// Adds a recording. The first put decides its name and its time.
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

/// Notes what is known of an upload, and adds the recording if it is new. `false` if it is deleted.
pub(super) fn put_upload(
    connection: &Connection,
    label: &Label,
    upload: &Upload,
    created: u64,
) -> Result<bool, StoreError> {
    put_head(connection, label, created)?;
    let text = upload.to_text()?;
    connection
        .execute(
            "UPDATE recording SET upload = ?2 WHERE uuid = ?1 AND NOT deleted",
            params![label.id.0, text],
        )
        .map(|rows| rows > 0)
        .map_err(failed("note an upload"))
}

/// Adds the activity of one source of a container to a recording.
pub(super) fn put_part(
    connection: &Connection,
    (container, source): (ContainerRow, SourceRow),
    recording: SourceId,
    activity: &Activity,
) -> Result<(), StoreError> {
    // Saturates: SQLite would turn a sum beyond 64 bits into a float.
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
fn sources(connection: &Connection, id: &ContainerId) -> Result<Vec<Recorder>, StoreError> {
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
fn list(connection: &Connection) -> Result<Vec<Recording>, StoreError> {
    let doing = "list recordings";
    let mut statement = connection
        .prepare_cached(
            "SELECT recording.uuid, recording.name, recording.created, container.name, container.title,
                first, last, recorded.cpu_ns, recorded.bytes_in, recorded.bytes_out, recording.upload
             FROM recording JOIN recorded ON recorded.recording = recording.id
             JOIN container ON container.id = recorded.container
             WHERE NOT deleted ORDER BY recording.id, container.name",
        )
        .map_err(failed(doing))?;
    let rows = statement.query_map([], read_part).map_err(failed(doing))?;
    let mut found: Vec<Recording> = Vec::new();
    for row in rows {
        let (mut recording, part, upload) = row.map_err(failed(doing))?;
        if found.last().map(|last| last.label.id) != Some(recording.label.id) {
            recording.upload = upload.map(|text| Upload::of_text(&text)).transpose()?;
            found.push(recording);
        }
        if let Some(recording) = found.last_mut() {
            recording.add(part);
        }
    }
    Ok(found)
}

/// A recording without its containers, one source of one container, and the note of the upload.
fn read_part(row: &rusqlite::Row<'_>) -> rusqlite::Result<(Recording, Recorded, Option<String>)> {
    let column = |index: usize| row.get(index).map(unsigned);
    let recording = Recording {
        label: Label {
            id: SourceId(row.get(0)?),
            name: row.get(1)?,
        },
        created: column(2)?,
        upload: None,
        containers: Vec::new(),
    };
    let part = Recorded {
        container: entry::id_of(row, 3)?,
        name: row.get(4)?,
        first: column(5)?,
        last: column(6)?,
        cpu_ns: column(7)?,
        bytes_in: column(8)?,
        bytes_out: column(9)?,
    };
    Ok((recording, part, row.get(10)?))
}

/// Marks a recording as deleted; `false` if it does not exist.
fn delete(connection: &Connection, id: SourceId) -> Result<bool, StoreError> {
    connection
        .execute(
            "UPDATE recording SET deleted = 1 WHERE uuid = ?1 AND NOT deleted",
            [id.0],
        )
        .map(|rows| rows > 0)
        .map_err(failed("delete a recording"))
}

/// One source of one container of a deleted recording.
#[derive(Debug, Clone)]
struct DeletedPart {
    container: ContainerRow,
    name: ContainerId,
    source: SourceRow,
}

/// What is left of deleted recordings.
fn deleted_parts(connection: &Connection) -> Result<Vec<DeletedPart>, StoreError> {
    connection
        .prepare_cached(
            "SELECT container.id, container.name, recorded.source
             FROM recording JOIN recorded ON recorded.recording = recording.id
             JOIN container ON container.id = recorded.container WHERE deleted",
        )
        .and_then(|mut statement| {
            let rows = statement.query_map([], |row| {
                Ok(DeletedPart {
                    container: row.get(0)?,
                    name: entry::id_of(row, 1)?,
                    source: row.get(2)?,
                })
            })?;
            rows.collect()
        })
        .map_err(failed("look for deleted recordings"))
}

/// Removes one part of a deleted recording, and the container if nothing else of it is stored.
fn remove(transaction: &mut Transaction<'_>, part: &DeletedPart) -> Result<(), StoreError> {
    let Transaction { connection, cache } = transaction;
    cache.evict(connection, &part.name, part.container)?;
    let doing = "delete a recording's rows";
    // Pieces are ordered by time; a mark tells where there are some.
    for resolution in Resolution::ALL {
        let length = resolution.packed_seconds();
        for start in read::dirty_starts(connection, part.container, resolution, 0..u64::MAX)? {
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
                        part.container,
                        part.source
                    ])
                })
                .map_err(failed(doing))?;
        }
    }
    remove_rows(connection, part).map_err(failed(doing))
}

fn remove_rows(connection: &Connection, part: &DeletedPart) -> rusqlite::Result<()> {
    let ids = params![part.container, part.source];
    connection.execute(
        "DELETE FROM packed WHERE container = ?1 AND source = ?2",
        ids,
    )?;
    // First and last seen and the highest memory stay as they are.
    connection.execute(
        "UPDATE container SET cpu_ns = max(0, container.cpu_ns - part.cpu_ns),
            bytes_in = max(0, container.bytes_in - part.bytes_in),
            bytes_out = max(0, container.bytes_out - part.bytes_out)
         FROM (SELECT * FROM recorded WHERE container = ?1 AND source = ?2) AS part
         WHERE container.id = ?1",
        ids,
    )?;
    connection.execute(
        "DELETE FROM recorded WHERE container = ?1 AND source = ?2",
        ids,
    )?;
    let gone = connection.execute(
        "DELETE FROM container WHERE id = ?1 AND live_since = ?2
         AND NOT EXISTS (SELECT 1 FROM recorded WHERE container = ?1)",
        params![part.container, i64::MAX],
    )?;
    if gone > 0 {
        connection.execute("DELETE FROM dirty WHERE container = ?1", [part.container])?;
        connection.execute("DELETE FROM binding WHERE name = ?1", [part.name.as_str()])?;
    }
    Ok(())
}

/// Removes deleted recordings that have no parts left. Returns their number.
fn remove_empty(connection: &Connection) -> Result<u64, StoreError> {
    connection
        .execute(
            "DELETE FROM recording WHERE deleted
             AND NOT EXISTS (SELECT 1 FROM recorded WHERE recorded.recording = recording.id)",
            [],
        )
        .map(|rows| rows as u64)
        .map_err(failed("forget a deleted recording"))
}
