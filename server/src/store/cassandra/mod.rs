//! Cassandra, for the site that has outgrown one machine: any number of servers on one cluster.
//!
//! Nothing is locked and, but for packed rows and a few small things, nothing is a
//! transaction. Instead each write can be done twice, and says what is, never what is
//! to be added; `mark.rs`, `life.rs` and `repack.rs` say how that is made to be
//! enough. It takes that what was acknowledged is seen by whoever reads afterwards,
//! which quorums give (or a single node), and that the nodes' clocks are in step, as
//! Cassandra asks for anyway. The servers' clocks do not matter to it.

pub mod address;
mod index;
mod keys;
mod lease;
mod life;
mod mark;
mod put;
mod read;
mod recording;
mod repack;
mod restore;
mod schema;
mod session;
mod table;
mod value;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, Resolution, SourceId};

use super::Store;
use super::container::{Container, ContainerFilter, ContainerPage};
use super::error::StoreError;
use super::host::Host;
use super::key::ApiKey;
use super::recording::{Recorder, Recording};
use super::row::{DirtySpan, Outcome, Post, Repack, Row};
use crate::rollup::retention::Retention;
use address::Address;
pub use schema::Replication;
pub use session::Consistency;
use session::Cql;

/// A store in one keyspace of a cluster.
pub struct Cassandra {
    cql: Cql,
    writer: mark::Writer,
    told: put::Told,
    swept: recording::Swept,
    retention: Retention,
}

impl Cassandra {
    /// Opens a keyspace that [`Self::init`] has made. What is packed is given so long to live as
    /// `retention` says, and a bit more.
    ///
    /// # Errors
    /// When no node answers, or the keyspace is not there or not of this version.
    pub async fn open(
        address: &Address,
        consistency: Consistency,
        retention: Retention,
    ) -> Result<Self, StoreError> {
        let cql = Cql::connect(&address.hosts, consistency).await?;
        let found = schema::version(&cql, &address.keyspace).await?;
        let known = schema::KNOWN;
        if found > known {
            return Err(StoreError::NewerSchema { found, known });
        }
        if found < known {
            return Err(StoreError::OlderSchema { found, known });
        }
        Ok(Self {
            cql,
            writer: mark::Writer::new(),
            told: put::Told::default(),
            swept: recording::Swept::new(recording::AGAIN),
            retention,
        })
    }

    /// The same, which sweeps once more after `again`: longer than anyone packs.
    #[must_use]
    pub fn sweeping_again_after(self, again: Duration) -> Self {
        let swept = recording::Swept::new(again);
        Self { swept, ..self }
    }

    /// Makes the keyspace and its tables, as far as they are not there. Returns
    /// the version of the schema that was found, and that there is now.
    ///
    /// # Errors
    /// When no node answers, when the schema can't be changed, or is of a later version.
    pub async fn init(
        address: &Address,
        consistency: Consistency,
        replication: &Replication,
    ) -> Result<(u32, u32), StoreError> {
        let cql = Cql::connect(&address.hosts, consistency).await?;
        schema::create(&cql, &address.keyspace, replication).await?;
        let found = schema::migrate(&cql, &address.keyspace, schema::KNOWN).await?;
        Ok((found, schema::KNOWN))
    }

    /// Brings the tables of a keyspace to the latest version. Returns the
    /// version of the schema that was found, and that there is now.
    ///
    /// # Errors
    /// When no node answers, when the schema can't be changed, or is of a later version.
    pub async fn upgrade(
        address: &Address,
        consistency: Consistency,
    ) -> Result<(u32, u32), StoreError> {
        let cql = Cql::connect(&address.hosts, consistency).await?;
        cql.enter_keyspace(&address.keyspace).await?;
        let found = schema::migrate(&cql, &address.keyspace, schema::KNOWN).await?;
        Ok((found, schema::KNOWN))
    }
}

#[async_trait]
impl Store for Cassandra {
    async fn check(&self) -> Result<(), StoreError> {
        let doing = "ask Cassandra anything";
        let rows = self
            .cql
            .rows::<(i32,)>(doing, "SELECT version FROM migration", ());
        rows.await.map(drop)
    }

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

    async fn repack(&self, change: Repack) -> Result<(), StoreError> {
        repack::repack(self, &change).await
    }

    async fn expire(&self, resolution: Resolution, before: u64) -> Result<u64, StoreError> {
        // The rows have their time to live; until that is over, they are not shown.
        read::set_horizon(&self.cql, resolution, before).await?;
        Ok(0)
    }

    async fn expired_before(&self, resolution: Resolution) -> Result<u64, StoreError> {
        read::horizon(&self.cql, resolution).await
    }

    async fn container(&self, id: &ContainerId) -> Result<Option<Container>, StoreError> {
        index::get(&self.cql, id).await
    }

    async fn containers(&self, filter: &ContainerFilter) -> Result<ContainerPage, StoreError> {
        index::page(&self.cql, filter).await
    }

    async fn recorded(&self, container: &ContainerId) -> Result<Vec<Recorder>, StoreError> {
        read::recorded(&self.cql, container).await
    }

    async fn recordings(&self) -> Result<Vec<Recording>, StoreError> {
        recording::list(&self.cql).await
    }

    async fn delete_recording(&self, id: SourceId) -> Result<bool, StoreError> {
        recording::delete(&self.cql, id).await
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        recording::sweep(&self.cql, &self.swept).await
    }

    async fn put_host(&self, host: Host) -> Result<(), StoreError> {
        keys::put_host(&self.cql, &host).await
    }

    async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        keys::hosts(&self.cql).await
    }

    async fn create_key(&self, key: ApiKey) -> Result<(), StoreError> {
        keys::create(&self.cql, &key).await
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        keys::get(&self.cql, id).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        keys::list(&self.cql).await
    }

    async fn delete_key(&self, id: &str) -> Result<bool, StoreError> {
        keys::delete(&self.cql, id).await
    }

    async fn touch_key(&self, id: &str, at: u64) -> Result<(), StoreError> {
        keys::touch(&self.cql, id, at).await
    }
}
