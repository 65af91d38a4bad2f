//! Comparing two stores after a copy, by what their rows add up to.

use bubble_common::segment::Resolution;
use futures_util::{StreamExt, TryStreamExt};

use super::container::holds;
use super::error::CopyError;
use super::progress::Progress;
use super::retry::with_retry;
use super::rows::{blocking, portions};
use super::total::{Total, total};
use crate::span::row::decode;
use crate::store::Store;
use crate::store::container::Container;

/// Containers compared at the same time.
const CONCURRENCY: usize = 8;
/// Containers that differ and are named in the error, at most.
const MAX_NAMED: usize = 10;

/// Compares the totals of all containers, and returns their sums.
pub(super) async fn compare(
    from: &dyn Store,
    to: &dyn Store,
    containers: Vec<Container>,
    progress: &Progress,
) -> Result<[Total; 4], CopyError> {
    let work = containers.into_iter().map(async |container| {
        let both = futures_util::try_join!(totals(from, &container), totals(to, &container))?;
        let copied = with_retry(async || Ok(to.container(&container.id).await?)).await?;
        progress.step();
        Ok::<_, CopyError>((container, both, copied))
    });
    let mut compared = futures_util::stream::iter(work).buffer_unordered(CONCURRENCY);
    let (mut sums, mut different) = ([Total::default(); 4], Vec::new());
    while let Some((container, (own, other), copied)) = compared.try_next().await? {
        for (sum, own) in sums.iter_mut().zip(&own) {
            sum.add(own);
        }
        different.extend(difference(&container, &own, &other, copied.as_ref()));
    }
    if different.is_empty() {
        return Ok(sums);
    }
    different.sort();
    let count = different.len();
    different.truncate(MAX_NAMED);
    Err(CopyError::Different {
        count,
        names: different.join(", "),
    })
}

/// The first difference between a container and its copy, in words.
fn difference(
    container: &Container,
    own: &[Total; 4],
    other: &[Total; 4],
    copied: Option<&Container>,
) -> Option<String> {
    let id = &container.id;
    for ((own, other), resolution) in own.iter().zip(other).zip(Resolution::ALL) {
        if own != other {
            let name = resolution.name();
            return Some(format!("{id} ({name}: {own}, and {other})"));
        }
    }
    let complete = copied.is_some_and(|copied| holds(copied, container));
    (!complete).then(|| format!("{id} (its life)"))
}

/// What all undamaged rows of a container add up to at each resolution, finest first.
///
/// # Errors
/// When the store fails.
pub async fn totals(store: &dyn Store, container: &Container) -> Result<[Total; 4], CopyError> {
    let recorded = with_retry(async || Ok(store.recorded(&container.id).await?)).await?;
    let mut all = [Total::default(); 4];
    for (all, resolution) in all.iter_mut().zip(Resolution::ALL) {
        let spans =
            async || Ok(portions(store, container, &recorded, (resolution, resolution)).await?);
        for span in with_retry(spans).await? {
            let sums = with_retry(async || {
                let rows = store.range(&container.id, resolution, span.clone()).await?;
                blocking(move || -> Result<Total, CopyError> { Ok(total(decode(rows).0)?) }).await
            });
            all.add(&sums.await?);
        }
    }
    Ok(all)
}
