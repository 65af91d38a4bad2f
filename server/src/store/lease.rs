//! The lease of roll-up: a row that one of many servers holds.

use async_trait::async_trait;
use bubble_common::segment::SourceId;

use super::error::StoreError;

/// The lease. The store compares and swaps it; `rollup/lease.rs` gives it its meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The process that holds it; `None` after it was released.
    pub holder: Option<SourceId>,
    /// Grows each time the holder changes.
    pub fence: u64,
    /// Grows each time the holder renews it.
    pub beat: u64,
}

/// Stores the lease.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// Reads the lease; `None` if nobody ever took it. A change under way is completed before this
    /// returns, or never will be, so this shows the outcome of a change that failed.
    async fn lease(&self) -> Result<Option<Lease>, StoreError>;

    /// Replaces `from` by `to`; `false` if the lease is not `from`. After an error the outcome is
    /// unknown.
    async fn change_lease(&self, from: Option<Lease>, to: Lease) -> Result<bool, StoreError>;
}
