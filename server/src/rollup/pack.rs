//! Packs one span: its pieces become one row for each source, and a slot of the coarser resolution.

use std::collections::BTreeMap;

use bubble_common::segment::codec::Effort;
use bubble_common::segment::fold::Caps;
use bubble_common::segment::merge::MergeError;
use bubble_common::segment::{Facts, Resolution, Segment, SourceId};

use crate::span::activity::{Activity, activity};
use crate::span::complete::complete_posted;
use crate::span::row::{Form, Piece, Row, damaged_segment, decode, note_damage};
use crate::span::unite::{finer, known_slot, roll, slot_bits, unite};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::packing::{Contribution, DirtySpan, Merged, Packed, Repack, digest};
use crate::store::retained::Retained;

/// Why a span could not be packed. It stays dirty.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Stored segments do not fit together.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The thread that packed it panicked.
    #[error("packing stopped: its thread panicked")]
    Panicked,
}

/// Packs a dirty span and rolls it up. Idempotent. Damaged rows are left out and noted as a loss.
///
/// # Errors
/// When the store fails, or its segments cannot be merged.
pub async fn pack(store: &dyn Store, span: DirtySpan) -> Result<(), PackError> {
    let resolution = span.resolution;
    let rows = store.range_of_dirty(&span).await?;
    let (coarse, retained) = match resolution.coarser() {
        Some(coarser) => (
            store.slot(&span.container, coarser, span.start).await?,
            Retained::read(store, &span.container, resolution).await?,
        ),
        None => (Vec::new(), Retained::default()),
    };
    let fine = match finer(resolution) {
        Some(finer) if rows.iter().any(|row| row.form == Form::Posted) => {
            let whole = span.start..span.start + resolution.packed_seconds();
            store.range(&span.container, finer, whole).await?
        }
        _ => Vec::new(),
    };
    let change = tokio::task::spawn_blocking(move || repack(span, rows, fine, coarse, &retained))
        .await
        .map_err(|_| PackError::Panicked)??;
    Ok(store.repack(change).await?)
}

/// The change that packing `rows` makes. `fine` are the finer rows of the span, if coarse pieces were
/// posted, and `coarse` the rows that hold the coarser slot so far.
fn repack(
    span: DirtySpan,
    rows: Vec<Row>,
    fine: Vec<Row>,
    coarse: Vec<Row>,
    retained: &Retained,
) -> Result<Repack, PackError> {
    let (mut fine, mut coarse) = (by_source(fine), by_source(coarse));
    let mut change = Repack {
        packed: Vec::new(),
        pieces: Vec::new(),
        rolled: Vec::new(),
        contributions: Vec::new(),
        span,
    };
    let mut sources: BTreeMap<SourceId, Vec<Row>> = BTreeMap::new();
    for row in rows {
        sources.entry(row.key.source).or_default().push(row);
    }
    let start = change.span.start;
    for (source, rows) in sources {
        let packed = pack_source(&mut change, rows, fine.remove(&source).unwrap_or_default())?;
        let coarse = coarse.remove(&source).unwrap_or_default();
        let complete = retained.is_complete(source, start);
        if packed.coverage.iter().all(|coverage| coverage.is_gap()) {
            continue;
        }
        if let Some(slot) = roll(known_slot(&coarse, start).as_ref(), &packed, complete)? {
            let slot = slot.fold(&Caps::for_resolution(slot_resolution(&packed)));
            let slots = slot.coverage.first().map_or(0, |coverage| coverage.0);
            change
                .contributions
                .push(contribution(&packed, slots, &slot));
            change
                .rolled
                .push(Row::new(&slot, Form::Rolled, Effort::Fast));
        }
    }
    Ok(change)
}

/// Packs the rows of one source, adds the result to `change`, and returns it.
fn pack_source(
    change: &mut Repack,
    rows: Vec<Row>,
    fine: Vec<Piece>,
) -> Result<Segment, PackError> {
    let pieces = rows.iter().filter(|row| row.form != Form::Packed);
    change.pieces.extend(pieces.map(Merged::of));
    let base = rows.iter().find(|row| row.form == Form::Packed);
    let replaces = base.map(|row| digest(&row.bytes));
    let unchanged = rows.iter().all(|row| row.form == Form::Packed);
    let packed = whole_span(unite_undamaged(rows, &fine)?, change.span.start)?;
    if unchanged {
        return Ok(packed);
    }
    let slots = slot_bits(&packed);
    let row = Row::new(&packed, Form::Packed, Effort::Small);
    change.packed.push(Packed {
        row,
        slots,
        replaces,
    });
    if packed.key.resolution.coarser().is_none() {
        let contribution = contribution(&packed, slots, &packed);
        change.contributions.push(contribution);
    }
    Ok(packed)
}

/// Unites the rows of one source that are not damaged, and notes the damaged ones as a loss.
fn unite_undamaged(rows: Vec<Row>, fine: &[Piece]) -> Result<Segment, MergeError> {
    let (pieces, damaged) = decode(rows);
    let pieces = complete_posted(pieces, fine)?;
    match damaged.first() {
        None => unite(&pieces),
        Some(key) if pieces.is_empty() => Ok(damaged_segment(key.clone())),
        Some(_) => Ok(note_damage(&unite(&pieces)?, damaged.len())),
    }
}

/// What a packed span adds to the container's sums. The sums come from the slot that it makes,
/// which may hold more where finer rows have expired. The rest comes from the span itself.
fn contribution(packed: &Segment, slots: u64, slot: &Segment) -> Contribution {
    let sums = activity(slot);
    Contribution {
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
fn whole_span(united: Segment, start: u64) -> Result<Segment, MergeError> {
    let resolution = united.key.resolution;
    let whole = united.slice(start..start + resolution.packed_seconds())?;
    Ok(whole.fold(&Caps::for_resolution(resolution)))
}

fn by_source(rows: Vec<Row>) -> BTreeMap<SourceId, Vec<Piece>> {
    let mut sources: BTreeMap<SourceId, Vec<Piece>> = BTreeMap::new();
    for piece in decode(rows).0 {
        let source = piece.segment.key.source;
        sources.entry(source).or_default().push(piece);
    }
    sources
}
