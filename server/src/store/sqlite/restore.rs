//! What `copy` brings from another store.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bubble_common::segment::SourceId;
use rusqlite::{Connection, params};

use super::put::{Pieces, Taken, put_packed};
use super::writer::Open;
use super::{Sqlite, recording};
use crate::clock;
use crate::store::error::{StoreError, failed};
use crate::store::recording::Label;
use crate::store::restore::{Entry, Restore, Rows};
use crate::store::row::{Activity, Form};

#[async_trait]
impl Restore for Sqlite {
    async fn restore_recordings(&self, recordings: &[(Label, u64)]) -> Result<(), StoreError> {
        let recordings = recordings.to_vec();
        self.writer
            .run(move |open| put_recordings(open.connection, &recordings))
            .await
    }

    async fn restore_rows(&self, rows: Rows) -> Result<(), StoreError> {
        self.writer.run(move |open| put_rows(open, &rows)).await
    }

    async fn restore_entry(&self, entry: Entry) -> Result<(), StoreError> {
        self.writer.run(move |open| put_entry(open, &entry)).await
    }
}

/// Puts recordings, oldest first.
fn put_recordings(connection: &Connection, recordings: &[(Label, u64)]) -> Result<(), StoreError> {
    let mut put = recordings.iter();
    put.try_for_each(|(label, created)| recording::put_head(connection, label, *created))
}

/// Puts rows as they were; what is there already stays.
fn put_rows(open: &mut Open<'_>, rows: &Rows) -> Result<(), StoreError> {
    let now = clock::now();
    let Open { connection, memory } = open;
    let container = memory.row(connection, &rows.container)?;
    let mut pieces = Pieces::new(connection, Taken::Keep)?;
    for (row, slots) in &rows.rows {
        let place = (container, memory.source(connection, row.key.source)?);
        if row.form == Form::Packed {
            put_packed(connection, place, row, *slots, Taken::Keep)?;
        } else {
            pieces.put(place, &row.key, row.form, &row.bytes)?;
        }
    }
    for start in &rows.dirty {
        memory.mark(connection, (container, rows.resolution, *start), now)?;
    }
    Ok(())
}

/// Puts the entry of the index of a container whose rows are there.
fn put_entry(open: &mut Open<'_>, entry: &Entry) -> Result<(), StoreError> {
    let Open { connection, memory } = open;
    let container = memory.change(connection, &entry.container.id, |known| {
        *known = entry.container.clone();
        true
    })?;
    let mut parts: BTreeMap<SourceId, Vec<&Activity>> = BTreeMap::new();
    for part in &entry.parts {
        parts
            .entry(part.key.source)
            .or_default()
            .push(&part.activity);
    }
    for of in &entry.recorded {
        let place = (container, memory.source(connection, of.source)?);
        // They are added up: an earlier copy may have been here.
        connection
            .execute(
                "DELETE FROM recorded WHERE container = ?1 AND source = ?2",
                params![place.0, place.1],
            )
            .map_err(failed("note a recording"))?;
        for activity in parts.remove(&of.source).unwrap_or_default() {
            recording::put_part(connection, place, of.recording, activity)?;
        }
    }
    Ok(())
}
