//! Pieces, which are not packed yet: one packed span in a partition.

use std::collections::{BTreeMap, HashMap};

use bubble_common::segment::{ContainerId, Key, Resolution, SourceId};
use scylla::value::CqlValue;

use super::mark::Span;
use super::session::Cql;
use super::value::{big, blob, resolution_number, source_of, text, tiny};
use crate::span::row::{Form, Row};
use crate::span::unite::{slot_bit, slot_bits_of};
use crate::store::column::{form_number, form_of, number, unsigned};
use crate::store::error::StoreError;

type PieceRow = (i64, Vec<u8>, i8, Vec<u8>);

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
    let mut posted: HashMap<SourceId, u64> = HashMap::new();
    for (start, source, form) in rows {
        if form == form_number(Form::Posted) {
            let start = slot_bit(span.resolution, unsigned(start));
            *posted.entry(source_of(&source)?).or_default() |= start;
        }
    }
    Ok(posted)
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
