//! Packing: lists dirty spans, replaces their pieces, and expires packed rows.

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, Resolution};
use rusqlite::{Connection, OptionalExtension, params};

use super::database::Sqlite;
use super::row_id::{ContainerRow, SourceRow};
use super::rows::{OnConflict, Pieces, put_packed};
use super::space::reclaim_step;
use super::writer::Transaction;
use super::{expire, read};
use crate::clock;
use crate::span::retention::Finished;
use crate::store::column::{form_number, number, unsigned};
use crate::store::error::{StoreError, failed};
use crate::store::packing::{self, DirtySpan, Merged, Packed, Packing, Repack};

/// Containers in one transaction of [`Packing::expire`].
const EXPIRE_CHUNK: usize = 200;
/// Steps in which free pages are given back after an expiry. The next one goes on.
const MAX_RECLAIM_STEPS: usize = 64;

#[async_trait]
impl Packing for Sqlite {
    async fn dirty(
        &self,
        resolution: Resolution,
        before: u64,
        after: Option<(u64, ContainerId)>,
        limit: usize,
    ) -> Result<Vec<DirtySpan>, StoreError> {
        let versions = self.versions.clone();
        self.read(move |connection| {
            read::dirty(
                connection,
                &versions,
                resolution,
                before,
                after.as_ref(),
                limit,
            )
        })
        .await
    }

    async fn dirty_span(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        start: u64,
    ) -> Result<Option<DirtySpan>, StoreError> {
        let (container, versions) = (container.clone(), self.versions.clone());
        self.read(move |connection| {
            read::dirty_span(connection, &versions, container, resolution, start)
        })
        .await
    }

    async fn repack(&self, change: Repack) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| repack(transaction, &change))
            .await
    }

    async fn expire(
        &self,
        resolution: Resolution,
        before: u64,
        finished: Option<Finished>,
    ) -> Result<u64, StoreError> {
        // First: from here on, a late segment is not among the rows deleted below.
        self.writer
            .run(move |transaction| expire::set_horizon(transaction, resolution, before))
            .await?;
        let containers: Vec<(ContainerRow, i64)> = self
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT id, last_seen FROM container WHERE live_since < ?1")
                    .and_then(|mut statement| {
                        statement
                            .query_map([number(before)], |row| Ok((row.get(0)?, row.get(1)?)))?
                            .collect()
                    })
                    .map_err(failed("list containers"))
            })
            .await?;
        let mut deleted = 0;
        // In portions, so that posts are stored in between.
        for portion in containers.chunks(EXPIRE_CHUNK) {
            let portion = portion.to_vec();
            deleted += self
                .writer
                .run(move |transaction| {
                    portion
                        .iter()
                        .map(|(container, last_seen)| {
                            let before = finished.map_or(before, |finished| {
                                finished.expired_before(unsigned(*last_seen), before)
                            });
                            expire::expire(transaction, *container, resolution, before)
                        })
                        .sum::<Result<u64, StoreError>>()
                })
                .await?;
        }
        self.reclaim().await?;
        Ok(deleted)
    }

    fn retains_finished(&self) -> bool {
        true
    }
}

impl Sqlite {
    /// Gives free pages back to the file system, in steps, and keeps some for new rows.
    async fn reclaim(&self) -> Result<(), StoreError> {
        for _ in 0..MAX_RECLAIM_STEPS {
            let step = self
                .writer
                .run(|transaction| reclaim_step(transaction.connection));
            if !step.await? {
                break;
            }
        }
        Ok(())
    }
}

/// Replaces the rows of a span by the result of packing them.
fn repack(transaction: &mut Transaction<'_>, change: &Repack) -> Result<(), StoreError> {
    let now = clock::now();
    let Transaction { connection, cache } = transaction;
    let span = &change.span;
    let container = cache.row(connection, &span.container)?;
    for Packed { row, slots, .. } in &change.packed {
        let source = cache.source(connection, row.key.source)?;
        put_packed(
            connection,
            (container, source),
            row,
            *slots,
            OnConflict::Replace,
        )?;
    }
    for piece in &change.pieces {
        let source = cache.source(connection, piece.key.source)?;
        delete_piece(connection, (container, source), piece)?;
    }
    let mut pieces = Pieces::new(connection, OnConflict::Replace)?;
    for row in &change.rolled {
        let resolution = row.key.resolution;
        let coarse = resolution.packed_start(row.key.start);
        cache.mark(connection, (container, resolution, coarse), now)?;
        let ids = (container, cache.source(connection, row.key.source)?);
        pieces.put(ids, &row.key, row.form, &row.bytes)?;
    }
    cache.clear(
        connection,
        (container, span.resolution, span.start),
        span.marks.first().map_or(0, |mark| mark.number),
    )
}

/// Deletes a piece, unless it was replaced since it was merged.
fn delete_piece(
    connection: &Connection,
    (container, source): (ContainerRow, SourceRow),
    Merged { key, form, digest }: &Merged,
) -> Result<(), StoreError> {
    let doing = "delete a packed piece";
    let values = params![
        key.resolution as u8,
        number(key.start),
        container,
        source,
        form_number(*form)
    ];
    if let Some(merged) = digest {
        let stored: Option<Vec<u8>> = connection
            .prepare_cached(
                "SELECT bytes FROM piece WHERE resolution = ?1 AND start = ?2 AND container = ?3
                 AND source = ?4 AND form = ?5",
            )
            .and_then(|mut statement| statement.query_row(values, |row| row.get(0)).optional())
            .map_err(failed(doing))?;
        if stored.is_some_and(|stored| packing::digest(&stored) != *merged) {
            return Ok(());
        }
    }
    connection
        .prepare_cached(
            "DELETE FROM piece WHERE resolution = ?1 AND start = ?2 AND container = ?3
             AND source = ?4 AND form = ?5",
        )
        .and_then(|mut statement| statement.execute(values))
        .map(drop)
        .map_err(failed(doing))
}
