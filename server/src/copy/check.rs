//! Reads all rows of a store, and finds the damaged ones.

use std::ops::Range;
use std::sync::Arc;

use bubble_common::segment::Resolution;
use futures_util::{StreamExt, TryStreamExt};

use super::error::CopyError;
use super::list;
use super::progress::Progress;
use super::retry::with_retry;
use super::rows::{blocking, portions};
use crate::span::row::{DamagedRow, Row};
use crate::store::Store;
use crate::store::container::Container;
use crate::store::error::StoreError;
use crate::store::recording::Recorder;

/// Containers read at the same time.
const CONCURRENCY: usize = 4;
/// Damaged rows that are listed.
const MAX_LISTED: usize = 1_000;

/// What a check found.
#[derive(Debug, Default)]
pub struct Checked {
    /// Containers.
    pub containers: u64,
    /// Rows that were read.
    pub rows: u64,
    /// Damaged rows.
    pub damaged: u64,
    /// The first of them.
    pub listed: Vec<DamagedRow>,
}

/// Reads all rows of `store`, which servers may be using.
///
/// # Errors
/// When the store fails.
pub async fn check(store: &Arc<dyn Store>, progress: &Progress) -> Result<Checked, CopyError> {
    let containers = with_retry(async || Ok(list(&**store).await?)).await?;
    let mut checked = Checked {
        containers: containers.len() as u64,
        ..Checked::default()
    };
    progress.begin("checking", checked.containers);
    let work = containers.iter().map(async |container| {
        let checked = check_container(&**store, container).await?;
        progress.step();
        Ok::<_, CopyError>(checked)
    });
    let mut results = futures_util::stream::iter(work).buffer_unordered(CONCURRENCY);
    while let Some(of_one) = results.try_next().await? {
        checked.rows += of_one.rows;
        checked.damaged += of_one.damaged;
        let room = MAX_LISTED - checked.listed.len();
        checked.listed.extend(of_one.listed.into_iter().take(room));
    }
    Ok(checked)
}

async fn check_container(store: &dyn Store, container: &Container) -> Result<Checked, CopyError> {
    let recorded = with_retry(async || Ok(store.recorded(&container.id).await?)).await?;
    let mut checked = Checked::default();
    for resolution in Resolution::ALL {
        let spans = async || Ok(spans(store, container, &recorded, resolution).await?);
        for span in with_retry(spans).await? {
            let rows = async || Ok(store.range(&container.id, resolution, span.clone()).await?);
            let rows = with_retry(rows).await?;
            checked.rows += rows.len() as u64;
            let found = blocking(move || Ok::<_, CopyError>(damaged(&rows))).await?;
            checked.damaged += found.len() as u64;
            let room = MAX_LISTED - checked.listed.len();
            checked.listed.extend(found.into_iter().take(room));
        }
    }
    Ok(checked)
}

/// Portions of time that can hold rows. Seconds of containers that have ended may be retained as long
/// as minutes.
async fn spans(
    store: &dyn Store,
    container: &Container,
    recorded: &[Recorder],
    resolution: Resolution,
) -> Result<Vec<Range<u64>>, StoreError> {
    let horizon = match resolution {
        Resolution::Second => Resolution::Minute,
        other => other,
    };
    portions(store, container, recorded, (resolution, horizon)).await
}

fn damaged(rows: &[Row]) -> Vec<DamagedRow> {
    rows.iter().filter_map(|row| row.decode().err()).collect()
}
