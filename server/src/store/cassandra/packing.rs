//! Packing: dirty spans from `mark.rs`, replaced by `repack.rs`.

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, Resolution};

use super::cluster::Cassandra;
use super::{horizon, mark, read, repack};
use crate::span::retention::Finished;
use crate::span::row::Row;
use crate::store::error::StoreError;
use crate::store::packing::{DirtySpan, Packing, Repack};

#[async_trait]
impl Packing for Cassandra {
    async fn dirty(
        &self,
        resolution: Resolution,
        before: u64,
        after: Option<(u64, ContainerId)>,
        limit: usize,
    ) -> Result<Vec<DirtySpan>, StoreError> {
        mark::dirty(&self.cql, resolution, before, after.as_ref(), limit).await
    }

    async fn dirty_span(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        start: u64,
    ) -> Result<Option<DirtySpan>, StoreError> {
        mark::dirty_span(&self.cql, container, resolution, start).await
    }

    async fn range_of_dirty(&self, span: &DirtySpan) -> Result<Vec<Row>, StoreError> {
        read::of_dirty(&self.cql, span).await
    }

    async fn slot(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        at: u64,
    ) -> Result<Vec<Row>, StoreError> {
        read::slot(&self.cql, container, resolution, at).await
    }

    async fn repack(&self, change: Repack) -> Result<(), StoreError> {
        repack::repack(self, &change).await
    }

    async fn expire(
        &self,
        resolution: Resolution,
        before: u64,
        _: Option<Finished>,
    ) -> Result<u64, StoreError> {
        // The rows have their time to live; until that is over, they are not shown.
        horizon::set(&self.cql, resolution, before).await?;
        Ok(0)
    }

    /// Its rows have a time to live from the start. To give some a longer one would keep whole files of
    /// other rows (`table.rs`).
    fn retains_finished(&self) -> bool {
        false
    }
}
