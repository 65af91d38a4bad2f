//! Reads the whole life of a container with as few folded rows as are stored.
//!
//! Coarse rows answer for long times, but their tables are folded. Where a coarse slot has a folded
//! row, the finer rows of that slot replace it, if all of them still exist. So each slot of each source
//! is read once, at one resolution, and sums stay exact.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use bubble_common::segment::file::File;
use bubble_common::segment::network::Connection;
use bubble_common::segment::{ContainerId, Resolution, Segment, SourceId};

use crate::query::bound::Bound;
use crate::query::error::QueryError;
use crate::query::read;
use crate::span::unite::{finer, keep_slots, slot_bits};
use crate::store::Store;
use crate::store::container::Container;

/// Finer spans that are read at most, the newest first. The rest stays folded.
const MAX_SPANS: usize = 4_000;

/// A slot of a source: its source and its start.
type SlotOf = (SourceId, u64);

/// Segments that add up to the whole life of `container`.
///
/// # Errors
/// When the store fails, or its segments cannot be merged or need more memory.
pub(super) async fn read(
    store: &dyn Store,
    container: &Container,
    bound: &Arc<Bound>,
) -> Result<Vec<Arc<Segment>>, QueryError> {
    let id = &container.id;
    let mut resolution = Resolution::Day;
    let unit = resolution.packed_seconds();
    let last = container.last_seen.max(1);
    let first = container.first_seen.min(last - 1);
    let mut open = gather(store, id, resolution, first - first % unit..last, bound).await?;
    let mut done = Vec::new();
    let mut left = MAX_SPANS;
    while let Some(fine) = finer(resolution) {
        let folded: BTreeSet<u64> = open
            .iter()
            .flat_map(|segment| folded_slots(segment))
            .collect();
        let covered = coverage(&open);
        let (mut replaced, mut next) = (HashSet::new(), Vec::new());
        for start in folded.into_iter().rev().take(left) {
            left -= 1;
            let whole = start..start + fine.packed_seconds();
            for segment in gather(store, id, fine, whole.clone(), bound).await? {
                let slot = (segment.key.source, start);
                let whole = segment.slice(whole.clone())?;
                let coarse = covered.get(&slot).copied().unwrap_or(0);
                if coarse != 0 && slot_bits(&whole) & coarse == coarse {
                    replaced.insert(slot);
                    next.push(Arc::new(whole));
                }
            }
        }
        let rest = open.iter().map(|segment| without(segment, &replaced));
        done.extend(rest.map(Arc::new));
        (open, resolution) = (next, fine);
    }
    done.append(&mut open);
    Ok(done)
}

async fn gather(
    store: &dyn Store,
    id: &ContainerId,
    resolution: Resolution,
    span: std::ops::Range<u64>,
    bound: &Arc<Bound>,
) -> Result<Vec<Arc<Segment>>, QueryError> {
    let gathered = read::gather_within(store, id, resolution, span, Arc::clone(bound)).await?;
    tokio::task::spawn_blocking(move || gathered.resolve())
        .await
        .map_err(|_| QueryError::Panicked)?
}

/// Starts of the slots that have a folded row.
fn folded_slots(segment: &Segment) -> BTreeSet<u64> {
    let is_folded = |process: u32| segment.processes[process as usize].is_folded();
    let (file, connection) = (File::other(), Connection::other());
    let mut slots: BTreeSet<u32> = BTreeSet::new();
    slots.extend(
        segment
            .cpu
            .iter()
            .filter(|cell| is_folded(cell.row.0))
            .map(|cell| cell.slot),
    );
    slots.extend(
        segment
            .memory
            .iter()
            .filter(|cell| is_folded(cell.row.0))
            .map(|cell| cell.slot),
    );
    let files = segment.file_io.iter();
    let folded =
        files.filter(|cell| is_folded(cell.row.0) || segment.files[cell.row.1 as usize] == file);
    slots.extend(folded.map(|cell| cell.slot));
    let connections = segment.network_io.iter();
    let folded = connections.filter(|cell| {
        is_folded(cell.row.0) || segment.connections[cell.row.1 as usize] == connection
    });
    slots.extend(folded.map(|cell| cell.slot));
    let length = segment.key.resolution.seconds();
    let start = |slot: u32| segment.key.start + u64::from(slot) * length;
    slots.into_iter().map(start).collect()
}

/// The sub-slots that each slot contains.
fn coverage(segments: &[Arc<Segment>]) -> HashMap<SlotOf, u64> {
    let of_segment = |segment: &Arc<Segment>| {
        let (source, start) = (segment.key.source, segment.key.start);
        let length = segment.key.resolution.seconds();
        let slots = (0..).zip(segment.coverage.clone());
        slots.map(move |(slot, coverage)| ((source, start + slot * length), coverage.0))
    };
    segments.iter().flat_map(of_segment).collect()
}

/// The segment with gaps for the replaced slots.
fn without(segment: &Segment, replaced: &HashSet<SlotOf>) -> Segment {
    let source = segment.key.source;
    keep_slots(segment, |at, _| !replaced.contains(&(source, at)))
}
