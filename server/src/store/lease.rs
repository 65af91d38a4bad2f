//! The lease of roll-up, as a row that one of many servers holds.

use async_trait::async_trait;
use bubble_common::segment::SourceId;

use super::error::StoreError;

/// Who rolls up. A store keeps one, and changes it by comparing; `rollup/lease.rs` knows what it means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lease {
    /// The process that has it; none when it gave it back.
    pub holder: Option<SourceId>,
    /// Grows each time that another takes it.
    pub fence: u64,
    /// Grows each time that the holder says that it is there.
    pub beat: u64,
}

/// Where the lease is kept.
#[async_trait]
pub trait Leases: Send + Sync + 'static {
    /// As it is; none when nobody ever took it. What is under way to change it is done before this
    /// answers, or never will be: it tells what became of a change that failed.
    async fn lease(&self) -> Result<Option<Lease>, StoreError>;

    /// Puts `to` in the place of `from`; `false` when another is there. When it fails, it is not
    /// known whether it was done.
    async fn change_lease(&self, from: Option<Lease>, to: Lease) -> Result<bool, StoreError>;
}
