//! Where all finer rows of a coarse slot still exist, so that it can be made anew from them.

use bubble_common::segment::{ContainerId, Resolution, SourceId};

use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::recording::Recorder;

/// What is left of a container's rows at one resolution.
#[derive(Debug, Default)]
pub struct Kept {
    /// Rows of spans that start before this may have expired.
    horizon: u64,
    /// Sources of which nothing expires.
    recorded: Vec<Recorder>,
}

impl Kept {
    /// Asks `store`.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn new(
        store: &dyn Store,
        container: &ContainerId,
        resolution: Resolution,
    ) -> Result<Self, StoreError> {
        // A second never changes once it is known; a coarser slot may have grown.
        if resolution == Resolution::Second {
            return Ok(Self::default());
        }
        Ok(Self {
            horizon: store.expired_before(resolution).await?,
            recorded: store.recorded(container).await?,
        })
    }

    /// Whether all rows of `source` in the packed span at `start` still exist.
    pub fn whole(&self, source: SourceId, start: u64) -> bool {
        start >= self.horizon || self.recorded.iter().any(|of| of.source == source)
    }
}
