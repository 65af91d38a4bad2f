//! Which finer rows of a coarse slot still exist, so that the slot can be made anew from them.

use bubble_common::segment::{ContainerId, Resolution, SourceId};

use super::Store;
use super::error::StoreError;
use super::recording::Recorder;

/// What has not expired of a container at one resolution.
#[derive(Debug, Default)]
pub struct Retained {
    /// Rows of spans that start before this may have expired.
    horizon: u64,
    /// Sources that belong to recordings, which never expire.
    recorded: Vec<Recorder>,
}

impl Retained {
    /// Reads it from `store`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read(
        store: &dyn Store,
        container: &ContainerId,
        resolution: Resolution,
    ) -> Result<Self, StoreError> {
        // A known second never changes; a coarser slot may have grown.
        if resolution == Resolution::Second {
            return Ok(Self::default());
        }
        Ok(Self {
            horizon: store.expired_before(resolution).await?,
            recorded: store.recorded(container).await?,
        })
    }

    /// Whether all rows of `source` in the packed span at `start` still exist.
    pub fn is_complete(&self, source: SourceId, start: u64) -> bool {
        start >= self.horizon || self.recorded.iter().any(|of| of.source == source)
    }
}
