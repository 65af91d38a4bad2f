//! Packing one span: its pieces become one row a source, and a slot of the coarser resolution.

use std::collections::BTreeMap;

use bubble_common::segment::codec::{DecodeError, Effort};
use bubble_common::segment::fold::Caps;
use bubble_common::segment::merge::MergeError;
use bubble_common::segment::{Facts, Key, Resolution, Segment, SourceId};

use super::kept::Kept;
use super::unite::{Piece, known_slot, roll, slot_bits, unite};
use crate::ingest::activity::activity;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::row::{Activity, DirtySpan, Form, Packed, Repack, Row, Worth, digest};

/// Why a span could not be packed. It stays dirty.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A stored segment can't be read.
    #[error("the stored segment {key:?} can't be decoded: {source}")]
    Decode {
        /// Which.
        key: Key,
        /// Why.
        source: DecodeError,
    },
    /// Stored segments do not fit together.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The thread that worked on it panicked.
    #[error("packing was cut short")]
    Cut,
}

/// Packs a dirty span and rolls it up. Doing it twice gives the same as once.
///
/// # Errors
/// When the store fails or what it holds can't be read.
pub async fn pack(store: &dyn Store, span: DirtySpan) -> Result<(), PackError> {
    let resolution = span.resolution;
    let rows = store.range_of_dirty(&span).await?;
    let (coarse, kept) = match resolution.coarser() {
        Some(coarser) => (
            store.slot(&span.container, coarser, span.start).await?,
            Kept::new(store, &span.container, resolution).await?,
        ),
        None => (Vec::new(), Kept::default()),
    };
    let change = tokio::task::spawn_blocking(move || repack(span, rows, coarse, &kept))
        .await
        .map_err(|_| PackError::Cut)??;
    Ok(store.repack(change).await?)
}

fn repack(
    span: DirtySpan,
    rows: Vec<Row>,
    coarse: Vec<Row>,
    kept: &Kept,
) -> Result<Repack, PackError> {
    let mut known = by_source(coarse)?;
    let mut change = Repack {
        packed: Vec::new(),
        pieces: Vec::new(),
        rolled: Vec::new(),
        worth: Vec::new(),
        span,
    };
    let mut sources: BTreeMap<SourceId, Vec<Row>> = BTreeMap::new();
    for row in rows {
        sources.entry(row.key.source).or_default().push(row);
    }
    for (source, rows) in sources {
        let pieces = rows.iter().filter(|row| row.form != Form::Packed);
        change
            .pieces
            .extend(pieces.map(|row| (row.key.clone(), row.form)));
        let base = rows.iter().find(|row| row.form == Form::Packed);
        let replaces = base.map(|row| digest(&row.bytes));
        let untouched = rows.iter().all(|row| row.form == Form::Packed);
        let united = unite(&decode(rows)?)?;
        let packed = packed(united, change.span.start)?;
        if !untouched {
            let row = Row {
                key: packed.key.clone(),
                form: Form::Packed,
                bytes: packed.encode(Effort::Small),
            };
            change.packed.push(Packed {
                row,
                slots: slot_bits(&packed),
                replaces,
            });
            if packed.key.resolution.coarser().is_none() {
                change
                    .worth
                    .push(worth(&packed, slot_bits(&packed), &packed));
            }
        }
        let start = change.span.start;
        let known = known.remove(&source).unwrap_or_default();
        let complete = kept.whole(source, start);
        if let Some(slot) = roll(known_slot(&known, start).as_ref(), &packed, complete)? {
            let slot = slot.fold(&Caps::of(slot_resolution(&packed)));
            let slots = slot.coverage.first().map_or(0, |coverage| coverage.0);
            change.worth.push(worth(&packed, slots, &slot));
            change.rolled.push(Row {
                key: slot.key.clone(),
                form: Form::Rolled,
                bytes: slot.encode(Effort::Fast),
            });
        }
    }
    Ok(change)
}

/// What a packed span is worth: the sums are those of the slot that it makes, which
/// may know more where finer rows have expired; the rest is known better by itself.
fn worth(packed: &Segment, slots: u64, slot: &Segment) -> Worth {
    let sums = activity(slot);
    Worth {
        source: packed.key.source,
        slots,
        activity: Activity {
            cpu_ns: sums.cpu_ns,
            bytes_in: sums.bytes_in,
            bytes_out: sums.bytes_out,
            memory_peak: sums.memory_peak,
            facts: Facts::new(),
            ..activity(packed)
        },
    }
}

fn slot_resolution(packed: &Segment) -> Resolution {
    let resolution = packed.key.resolution;
    resolution.coarser().unwrap_or(resolution)
}

/// The whole packed span that begins at `start`, within the caps.
fn packed(united: Segment, start: u64) -> Result<Segment, MergeError> {
    let resolution = united.key.resolution;
    let whole = united.slice(start..start + resolution.packed_seconds())?;
    Ok(whole.fold(&Caps::of(resolution)))
}

fn by_source(rows: Vec<Row>) -> Result<BTreeMap<SourceId, Vec<Piece>>, PackError> {
    let mut sources: BTreeMap<SourceId, Vec<Piece>> = BTreeMap::new();
    for piece in decode(rows)? {
        let source = piece.segment.key.source;
        sources.entry(source).or_default().push(piece);
    }
    Ok(sources)
}

/// Decodes rows, in their order.
pub(crate) fn decode(rows: Vec<Row>) -> Result<Vec<Piece>, PackError> {
    let decode = |row: Row| match Segment::decode(&row.bytes) {
        Ok(segment) => Ok(Piece {
            form: row.form,
            segment,
        }),
        Err(source) => Err(PackError::Decode {
            key: row.key,
            source,
        }),
    };
    rows.into_iter().map(decode).collect()
}
