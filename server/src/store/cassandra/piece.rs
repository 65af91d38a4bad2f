//! Pieces, which are not packed yet: one packed span in a partition.

use std::collections::{BTreeMap, HashMap, HashSet};

use bubble_common::segment::{ContainerId, Key, Resolution, SourceId};
use scylla::value::CqlValue;

use super::mark::Span;
use super::session::Cql;
use super::value::{big, blob, resolution_number, source_of, text, tiny};
use crate::span::row::{Form, Row};
use crate::span::unite::{slot_bit, slot_bits_of};
use crate::store::column::{form_number, form_of, number, unsigned};
use crate::store::error::StoreError;
use crate::store::packing::digest;

type PieceRow = (i64, Vec<u8>, i8, Vec<u8>);
type VersionRow = (i64, Vec<u8>, i8, Vec<u8>, i64);

/// Reads the pieces of a span.
pub(super) async fn read(cql: &Cql, span: Span) -> Result<Vec<Row>, StoreError> {
    let rows: Vec<PieceRow> = cql
        .rows(
            "read segments",
            "SELECT start, source, form, bytes FROM piece
             WHERE container = ? AND resolution = ? AND span = ?",
            (
                span.container.as_str(),
                resolution_number(span.resolution),
                number(span.start),
            ),
        )
        .await?;
    let row = |(start, source, form, bytes): PieceRow| {
        Ok(Row {
            key: Key {
                container: span.container.clone(),
                resolution: span.resolution,
                start: unsigned(start),
                source: source_of(&source)?,
            },
            form: form_of(form),
            bytes,
        })
    };
    rows.into_iter().map(row).collect()
}

/// Whether a piece was rolled into the slot at `at`.
pub(super) async fn is_rolled(
    cql: &Cql,
    container: &ContainerId,
    resolution: Resolution,
    at: u64,
) -> Result<bool, StoreError> {
    let pieces: Vec<(i8,)> = cql
        .rows(
            "look for pieces",
            "SELECT form FROM piece
             WHERE container = ? AND resolution = ? AND span = ? AND start = ?",
            (
                container.as_str(),
                resolution_number(resolution),
                number(resolution.packed_start(at)),
                number(at),
            ),
        )
        .await?;
    let mut forms = pieces.into_iter().map(|(form,)| form_of(form));
    Ok(forms.any(|form| form == Form::Rolled))
}

/// The posted pieces of a span: key of each, and its slots as bits. They are read as a whole, so
/// only for posts that may overlap them.
pub(super) async fn posted_slots(cql: &Cql, span: Span) -> Result<Vec<(Key, u64)>, StoreError> {
    let rows = read(cql, span).await?.into_iter();
    let posted = rows.filter(|row| row.form == Form::Posted);
    Ok(posted
        .map(|row| {
            let slots = slot_bits_of(&row);
            (row.key, slots)
        })
        .collect())
}

/// Slots at which the posted pieces of a span start, as bits, by source.
pub(super) async fn posted(cql: &Cql, span: &Span) -> Result<HashMap<SourceId, u64>, StoreError> {
    let mut posted: HashMap<SourceId, u64> = HashMap::new();
    for (start, source, form) in keys(cql, span).await? {
        if form == Form::Posted {
            *posted.entry(source).or_default() |= slot_bit(span.resolution, start);
        }
    }
    Ok(posted)
}

/// Start, source and form of each piece of a span.
async fn keys(cql: &Cql, span: &Span) -> Result<Vec<(u64, SourceId, Form)>, StoreError> {
    let rows: Vec<(i64, Vec<u8>, i8)> = cql
        .rows(
            "look for pieces",
            "SELECT start, source, form FROM piece
             WHERE container = ? AND resolution = ? AND span = ?",
            (
                span.container.as_str(),
                resolution_number(span.resolution),
                number(span.start),
            ),
        )
        .await?;
    let key = |(start, source, form): (i64, Vec<u8>, i8)| {
        Ok((unsigned(start), source_of(&source)?, form_of(form)))
    };
    rows.into_iter().map(key).collect()
}

/// The pieces of `sources` that may hold the slot at `at`. A posted one may have several slots.
pub(super) async fn of_slot(
    cql: &Cql,
    span: &Span,
    at: u64,
    sources: &HashSet<SourceId>,
) -> Result<Vec<Row>, StoreError> {
    let mut rows = Vec::new();
    for (start, source, form) in keys(cql, span).await? {
        let may_hold = start == at || (start < at && form == Form::Posted);
        if !may_hold || !sources.contains(&source) {
            continue;
        }
        let bytes: Vec<(Vec<u8>,)> = cql
            .rows(
                "read segments",
                "SELECT bytes FROM piece WHERE container = ? AND resolution = ? AND span = ?
                 AND start = ? AND source = ? AND form = ?",
                (
                    span.container.as_str(),
                    resolution_number(span.resolution),
                    number(span.start),
                    number(start),
                    &source.0[..],
                    form_number(form),
                ),
            )
            .await?;
        rows.extend(bytes.into_iter().map(|(bytes,)| Row {
            key: Key {
                container: span.container.clone(),
                resolution: span.resolution,
                start,
                source,
            },
            form,
            bytes,
        }));
    }
    Ok(rows)
}

/// A stored piece, with what tells whether it has been replaced.
pub(super) struct Version {
    pub(super) key: Key,
    pub(super) form: Form,
    /// [`digest`] of its bytes.
    pub(super) digest: i64,
    /// Timestamp of its write in Cassandra: µs since the Unix epoch.
    written: i64,
}

/// The pieces of a span as they are now.
pub(super) async fn versions(cql: &Cql, span: &Span) -> Result<Vec<Version>, StoreError> {
    let rows: Vec<VersionRow> = cql
        .rows(
            "look for pieces",
            "SELECT start, source, form, bytes, writetime(bytes) FROM piece
             WHERE container = ? AND resolution = ? AND span = ?",
            (
                span.container.as_str(),
                resolution_number(span.resolution),
                number(span.start),
            ),
        )
        .await?;
    let version = |(start, source, form, bytes, written): VersionRow| {
        Ok(Version {
            key: Key {
                container: span.container.clone(),
                resolution: span.resolution,
                start: unsigned(start),
                source: source_of(&source)?,
            },
            form: form_of(form),
            digest: digest(&bytes),
            written,
        })
    };
    rows.into_iter().map(version).collect()
}

/// Deletes pieces, unless they were replaced since they were read.
pub(super) async fn delete_as_read(
    cql: &Cql,
    span: &Span,
    pieces: impl Iterator<Item = &Version>,
) -> Result<(), StoreError> {
    let delete = |Version {
                      key, form, written, ..
                  }: &Version| {
        (
            "DELETE FROM piece USING TIMESTAMP ?
             WHERE container = ? AND resolution = ? AND span = ?
             AND start = ? AND source = ? AND form = ?",
            vec![
                Some(CqlValue::BigInt(*written)),
                text(span.container.as_str()),
                tiny(resolution_number(span.resolution)),
                big(span.start),
                big(key.start),
                blob(&key.source.0),
                tiny(form_number(*form)),
            ],
        )
    };
    cql.write_in_parts("delete a piece", pieces.map(delete).collect())
        .await
}

/// Writes a piece; replaces one with the same key and form.
pub(super) async fn write(
    cql: &Cql,
    span: &Span,
    key: &Key,
    form: Form,
    bytes: &[u8],
) -> Result<(), StoreError> {
    cql.write(
        "store a segment",
        "INSERT INTO piece (container, resolution, span, start, source, form, bytes)
         VALUES (?, ?, ?, ?, ?, ?, ?)",
        (
            span.container.as_str(),
            resolution_number(span.resolution),
            number(span.start),
            number(key.start),
            &key.source.0[..],
            form_number(form),
            bytes,
        ),
    )
    .await
}

/// Deletes pieces of a span by their keys, with one statement for each source and form.
pub(super) async fn delete(
    cql: &Cql,
    span: &Span,
    pieces: impl Iterator<Item = (&Key, Form)>,
) -> Result<(), StoreError> {
    let mut starts: BTreeMap<(SourceId, Form), Vec<CqlValue>> = BTreeMap::new();
    for (key, form) in pieces {
        let of_source = starts.entry((key.source, form)).or_default();
        of_source.push(CqlValue::BigInt(number(key.start)));
    }
    let delete = |((source, form), starts): ((SourceId, Form), Vec<CqlValue>)| {
        (
            "DELETE FROM piece WHERE container = ? AND resolution = ? AND span = ?
             AND start IN ? AND source = ? AND form = ?",
            vec![
                text(span.container.as_str()),
                tiny(resolution_number(span.resolution)),
                big(span.start),
                Some(CqlValue::List(starts)),
                blob(&source.0),
                tiny(form_number(form)),
            ],
        )
    };
    cql.write_in_parts("delete a piece", starts.into_iter().map(delete).collect())
        .await
}
