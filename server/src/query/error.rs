//! Why a question was not answered.

use bubble_common::segment::merge::MergeError;

use crate::store::error::StoreError;

/// Why a question was not answered.
#[derive(Debug, thiserror::Error)]
pub enum QueryError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// Stored segments do not fit together.
    #[error(transparent)]
    Merge(#[from] MergeError),
    /// There is no such container.
    #[error("no container {0} is known")]
    NoContainer(String),
    /// The thread that worked on it panicked.
    #[error("the answer was cut short")]
    Cut,
}
