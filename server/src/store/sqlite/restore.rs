//! Restoring what `copy` read from another store.

use std::collections::BTreeMap;

use async_trait::async_trait;
use bubble_common::segment::SourceId;
use rusqlite::{Connection, params};

use super::database::Sqlite;
use super::recording;
use super::rows::{OnConflict, Pieces, put_packed};
use super::writer::Transaction;
use crate::clock;
use crate::span::activity::Activity;
use crate::span::row::Form;
use crate::store::error::{StoreError, failed};
use crate::store::recording::Recording;
use crate::store::restore::{Entry, Restore, Rows};

#[async_trait]
impl Restore for Sqlite {
    async fn restore_recordings(&self, recordings: &[Recording]) -> Result<(), StoreError> {
        let recordings = recordings.to_vec();
        self.writer
            .run(move |transaction| put_recordings(transaction.connection, &recordings))
            .await
    }

    async fn restore_rows(&self, rows: Rows) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| put_rows(transaction, &rows))
            .await
    }

    async fn restore_entry(&self, entry: Entry) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| put_entry(transaction, &entry))
            .await
    }
}

/// Adds recordings, oldest first.
fn put_recordings(connection: &Connection, recordings: &[Recording]) -> Result<(), StoreError> {
    for of in recordings {
        match &of.upload {
            Some(upload) => {
                recording::put_upload(connection, &of.label, upload, of.created)?;
            }
            None => recording::put_head(connection, &of.label, of.created)?,
        }
    }
    Ok(())
}

/// Adds rows; existing ones stay.
fn put_rows(transaction: &mut Transaction<'_>, rows: &Rows) -> Result<(), StoreError> {
    let now = clock::now();
    let Transaction { connection, cache } = transaction;
    let container = cache.row(connection, &rows.container)?;
    let mut pieces = Pieces::new(connection, OnConflict::Keep)?;
    for (row, slots) in &rows.rows {
        let ids = (container, cache.source(connection, row.key.source)?);
        if row.form == Form::Packed {
            put_packed(connection, ids, row, *slots, OnConflict::Keep)?;
        } else {
            pieces.put(ids, &row.key, row.form, &row.bytes)?;
        }
    }
    for start in &rows.dirty {
        cache.mark(connection, (container, rows.resolution, *start), now)?;
    }
    Ok(())
}

/// Adds the entry of a container after its rows.
fn put_entry(transaction: &mut Transaction<'_>, entry: &Entry) -> Result<(), StoreError> {
    let Transaction { connection, cache } = transaction;
    let container = cache.change(connection, &entry.container.id, |container| {
        *container = entry.container.clone();
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
        let ids = (container, cache.source(connection, of.source)?);
        // Parts are added up, and an earlier copy may have put some.
        connection
            .execute(
                "DELETE FROM recorded WHERE container = ?1 AND source = ?2",
                params![ids.0, ids.1],
            )
            .map_err(failed("note a recording"))?;
        for activity in parts.remove(&of.source).unwrap_or_default() {
            recording::put_part(connection, ids, of.recording, activity)?;
        }
    }
    Ok(())
}
