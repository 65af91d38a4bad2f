//! Reading rows and marks.

use std::ops::Range;

use bubble_common::segment::{ContainerId, Key, Resolution, SourceId};
use rusqlite::{Connection, OptionalExtension, params};

use super::entry;
use super::row_id::{ContainerRow, SourceRow};
use super::versions::Versions;
use crate::span::row::{Form, Row};
use crate::span::unite::{slot_bits_of, sub_slots_of};
use crate::store::column::{form_number, form_of, number, unsigned};
use crate::store::error::{StoreError, failed};
use crate::store::packing::{DirtySpan, Mark};

/// All rows whose span meets `span`, in one snapshot.
pub(super) fn range(
    connection: &mut Connection,
    id: &ContainerId,
    resolution: Resolution,
    span: Range<u64>,
) -> Result<Vec<Row>, StoreError> {
    let doing = "read segments";
    // One transaction shows a span that is packed meanwhile either before or after that.
    let transaction = connection.transaction().map_err(failed(doing))?;
    let Some(container) = entry::row_of(&transaction, id)? else {
        return Ok(Vec::new());
    };
    let starts = resolution.packed_start(span.start)..span.end;
    let mut found = packed(&transaction, (id, container), resolution, &starts)?;
    // Pieces are ordered by time, not by container. A mark tells where a container has some.
    for start in dirty_starts(&transaction, container, resolution, starts)? {
        found.extend(pieces(&transaction, (id, container), resolution, start)?);
    }
    transaction.commit().map_err(failed(doing))?;
    Ok(found)
}

/// The packed rows of spans that start in `starts`.
fn packed(
    connection: &Connection,
    (id, container): (&ContainerId, ContainerRow),
    resolution: Resolution,
    starts: &Range<u64>,
) -> Result<Vec<Row>, StoreError> {
    connection
        .prepare_cached(
            "SELECT packed.start, source.uuid, packed.bytes FROM packed JOIN source ON source.id = packed.source
             WHERE packed.container = ?1 AND packed.resolution = ?2 AND packed.start >= ?3 AND packed.start < ?4
             ORDER BY packed.start, packed.source",
        )
        .and_then(|mut statement| {
            let values =
                params![container, resolution as u8, number(starts.start), number(starts.end)];
            let rows = statement.query_map(values, |row| {
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
            })?;
            rows.collect()
        })
        .map_err(failed("read segments"))
}

/// Slots of the posted pieces of one source in the packed span of `key`, as bits.
pub(super) fn piece_slots(
    connection: &Connection,
    (container, source): (ContainerRow, SourceRow),
    key: &Key,
) -> Result<u64, StoreError> {
    let doing = "look for pieces";
    let mut statement = connection
        .prepare_cached(
            "SELECT bytes FROM piece WHERE resolution = ?1 AND start = ?2 AND container = ?3
             AND source = ?4 AND form = ?5",
        )
        .map_err(failed(doing))?;
    let resolution = key.resolution;
    let first = resolution.packed_start(key.start);
    let mut bits = 0;
    for slot in 0..resolution.packed_slots() {
        let start = first + slot * resolution.seconds();
        let form = form_number(Form::Posted);
        let values = params![resolution as u8, number(start), container, source, form];
        let found: Option<Vec<u8>> = statement
            .query_row(values, |row| row.get(0))
            .optional()
            .map_err(failed(doing))?;
        if let Some(bytes) = found {
            let key = Key {
                start,
                ..key.clone()
            };
            let form = Form::Posted;
            bits |= slot_bits_of(&Row { key, form, bytes });
        }
    }
    Ok(bits)
}

/// Seconds of the minute of `key` that rows of minutes of its source contain, as bits: an agent whose
/// spool was full posts minutes.
pub(super) fn minute_slots(
    connection: &Connection,
    (container, source): (ContainerRow, SourceRow),
    key: &Key,
) -> Result<u64, StoreError> {
    let doing = "look for minutes";
    let resolution = Resolution::Minute;
    let minute = key.start - key.start % resolution.seconds();
    let span = resolution.packed_start(minute);
    let sub_slots = |start: u64, form: Form, bytes: Vec<u8>| {
        let key = Key {
            start,
            resolution,
            ..key.clone()
        };
        sub_slots_of(&Row { key, form, bytes }, minute)
    };
    let mut pieces = connection
        .prepare_cached(
            "SELECT form, bytes FROM piece WHERE resolution = ?1 AND start = ?2 AND container = ?3
             AND source = ?4 AND (form = ?5 OR start = ?6)",
        )
        .map_err(failed(doing))?;
    let mut bits = 0;
    // A posted piece may have several slots.
    for start in (span..=minute).step_by(resolution.seconds() as usize) {
        let posted = form_number(Form::Posted);
        let at = number(start);
        let values = params![
            resolution as u8,
            at,
            container,
            source,
            posted,
            number(minute)
        ];
        let found = pieces.query_map(values, |row| Ok((form_of(row.get(0)?), row.get(1)?)));
        for piece in found.map_err(failed(doing))? {
            let (form, bytes) = piece.map_err(failed(doing))?;
            bits |= sub_slots(start, form, bytes);
        }
    }
    let packed = connection
        .prepare_cached(
            "SELECT bytes FROM packed WHERE container = ?1 AND resolution = ?2 AND start = ?3
             AND source = ?4",
        )
        .and_then(|mut statement| {
            let values = params![container, resolution as u8, number(span), source];
            statement.query_row(values, |row| row.get(0)).optional()
        })
        .map_err(failed(doing))?;
    Ok(bits | packed.map_or(0, |bytes| sub_slots(span, Form::Packed, bytes)))
}

/// The pieces of the span at `start`.
fn pieces(
    connection: &Connection,
    (id, container): (&ContainerId, ContainerRow),
    resolution: Resolution,
    start: u64,
) -> Result<Vec<Row>, StoreError> {
    let doing = "read segments";
    let mut statement = connection
        .prepare_cached(
            "SELECT source.uuid, piece.form, piece.bytes FROM piece JOIN source ON source.id = piece.source
             WHERE piece.resolution = ?1 AND piece.start = ?2 AND piece.container = ?3",
        )
        .map_err(failed(doing))?;
    let mut found = Vec::new();
    for slot in 0..resolution.packed_slots() {
        let start = start + slot * resolution.seconds();
        let values = params![resolution as u8, number(start), container];
        let rows = statement
            .query_map(values, |row| {
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
    Ok(found)
}

/// Starts of a container's dirty spans that meet `span`.
pub(super) fn dirty_of(
    connection: &Connection,
    id: &ContainerId,
    resolution: Resolution,
    span: Range<u64>,
) -> Result<Vec<u64>, StoreError> {
    match entry::row_of(connection, id)? {
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
            let values =
                params![container, resolution as u8, number(starts.start), number(starts.end)];
            let rows = statement.query_map(values, |row| row.get(0).map(unsigned))?;
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
        Some((start, id)) => (number(*start), entry::row_of(connection, id)?.unwrap_or(0)),
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
            let values = params![
                resolution as u8,
                number(before),
                after.0,
                after.1,
                number(limit as u64)
            ];
            let rows = statement.query_map(values, |row| {
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
            Ok(with_mark(
                versions, row, container, resolution, start, touched,
            ))
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
    let Some(row) = entry::row_of(connection, &container)? else {
        return Ok(None);
    };
    let touched: Option<u64> = connection
        .prepare_cached(
            "SELECT touched FROM dirty WHERE container = ?1 AND resolution = ?2 AND start = ?3",
        )
        .and_then(|mut statement| {
            let values = params![row, resolution as u8, number(start)];
            statement
                .query_row(values, |row| row.get(0).map(unsigned))
                .optional()
        })
        .map_err(failed("look for a dirty span"))?;
    Ok(touched.map(|touched| with_mark(versions, row, container, resolution, start, touched)))
}

/// A dirty span with its mark, which is in memory.
fn with_mark(
    versions: &Versions,
    row: ContainerRow,
    container: ContainerId,
    resolution: Resolution,
    start: u64,
    touched: u64,
) -> DirtySpan {
    let version = versions.of((row, resolution, start));
    DirtySpan {
        container,
        resolution,
        start,
        touched: touched.max(version.at),
        marks: vec![Mark {
            writer: 0,
            number: version.number,
        }],
    }
}
