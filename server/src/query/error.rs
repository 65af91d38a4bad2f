//! Errors of queries.

use bubble_common::segment::merge::MergeError;

use super::table::error::ArrangeError;
use crate::memory::MemoryError;
use crate::store::error::StoreError;

/// Why a query was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Stored segments cannot be merged.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// There is no such container.
    #[error("no container {0} is known")]
    NoContainer(String),
    /// The table cannot be arranged like this.
    #[error(transparent)]
    Arrange(#[from] ArrangeError),
    /// There is not enough memory for it.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The thread that made the answer panicked.
    #[error("the answer could not be completed")]
    Panicked,
}
