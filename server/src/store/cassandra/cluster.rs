//! An open keyspace of a cluster: the session, and what this process caches.

use std::time::Duration;

use async_trait::async_trait;
use bubble_common::segment::Resolution;

use super::address::Address;
use super::mark::Writer;
use super::schema::{self, Replication};
use super::session::{Consistency, Cql};
use super::swept::{SWEEP_DELAY, Swept};
use super::write_cache::WriteCache;
use crate::span::retention::Retention;
use crate::store::Store;
use crate::store::error::StoreError;

/// Added to each time to live, in seconds: longer than roll-up ever lags.
const TTL_MARGIN: u64 = 3_600;
/// The longest time to live that Cassandra accepts: 20 years, in seconds.
pub(super) const MAX_TTL: i32 = 630_720_000;

/// A store in one keyspace of a cluster.
pub struct Cassandra {
    pub(super) cql: Cql,
    pub(super) writer: Writer,
    pub(super) written: WriteCache,
    pub(super) swept: Swept,
    retention: Retention,
}

impl Cassandra {
    /// Opens a keyspace that [`Self::init`] made. Packed rows live as long as `retention` says, and a
    /// margin longer.
    ///
    /// # Errors
    /// When no node answers, or the keyspace is missing or of another version.
    pub async fn open(
        address: &Address,
        consistency: Consistency,
        retention: Retention,
    ) -> Result<Self, StoreError> {
        let cql = Cql::connect(address, consistency).await?;
        let found = schema::version(&cql, &address.keyspace).await?;
        let known = schema::KNOWN;
        if found > known {
            return Err(StoreError::NewerSchema { found, known });
        }
        if found == 0 {
            schema::refuse_others(&cql, &address.keyspace).await?;
        }
        if found < known {
            return Err(StoreError::OlderSchema { found, known });
        }
        Ok(Self {
            cql,
            writer: Writer::new(),
            written: WriteCache::default(),
            swept: Swept::new(SWEEP_DELAY),
            retention,
        })
    }

    /// Sets the delay before the second sweep. It must be longer than any packing takes.
    #[must_use]
    pub fn sweeping_again_after(self, delay: Duration) -> Self {
        let swept = Swept::new(delay);
        Self { swept, ..self }
    }

    /// Creates the keyspace and its tables where they are missing. Returns the version of the
    /// schema before and after.
    ///
    /// # Errors
    /// When no node answers, or the schema cannot be changed or is of a later version.
    pub async fn init(
        address: &Address,
        consistency: Consistency,
        replication: &Replication,
    ) -> Result<(u32, u32), StoreError> {
        let cql = Cql::connect(address, consistency).await?;
        schema::create(&cql, &address.keyspace, replication).await?;
        let found = schema::migrate(&cql, &address.keyspace, schema::KNOWN).await?;
        Ok((found, schema::KNOWN))
    }

    /// Migrates the tables of a keyspace to the latest version. Returns the version of the
    /// schema before and after.
    ///
    /// # Errors
    /// When no node answers, or the schema cannot be changed or is of a later version.
    pub async fn upgrade(
        address: &Address,
        consistency: Consistency,
    ) -> Result<(u32, u32), StoreError> {
        let cql = Cql::connect(address, consistency).await?;
        cql.enter_keyspace(&address.keyspace).await?;
        let found = schema::migrate(&cql, &address.keyspace, schema::KNOWN).await?;
        Ok((found, schema::KNOWN))
    }

    /// Time to live of a packed row in seconds, where its span ended `age` seconds ago. 0 is for ever.
    pub(super) fn ttl(&self, resolution: Resolution, age: u64, recorded: bool) -> i32 {
        let retention = self.retention.of(resolution).filter(|_| !recorded);
        let Some(retention) = retention else {
            return 0;
        };
        // It counts from the write, so that the row exists until the horizon passes it.
        let ttl = (retention + resolution.packed_seconds()).saturating_sub(age) + TTL_MARGIN;
        i32::try_from(ttl).unwrap_or(MAX_TTL).min(MAX_TTL)
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
}
