//! Copies one store into another, container by container, coarsest resolution first; and checks all
//! rows of a store.
//!
//! It uses only the traits of the store, so any backend can be copied into any other. The entry of a
//! container is copied last. A copy that was killed and starts again skips containers whose entry
//! exists, and repeats the others, which changes no existing row. At the end the totals of both
//! stores are read and compared.

pub mod check;
mod compare;
mod container;
pub mod error;
mod part;
pub mod progress;
mod retry;
mod rows;
mod total;

use std::sync::Arc;

use bubble_common::segment::Resolution;
use futures_util::{StreamExt, TryStreamExt};

use self::compare::compare;
pub use self::compare::totals;
use self::container::{Count, copy_container};
use self::error::CopyError;
use self::progress::Progress;
use self::retry::with_retry;
pub use self::total::Total;
use crate::clock;
use crate::store::Store;
use crate::store::container::Container;
use crate::store::error::StoreError;
use crate::store::host::Host;
use crate::store::index::{ContainerFilter, Sort};

/// Containers copied at the same time.
const CONCURRENCY: usize = 8;

/// Result of a copy.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Copied {
    /// Containers in the source.
    pub containers: u64,
    /// Containers that an earlier copy had brought.
    pub known: u64,
    /// Copied rows.
    pub rows: u64,
    /// Damaged rows, which were left out.
    pub damaged: u64,
    /// Totals of all containers at each resolution, finest first. Both stores have the same.
    pub totals: [Total; 4],
}

/// Copies all of `from` into `to`, and compares them. Nobody may write to `from` meanwhile.
///
/// # Errors
/// When a store fails, or the stores differ afterwards.
pub async fn copy(
    from: &Arc<dyn Store>,
    to: &Arc<dyn Store>,
    progress: &Progress,
) -> Result<Copied, CopyError> {
    let containers = with_retry(async || {
        // Otherwise rows of deleted recordings would be copied.
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
    let mut results = futures_util::stream::iter(work).buffer_unordered(CONCURRENCY);
    while let Some(rows) = results.try_next().await? {
        copied.known += u64::from(rows.is_none());
        let Count { rows, damaged } = rows.unwrap_or_default();
        copied.rows += rows;
        copied.damaged += damaged;
    }
    drop(results);
    progress.begin("comparing", copied.containers);
    copied.totals = compare(&**from, &**to, containers, progress).await?;
    Ok(copied)
}

/// Copies horizons, keys, tokens, bindings, hosts and recordings.
async fn copy_small(from: &dyn Store, to: &dyn Store) -> Result<(), StoreError> {
    for resolution in Resolution::ALL {
        let before = from.expired_before(resolution).await?;
        if before > 0 {
            to.expire(resolution, before, None).await?;
        }
    }
    for key in from.keys().await? {
        if to.key(&key.id).await?.is_none() {
            to.create_key(key).await?;
        }
    }
    for token in from.tokens(clock::now()).await? {
        to.put_token(token).await?;
    }
    to.bind(from.bindings().await?).await?;
    let copied = to.hosts().await?;
    for host in from.hosts().await? {
        let newer = |other: &Host| other.id() == host.id() && other.last_seen > host.last_seen;
        if !copied.iter().any(newer) {
            to.put_host(host).await?;
        }
    }
    to.restore_recordings(&from.recordings().await?).await
}

/// All containers of a store.
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
