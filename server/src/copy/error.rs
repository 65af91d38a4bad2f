//! Why a copy failed.

use bubble_common::segment::merge::MergeError;

use crate::store::error::StoreError;

/// Why a copy did not finish. What was copied stays, and need not be copied again.
#[derive(Debug, thiserror::Error)]
pub enum CopyError {
    /// A store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Segments in the source do not fit together.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// The thread that decoded segments panicked.
    #[error("decoding stopped: its thread panicked")]
    Panicked,
    /// The stores differ afterwards.
    #[error(
        "{count} containers differ between the two stores: {names}; was one of them written to? \
         stop all servers on both, and copy again into an empty store"
    )]
    Different {
        /// Number of containers that differ.
        count: usize,
        /// The first few: container, resolution, and the totals in both stores.
        names: String,
    },
}
