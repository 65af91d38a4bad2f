//! Errors of ingest.

use bubble_common::legacy::EventError;
use bubble_common::segment::codec::DecodeError;

use crate::memory::MemoryError;
use crate::store::error::StoreError;

/// Why a batch failed.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The body is not a batch.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The body is not a legacy post.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The store failed. Posting again may help.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// There is not enough memory for it.
    #[error(transparent)]
    Memory(#[from] MemoryError),
    /// The thread that decoded it panicked.
    #[error("decoding stopped: its thread panicked")]
    Panicked,
}
