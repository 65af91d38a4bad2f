//! Reads a range as segments in which each slot of each source occurs once, so that they add up.
//!
//! Packed rows are read as they are. Pieces that are not packed or not rolled up yet are merged
//! here, by the functions that will pack them: there is no gap at "now", and packing changes no
//! answer.

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::ops::Range;
use std::pin::Pin;
use std::sync::Arc;

use bubble_common::segment::{ContainerId, Key, Resolution, Segment, SourceId};

use super::bound::Bound;
use super::decoded::Size;
use super::error::QueryError;
use crate::span::complete::complete_posted;
use crate::span::row::{DamagedRow, Form, Piece, Row, damaged_segment, report};
use crate::span::unite::{finer, known_slot, roll, unite};
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::retained::Retained;

/// Rows of a range, and the finer rows of the slots that are not rolled up yet.
pub struct Gathered {
    resolution: Resolution,
    rows: Vec<Row>,
    /// The finer rows of the spans of posted rows, which may lack a part of them.
    beside_posted: Vec<Row>,
    finer: Vec<Finer>,
    /// Which finer rows still exist.
    retained: Retained,
    bound: Arc<Bound>,
}

/// Pieces by the start of their packed span, and source.
type Groups = BTreeMap<(u64, SourceId), Vec<Piece>>;

/// The rows of one packed span: one slot of the coarser resolution.
struct Finer {
    start: u64,
    gathered: Gathered,
}

/// Reads the rows that answer for `span`, without a bound on memory.
///
/// # Errors
/// When the store fails.
pub async fn gather(
    store: &dyn Store,
    container: &ContainerId,
    resolution: Resolution,
    span: Range<u64>,
) -> Result<Gathered, QueryError> {
    gather_within(store, container, resolution, span, Bound::none()).await
}

/// Reads the rows that answer for `span`, within `bound`.
///
/// # Errors
/// When the store fails, or they need more memory.
pub(super) fn gather_within<'a>(
    store: &'a dyn Store,
    container: &'a ContainerId,
    resolution: Resolution,
    span: Range<u64>,
    bound: Arc<Bound>,
) -> Pin<Box<dyn Future<Output = Result<Gathered, QueryError>> + Send + 'a>> {
    Box::pin(async move {
        let mut parts = Vec::new();
        let mut retained = Retained::default();
        // The finer rows first: a span that is packed in between is read twice, and counts once.
        if let Some(fine) = finer(resolution) {
            let waiting = pending(store, container, fine, span.clone()).await?;
            if !waiting.is_empty() {
                retained = Retained::read(store, container, fine).await?;
            }
            for start in waiting {
                let whole = start..start + fine.packed_seconds();
                parts.push(Finer {
                    start,
                    gathered: gather_within(store, container, fine, whole, Arc::clone(&bound))
                        .await?,
                });
            }
        }
        let rows = store.range(container, resolution, span).await?;
        bound.take(rows.iter().map(size).sum())?;
        let beside_posted = beside_posted(store, container, resolution, &rows, &bound).await?;
        Ok(Gathered {
            resolution,
            rows,
            beside_posted,
            finer: parts,
            retained,
            bound,
        })
    })
}

/// The finer rows of the packed spans in which rows were posted at this resolution: see
/// [`complete_posted`].
async fn beside_posted(
    store: &dyn Store,
    container: &ContainerId,
    resolution: Resolution,
    rows: &[Row],
    bound: &Bound,
) -> Result<Vec<Row>, QueryError> {
    let Some(fine) = finer(resolution) else {
        return Ok(Vec::new());
    };
    let posted = rows.iter().filter(|row| row.form == Form::Posted);
    let spans: BTreeSet<u64> = posted
        .map(|row| resolution.packed_start(row.key.start))
        .collect();
    let mut beside = Vec::new();
    for start in spans {
        let whole = start..start + resolution.packed_seconds();
        let rows = store.range(container, fine, whole).await?;
        bound.take(rows.iter().map(size).sum())?;
        beside.extend(rows);
    }
    Ok(beside)
}

/// Starts of the packed spans that are not rolled up yet, at this resolution or a finer one.
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
    /// Decodes and merges the segments. Blocks for as long as that takes. A damaged row is logged and
    /// left out: it is a gap in the answer, with the loss [`Reason::STORE_DAMAGED`].
    ///
    /// # Errors
    /// When stored segments cannot be merged, or need more memory.
    ///
    /// [`Reason::STORE_DAMAGED`]: bubble_common::segment::loss::Reason::STORE_DAMAGED
    pub fn resolve(self) -> Result<Vec<Arc<Segment>>, QueryError> {
        let resolution = self.resolution;
        let mut damaged = Vec::new();
        let mut segments = self.resolve_undamaged(&mut damaged)?;
        // Not merged with the others: a slot without coverage would be dropped there.
        segments.extend(damaged.into_iter().map(|key| {
            Arc::new(damaged_segment(Key {
                start: key.start - key.start % resolution.seconds(),
                resolution,
                ..key
            }))
        }));
        Ok(segments)
    }

    /// Does the same without damaged rows, and adds their keys to `damaged`.
    fn resolve_undamaged(self, damaged: &mut Vec<Key>) -> Result<Vec<Arc<Segment>>, QueryError> {
        let resolution = self.resolution;
        let mut groups = group(self.rows, resolution, &self.bound, |row| {
            report(&row);
            damaged.push(row.key);
        })?;
        // Those that are damaged are reported when they are read for their own sake.
        let beside = group(self.beside_posted, resolution, &self.bound, drop)?;
        for part in self.finer {
            for fine in part.gathered.resolve_undamaged(damaged)? {
                let span = resolution.packed_start(part.start);
                let group = groups.entry((span, fine.key.source)).or_default();
                let whole = part.start..part.start + fine.key.resolution.packed_seconds();
                let fine = fine.slice(whole)?;
                let known = known_slot(group, part.start);
                let complete = self.retained.is_complete(fine.key.source, part.start);
                if let Some(segment) = roll(known.as_ref(), &fine, complete)? {
                    group.retain(|piece| {
                        piece.form != Form::Rolled || piece.segment.key.start != part.start
                    });
                    group.push(Piece {
                        form: Form::Rolled,
                        segment: Arc::new(segment),
                    });
                }
            }
        }
        let united = groups.into_iter().map(|(place, group)| {
            let fine = beside.get(&place).map(Vec::as_slice).unwrap_or_default();
            let mut group = complete_posted(group, fine)?;
            match group.len() {
                1 => Ok(group.remove(0).segment),
                _ => unite_within(&group, &self.bound),
            }
        });
        united.collect()
    }
}

/// Decodes rows. Groups them by source and by the packed span of `resolution` that they are in.
fn group(
    rows: Vec<Row>,
    resolution: Resolution,
    bound: &Bound,
    mut on_damaged: impl FnMut(DamagedRow),
) -> Result<Groups, QueryError> {
    let mut groups = Groups::new();
    for row in rows {
        let bytes = size(&row);
        let decoded = bound.decode(row)?;
        bound.give_back(bytes);
        match decoded {
            Ok(piece) => {
                let key = &piece.segment.key;
                let place = (resolution.packed_start(key.start), key.source);
                groups.entry(place).or_default().push(piece);
            }
            Err(row) => on_damaged(row),
        }
    }
    Ok(groups)
}

/// Memory of a row that is not decoded yet.
fn size(row: &Row) -> usize {
    size_of::<Row>() + row.bytes.len()
}

/// Unites rows within `bound`.
fn unite_within(pieces: &[Piece], bound: &Bound) -> Result<Arc<Segment>, QueryError> {
    let sizes = pieces.iter().map(|piece| Size::of(&piece.segment));
    let size = sizes.map(|size| size.total()).sum();
    bound.take(size)?;
    let united = unite(pieces)?;
    // The pieces are dropped, or belong to the cache.
    bound.give_back(size);
    Ok(Arc::new(united))
}
