//! Segments: stored by `put.rs`, read by `read.rs`.

use std::ops::Range;

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, Resolution};

use super::cluster::Cassandra;
use super::{horizon, mark, put, read};
use crate::span::row::Row;
use crate::store::error::StoreError;
use crate::store::segments::{Outcome, Post, Segments};

#[async_trait]
impl Segments for Cassandra {
    async fn put(&self, posts: Vec<Post>) -> Result<Vec<Outcome>, StoreError> {
        put::put(self, posts).await
    }

    async fn range(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        span: Range<u64>,
    ) -> Result<Vec<Row>, StoreError> {
        read::range(&self.cql, container, resolution, span).await
    }

    async fn dirty_of(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        span: Range<u64>,
    ) -> Result<Vec<u64>, StoreError> {
        let starts = resolution.packed_start(span.start)..span.end;
        let marks = mark::of_container(&self.cql, container, resolution, starts).await?;
        Ok(marks.into_keys().collect())
    }

    async fn expired_before(&self, resolution: Resolution) -> Result<u64, StoreError> {
        horizon::get(&self.cql, resolution).await
    }
}
