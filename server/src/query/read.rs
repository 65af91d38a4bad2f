//! Reads a range as segments that can simply be added up: each slot of each source once.
//!
//! What is packed is taken as it is. What is not, and what has not been rolled
//! up yet, is united here by the very functions by which it will be packed, so
//! that there is no hole at "now", and nothing changes when packing comes round.

use std::collections::BTreeMap;
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;

use bubble_common::segment::{ContainerId, Resolution, Segment, SourceId};
use tracing::error;

use super::error::QueryError;
use crate::rollup::kept::Kept;
use crate::rollup::unite::{Piece, finer, known_slot, roll, unite};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::row::{Form, Row};

/// Rows of a range, and for the slots that are not rolled up yet, those of the finer resolution.
pub struct Gathered {
    resolution: Resolution,
    rows: Vec<Row>,
    finer: Vec<Finer>,
    /// What is left of the finer rows.
    kept: Kept,
}

/// The rows of a packed span of the finer resolution, which is one slot of the coarser.
struct Finer {
    start: u64,
    gathered: Gathered,
}

/// Fetches what is needed to answer for `span`.
///
/// # Errors
/// When the store fails.
pub fn gather<'a>(
    store: &'a dyn Store,
    container: &'a ContainerId,
    resolution: Resolution,
    span: Range<u64>,
) -> Pin<Box<dyn Future<Output = Result<Gathered, StoreError>> + Send + 'a>> {
    Box::pin(async move {
        let mut parts = Vec::new();
        let mut kept = Kept::default();
        // The finer first: what is packed in between is then seen twice, and counts once.
        if let Some(fine) = finer(resolution) {
            let waiting = pending(store, container, fine, span.clone()).await?;
            if !waiting.is_empty() {
                kept = Kept::new(store, container, fine).await?;
            }
            for start in waiting {
                let whole = start..start + fine.packed_seconds();
                parts.push(Finer {
                    start,
                    gathered: gather(store, container, fine, whole).await?,
                });
            }
        }
        Ok(Gathered {
            resolution,
            rows: store.range(container, resolution, span).await?,
            finer: parts,
            kept,
        })
    })
}

/// Starts of packed spans in which something is not rolled up yet, at this resolution or below.
fn pending<'a>(
    store: &'a dyn Store,
    container: &'a ContainerId,
    resolution: Resolution,
    span: Range<u64>,
) -> Pin<Box<dyn Future<Output = Result<Vec<u64>, StoreError>> + Send + 'a>> {
    Box::pin(async move {
        let mut starts = store.dirty_of(container, resolution, span.clone()).await?;
        if let Some(fine) = finer(resolution) {
            let below = pending(store, container, fine, span).await?;
            starts.extend(
                below
                    .into_iter()
                    .map(|start| resolution.packed_start(start)),
            );
            starts.sort_unstable();
            starts.dedup();
        }
        Ok(starts)
    })
}

impl Gathered {
    /// The segments. Takes as long as decoding does: not for a thread that must not block.
    ///
    /// # Errors
    /// When stored segments do not fit together. One that can't be decoded is
    /// logged and left out, and so shows as a gap.
    pub fn resolve(self) -> Result<Vec<Segment>, QueryError> {
        let resolution = self.resolution;
        let mut groups: BTreeMap<(u64, SourceId), Vec<Piece>> = BTreeMap::new();
        for row in self.rows {
            if let Some(piece) = decode(row) {
                let key = &piece.segment.key;
                let place = (resolution.packed_start(key.start), key.source);
                groups.entry(place).or_default().push(piece);
            }
        }
        for part in self.finer {
            for fine in part.gathered.resolve()? {
                let span = resolution.packed_start(part.start);
                let group = groups.entry((span, fine.key.source)).or_default();
                let whole = part.start..part.start + fine.key.resolution.packed_seconds();
                let fine = fine.slice(whole)?;
                let known = known_slot(group, part.start);
                let complete = self.kept.whole(fine.key.source, part.start);
                if let Some(segment) = roll(known.as_ref(), &fine, complete)? {
                    group.retain(|piece| {
                        piece.form != Form::Rolled || piece.segment.key.start != part.start
                    });
                    group.push(Piece {
                        form: Form::Rolled,
                        segment,
                    });
                }
            }
        }
        let united = groups.into_values().map(|mut group| match group.len() {
            1 => Ok(group.remove(0).segment),
            _ => unite(&group),
        });
        Ok(united.collect::<Result<_, _>>()?)
    }
}

fn decode(row: Row) -> Option<Piece> {
    match Segment::decode(&row.bytes) {
        Ok(segment) => Some(Piece {
            form: row.form,
            segment,
        }),
        Err(error) => {
            error!(%error, key = ?row.key, "a stored segment can't be decoded and is left out");
            None
        }
    }
}
