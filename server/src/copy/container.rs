//! Copying one container: its rows, coarsest first, and then its entry of the index.

use std::ops::Range;

use bubble_common::segment::{ContainerId, Resolution};

use super::error::CopyError;
use super::part::Parts;
use super::retry::with_retry;
use super::rows::{blocking, portions};
use crate::span::row::{Piece, Row, report};
use crate::span::unite::slot_bits;
use crate::store::Store;
use crate::store::container::Container;
use crate::store::recording::Recorder;
use crate::store::restore::{Entry, Rows};

/// Coarsest first: what a coarser row holds does not count in a finer one.
const ORDER: [Resolution; 4] = [
    Resolution::Day,
    Resolution::Hour,
    Resolution::Minute,
    Resolution::Second,
];

/// Rows of a container.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Count {
    /// Copied rows.
    pub(super) rows: u64,
    /// Damaged rows, which are left out.
    pub(super) damaged: u64,
}

/// Copies a container and returns its number of rows; `None` if an earlier copy had brought it.
pub(super) async fn copy_container(
    from: &dyn Store,
    to: &dyn Store,
    container: &Container,
) -> Result<Option<Count>, CopyError> {
    let before = async || {
        let copied = to.container(&container.id).await?;
        let complete = copied.is_some_and(|copied| holds(&copied, container));
        Ok((complete, from.recorded(&container.id).await?))
    };
    let (complete, recorded) = with_retry(before).await?;
    if complete {
        return Ok(None);
    }
    let mut parts = Parts::default();
    let mut count = Count::default();
    for resolution in ORDER {
        let spans =
            async || Ok(portions(from, container, &recorded, (resolution, resolution)).await?);
        for span in with_retry(spans).await? {
            let work =
                async || copy_rows((from, to), &container.id, &recorded, resolution, &span).await;
            let (rows, pieces) = with_retry(work).await?;
            count.rows += rows.rows;
            count.damaged += rows.damaged;
            parts.add(pieces);
        }
    }
    let entry = Entry {
        container: container.clone(),
        parts: parts.of(container, &recorded),
        recorded,
    };
    with_retry(async || Ok(to.restore_entry(entry.clone()).await?)).await?;
    Ok(Some(count))
}

/// Copies the undamaged rows of a container in one span. Returns their number and their segments.
async fn copy_rows(
    (from, to): (&dyn Store, &dyn Store),
    container: &ContainerId,
    recorded: &[Recorder],
    resolution: Resolution,
    span: &Range<u64>,
) -> Result<(Count, Vec<Piece>), CopyError> {
    let dirty = from.dirty_of(container, resolution, span.clone()).await?;
    let rows = from.range(container, resolution, span.clone()).await?;
    let found = rows.len() as u64;
    let decoded = blocking(move || Ok::<_, CopyError>(undamaged(rows))).await?;
    let (rows, pieces): (Vec<(Row, u64)>, Vec<Piece>) = decoded.into_iter().unzip();
    let damaged = found - rows.len() as u64;
    to.restore_rows(Rows {
        container: container.clone(),
        resolution,
        rows,
        recorded: recorded.to_vec(),
        dirty,
    })
    .await?;
    let count = Count {
        rows: found - damaged,
        damaged,
    };
    Ok((count, pieces))
}

/// Decodes rows, with the slots of each. Damaged ones are logged and left out.
fn undamaged(rows: Vec<Row>) -> Vec<((Row, u64), Piece)> {
    let decode = |row: Row| match row.decode() {
        Ok(piece) => Some(((row, slot_bits(&piece.segment)), piece)),
        Err(error) => {
            report(&error);
            None
        }
    };
    rows.into_iter().filter_map(decode).collect()
}

/// Whether the entry `copied` has at least the sums and the span of `container`.
pub(super) fn holds(copied: &Container, container: &Container) -> bool {
    let sums = |c: &Container| [c.last_seen, c.cpu_ns, c.bytes_in, c.bytes_out];
    let mut pairs = sums(copied).into_iter().zip(sums(container));
    pairs.all(|(copied, own)| copied >= own) && copied.first_seen <= container.first_seen
}
