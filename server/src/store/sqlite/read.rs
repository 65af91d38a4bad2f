//! Reading rows and marks.

use std::ops::Range;

use bubble_common::segment::{ContainerId, Key, Resolution, SourceId};
use rusqlite::{Connection, OptionalExtension, params};

use super::index;
use super::memory::{ContainerRow, Versions};
use crate::store::column::{form_of, number, unsigned};
use crate::store::error::{StoreError, failed};
use crate::store::row::{DirtySpan, Form, Mark, Row};

/// All rows whose span meets `span`, as of one moment.
pub(super) fn range(
    connection: &mut Connection,
    id: &ContainerId,
    resolution: Resolution,
    span: Range<u64>,
) -> Result<Vec<Row>, StoreError> {
    let doing = "read segments";
    // One transaction: a span that is packed meanwhile is seen before or after, not between.
    let transaction = connection.transaction().map_err(failed(doing))?;
    let Some(container) = index::row_of(&transaction, id)? else {
        return Ok(Vec::new());
    };
    let first = resolution.packed_start(span.start);
    let mut found = Vec::new();
    {
        let mut packed = transaction
            .prepare_cached(
                "SELECT packed.start, source.uuid, packed.bytes FROM packed JOIN source ON source.id = packed.source
                 WHERE packed.container = ?1 AND packed.resolution = ?2 AND packed.start >= ?3 AND packed.start < ?4
                 ORDER BY packed.start, packed.source",
            )
            .map_err(failed(doing))?;
        let place = params![container, resolution as u8, number(first), number(span.end)];
        let rows = packed
            .query_map(place, |row| {
                Ok(Row {
                    key: Key {
                        container: id.clone(),
                        resolution,
                        start: unsigned(row.get(0)?),
                        source: SourceId(row.get(1)?),
                    },
                    form: Form::Packed,
                    bytes: row.get(2)?,
                })
            })
            .map_err(failed(doing))?;
        for row in rows {
            found.push(row.map_err(failed(doing))?);
        }
        // Pieces lie by time and not by container: they are asked for where a mark says that there are any.
        let mut pieces = transaction
            .prepare_cached(
                "SELECT source.uuid, piece.form, piece.bytes FROM piece JOIN source ON source.id = piece.source
                 WHERE piece.resolution = ?1 AND piece.start = ?2 AND piece.container = ?3",
            )
            .map_err(failed(doing))?;
        for start in dirty_starts(&transaction, container, resolution, first..span.end)? {
            for slot in 0..resolution.packed_slots() {
                let start = start + slot * resolution.seconds();
                let rows = pieces
                    .query_map(params![resolution as u8, number(start), container], |row| {
                        Ok(Row {
                            key: Key {
                                container: id.clone(),
                                resolution,
                                start,
                                source: SourceId(row.get(0)?),
                            },
                            form: form_of(row.get(1)?),
                            bytes: row.get(2)?,
                        })
                    })
                    .map_err(failed(doing))?;
                for row in rows {
                    found.push(row.map_err(failed(doing))?);
                }
            }
        }
    }
    transaction.commit().map_err(failed(doing))?;
    Ok(found)
}

/// Starts of a container's dirty spans that meet `span`.
pub(super) fn dirty_of(
    connection: &Connection,
    id: &ContainerId,
    resolution: Resolution,
    span: Range<u64>,
) -> Result<Vec<u64>, StoreError> {
    match index::row_of(connection, id)? {
        Some(container) => {
            let first = resolution.packed_start(span.start);
            dirty_starts(connection, container, resolution, first..span.end)
        }
        None => Ok(Vec::new()),
    }
}

pub(super) fn dirty_starts(
    connection: &Connection,
    container: ContainerRow,
    resolution: Resolution,
    starts: Range<u64>,
) -> Result<Vec<u64>, StoreError> {
    connection
        .prepare_cached(
            "SELECT start FROM dirty WHERE container = ?1 AND resolution = ?2 AND start >= ?3 AND start < ?4
             ORDER BY start",
        )
        .and_then(|mut statement| {
            let place =
                params![container, resolution as u8, number(starts.start), number(starts.end)];
            let rows = statement.query_map(place, |row| row.get(0).map(unsigned))?;
            rows.collect()
        })
        .map_err(failed("look for dirty spans"))
}

/// Dirty spans of all containers.
pub(super) fn dirty(
    connection: &Connection,
    versions: &Versions,
    resolution: Resolution,
    before: u64,
    after: Option<&(u64, ContainerId)>,
    limit: usize,
) -> Result<Vec<DirtySpan>, StoreError> {
    let after = match after {
        Some((start, id)) => (number(*start), index::row_of(connection, id)?.unwrap_or(0)),
        None => (-1, 0),
    };
    let rows: Vec<(ContainerRow, String, u64, u64)> = connection
        .prepare_cached(
            "SELECT dirty.container, container.name, dirty.start, dirty.touched
             FROM dirty JOIN container ON container.id = dirty.container
             WHERE dirty.resolution = ?1 AND dirty.start < ?2 AND (dirty.start, dirty.container) > (?3, ?4)
             ORDER BY dirty.start, dirty.container LIMIT ?5",
        )
        .and_then(|mut statement| {
            let place = params![
                resolution as u8,
                number(before),
                after.0,
                after.1,
                number(limit as u64)
            ];
            let rows = statement.query_map(place, |row| {
                Ok((
                    row.get(0)?,
                    row.get(1)?,
                    unsigned(row.get(2)?),
                    unsigned(row.get(3)?),
                ))
            })?;
            rows.collect()
        })
        .map_err(failed("look for dirty spans"))?;
    rows.into_iter()
        .map(|(row, name, start, touched)| {
            let container = ContainerId::new(&name).map_err(|error| StoreError::Corrupt {
                what: error.to_string(),
            })?;
            Ok(marked(versions, row, container, resolution, start, touched))
        })
        .collect()
}

/// One span of a container, if it is dirty.
pub(super) fn dirty_span(
    connection: &Connection,
    versions: &Versions,
    container: ContainerId,
    resolution: Resolution,
    start: u64,
) -> Result<Option<DirtySpan>, StoreError> {
    let Some(row) = index::row_of(connection, &container)? else {
        return Ok(None);
    };
    let touched: Option<u64> = connection
        .prepare_cached(
            "SELECT touched FROM dirty WHERE container = ?1 AND resolution = ?2 AND start = ?3",
        )
        .and_then(|mut statement| {
            let place = params![row, resolution as u8, number(start)];
            statement
                .query_row(place, |row| row.get(0).map(unsigned))
                .optional()
        })
        .map_err(failed("look for a dirty span"))?;
    Ok(touched.map(|touched| marked(versions, row, container, resolution, start, touched)))
}

/// A dirty span with its mark, which the writer has in memory.
fn marked(
    versions: &Versions,
    row: ContainerRow,
    container: ContainerId,
    resolution: Resolution,
    start: u64,
    touched: u64,
) -> DirtySpan {
    let touch = versions.of((row, resolution, start));
    DirtySpan {
        container,
        resolution,
        start,
        touched: touched.max(touch.at),
        marks: vec![Mark {
            writer: 0,
            number: touch.version,
        }],
    }
}
