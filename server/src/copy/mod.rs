//! Copies one store into another: container by container, each resolution, the coarsest first.
//!
//! What is copied is what the store's trait shows, so that any store can be brought into any other.
//! The entry of a container comes last: a copy that was killed and is begun again passes over
//! containers whose entry is there, and does the others anew, which changes nothing of what is there.
//! At the end the totals of both stores are compared, read from both.

mod part;
mod patience;
pub mod progress;
mod total;

use std::ops::Range;
use std::sync::Arc;

use bubble_common::segment::{ContainerId, Resolution};
use futures_util::{StreamExt, TryStreamExt};

use crate::clock;
use crate::rollup::pack::{PackError, decode};
use crate::rollup::unite::{Piece, slot_bits};
use crate::store::Store;
use crate::store::container::{Container, ContainerFilter, Sort};
use crate::store::error::StoreError;
use crate::store::host::Host;
use crate::store::recording::Recorder;
use crate::store::restore::{Entry, Rows};
use part::Parts;
use patience::patiently;
use progress::Progress;
pub use total::Total;
use total::total;

/// Containers that are copied, or compared, at the same time.
const PARALLEL: usize = 8;
/// Packed spans that are read at once: what is in memory at a time.
const WINDOW: u64 = 60;

/// Coarsest first, as what is in a coarser row does not count in a finer one.
const ORDER: [Resolution; 4] = [
    Resolution::Day,
    Resolution::Hour,
    Resolution::Minute,
    Resolution::Second,
];

/// Why a copy did not come to its end. What was copied stays, and need not be copied again.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// What the source holds can't be read.
    #[error(transparent)]
    Read(#[from] PackError),
    /// The stores are not the same afterwards.
    #[error(
        "{count} containers are not the same in both stores: {names}; was one of them written to? \
         stop all servers on both, and copy again into a store that is empty"
    )]
    Different {
        /// How many.
        count: usize,
        /// The first few: container, resolution, and what both say.
        names: String,
    },
}

/// What a copy did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Containers in the source.
    pub containers: u64,
    /// Those that an earlier copy had brought.
    pub known: u64,
    /// Rows that were copied.
    pub rows: u64,
    /// Sums of all containers, at each resolution: finest first; the same in both stores.
    pub totals: [Total; 4],
}

/// Copies all of `from`, which nobody may write to, into `to`, and compares them.
///
/// # Errors
/// When a store fails, or they are not the same afterwards.
pub async fn copy(
    from: &Arc<dyn Store>,
    to: &Arc<dyn Store>,
    progress: &Progress,
) -> Result<Copied, CopyError> {
    let containers = patiently(async || {
        // What is deleted but still there would come back.
        from.sweep().await?;
        copy_small(&**from, &**to).await?;
        Ok(list(&**from).await?)
    });
    let containers = containers.await?;
    let mut copied = Copied {
        containers: containers.len() as u64,
        ..Copied::default()
    };
    progress.begin("copying", copied.containers);
    let work = containers.iter().map(async |container| {
        let rows = copy_container(&**from, &**to, container).await?;
        progress.step();
        Ok::<_, CopyError>(rows)
    });
    let mut done = futures_util::stream::iter(work).buffer_unordered(PARALLEL);
    while let Some(rows) = done.try_next().await? {
        copied.rows += rows.unwrap_or(0);
        copied.known += u64::from(rows.is_none());
    }
    drop(done);
    progress.begin("comparing", copied.containers);
    copied.totals = compare(&**from, &**to, containers, progress).await?;
    Ok(copied)
}

/// Horizons, keys, hosts, recordings.
async fn copy_small(from: &dyn Store, to: &dyn Store) -> Result<(), StoreError> {
    for resolution in Resolution::ALL {
        let before = from.expired_before(resolution).await?;
        if before > 0 {
            to.expire(resolution, before).await?;
        }
    }
    for key in from.keys().await? {
        if to.key(&key.id).await?.is_none() {
            to.create_key(key).await?;
        }
    }
    let known = to.hosts().await?;
    for host in from.hosts().await? {
        let newer = |other: &Host| other.host == host.host && other.last_seen > host.last_seen;
        if !known.iter().any(newer) {
            to.put_host(host).await?;
        }
    }
    let recordings = from.recordings().await?.into_iter();
    let recordings: Vec<_> = recordings.map(|r| (r.label, r.created)).collect();
    to.restore_recordings(&recordings).await
}

async fn list(store: &dyn Store) -> Result<Vec<Container>, StoreError> {
    let filter = ContainerFilter {
        search: None,
        host: None,
        state: None,
        now: clock::now(),
        sort: Sort::Name,
        limit: i64::MAX as usize,
        offset: 0,
    };
    Ok(store.containers(&filter).await?.containers)
}

/// Copies a container; returns how many rows it has, and none when it had been copied.
async fn copy_container(
    from: &dyn Store,
    to: &dyn Store,
    container: &Container,
) -> Result<Option<u64>, CopyError> {
    let before = async || {
        let known = to.container(&container.id).await?;
        let known = known.is_some_and(|known| holds(&known, container));
        Ok((known, from.recorded(&container.id).await?))
    };
    let (known, recorded) = patiently(before).await?;
    if known {
        return Ok(None);
    }
    let mut parts = Parts::default();
    let mut count = 0;
    for resolution in ORDER {
        let spans = patiently(async || Ok(windows(from, container, &recorded, resolution).await?));
        for span in spans.await? {
            let work =
                async || copy_rows((from, to), &container.id, &recorded, resolution, &span).await;
            let (rows, pieces) = patiently(work).await?;
            count += rows;
            parts.add(pieces);
        }
    }
    let entry = Entry {
        container: container.clone(),
        parts: parts.of(container, &recorded),
        recorded,
    };
    patiently(async || Ok(to.restore_entry(entry.clone()).await?)).await?;
    Ok(Some(count))
}

/// Copies the rows of a container in one span; returns how many, and what they hold.
async fn copy_rows(
    (from, to): (&dyn Store, &dyn Store),
    container: &ContainerId,
    recorded: &[Recorder],
    resolution: Resolution,
    span: &Range<u64>,
) -> Result<(u64, Vec<Piece>), CopyError> {
    let dirty = from.dirty_of(container, resolution, span.clone()).await?;
    let rows = from.range(container, resolution, span.clone()).await?;
    let count = rows.len() as u64;
    let (coded, pieces) = blocking(move || Ok((rows.clone(), decode(rows)?))).await?;
    let slots = pieces.iter().map(|piece| slot_bits(&piece.segment));
    let rows = coded.into_iter().zip(slots).collect();
    to.restore_rows(Rows {
        container: container.clone(),
        resolution,
        rows,
        recorded: recorded.to_vec(),
        dirty,
    })
    .await?;
    Ok((count, pieces))
}

/// Whether what is `known` of a container has all that `container` has.
fn holds(known: &Container, container: &Container) -> bool {
    let sums = |c: &Container| [c.last_seen, c.cpu_ns, c.bytes_in, c.bytes_out];
    let mut pairs = sums(known).into_iter().zip(sums(container));
    pairs.all(|(known, own)| known >= own) && known.first_seen <= container.first_seen
}

/// Spans in which rows of a container can be, each of whole packed spans.
async fn windows(
    store: &dyn Store,
    container: &Container,
    recorded: &[Recorder],
    resolution: Resolution,
) -> Result<Vec<Range<u64>>, StoreError> {
    let mut first = container.first_seen.min(container.last_seen);
    if recorded.is_empty() {
        // Of what has expired only dirty spans are there.
        let dirty = store
            .dirty_of(&container.id, resolution, 0..u64::MAX)
            .await?;
        let left = store.expired_before(resolution).await?;
        let left = dirty.first().map_or(left, |dirty| left.min(*dirty));
        first = first.max(left);
    }
    let length = resolution.packed_seconds() * WINDOW;
    let start = resolution.packed_start(first);
    let starts = (start..container.last_seen).step_by(length as usize);
    Ok(starts.map(|start| start..start + length).collect())
}

/// Compares the totals of all containers; returns their sums.
async fn compare(
    from: &dyn Store,
    to: &dyn Store,
    containers: Vec<Container>,
    progress: &Progress,
) -> Result<[Total; 4], CopyError> {
    let work = containers.into_iter().map(async |container| {
        let both = futures_util::try_join!(totals(from, &container), totals(to, &container))?;
        let known = patiently(async || Ok(to.container(&container.id).await?)).await?;
        progress.step();
        Ok::<_, CopyError>((container, both, known))
    });
    let mut done = futures_util::stream::iter(work).buffer_unordered(PARALLEL);
    let (mut sums, mut wrong) = ([Total::default(); 4], Vec::new());
    while let Some((container, (own, other), known)) = done.try_next().await? {
        let mut differs = None;
        for (index, resolution) in Resolution::ALL.into_iter().enumerate() {
            sums[index].add(&own[index]);
            if own[index] != other[index] {
                let at = format!(
                    "{} ({}: {}, and {})",
                    container.id,
                    resolution.name(),
                    own[index],
                    other[index]
                );
                differs.get_or_insert(at);
            }
        }
        if !known.is_some_and(|known| holds(&known, &container)) {
            differs.get_or_insert(format!("{} (its life)", container.id));
        }
        wrong.extend(differs);
    }
    if wrong.is_empty() {
        return Ok(sums);
    }
    wrong.sort();
    Err(CopyError::Different {
        count: wrong.len(),
        names: wrong
            .iter()
            .take(10)
            .cloned()
            .collect::<Vec<_>>()
            .join(", "),
    })
}

/// What all rows of a container add up to at each resolution, finest first.
///
/// # Errors
/// When the store fails, or what it holds can't be read.
pub async fn totals(store: &dyn Store, container: &Container) -> Result<[Total; 4], CopyError> {
    let recorded = patiently(async || Ok(store.recorded(&container.id).await?)).await?;
    let mut all = [Total::default(); 4];
    for resolution in Resolution::ALL {
        let spans = patiently(async || Ok(windows(store, container, &recorded, resolution).await?));
        for span in spans.await? {
            let sums = patiently(async || {
                let rows = store.range(&container.id, resolution, span.clone()).await?;
                Ok(blocking(move || total(decode(rows)?)).await?)
            });
            all[resolution as usize].add(&sums.await?);
        }
    }
    Ok(all)
}

/// Does `work` on a thread that may block.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, PackError> + Send + 'static,
) -> Result<T, PackError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| PackError::Cut)?
}
