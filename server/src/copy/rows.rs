//! Reading a container's rows in portions of bounded size.

use std::ops::Range;

use bubble_common::segment::Resolution;

use super::error::CopyError;
use crate::store::Store;
use crate::store::container::Container;
use crate::store::error::StoreError;
use crate::store::recording::Recorder;

/// Packed spans in one portion: bounds what is in memory at a time.
const MAX_SPANS: u64 = 60;

/// Portions of time, each of whole packed spans, that can hold rows of a container at a resolution.
/// Rows before the horizon of the second one have expired.
pub(super) async fn portions(
    store: &dyn Store,
    container: &Container,
    recorded: &[Recorder],
    (resolution, expiry): (Resolution, Resolution),
) -> Result<Vec<Range<u64>>, StoreError> {
    let mut first = container.first_seen.min(container.last_seen);
    if recorded.is_empty() {
        // Before the horizon only dirty spans are left.
        let dirty = store
            .dirty_of(&container.id, resolution, 0..u64::MAX)
            .await?;
        let horizon = store.expired_before(expiry).await?;
        let left = dirty.first().map_or(horizon, |dirty| horizon.min(*dirty));
        first = first.max(left);
    }
    let length = resolution.packed_seconds() * MAX_SPANS;
    let start = resolution.packed_start(first);
    let starts = (start..container.last_seen).step_by(length as usize);
    Ok(starts.map(|start| start..start + length).collect())
}

/// Runs `work` on a thread that may block.
pub(super) async fn blocking<T: Send + 'static, E: Into<CopyError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, CopyError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined.map_err(|_| CopyError::Panicked)?.map_err(Into::into)
}
