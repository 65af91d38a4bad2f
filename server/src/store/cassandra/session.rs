//! The session with Cassandra: prepared statements, sent to a node that has the row, with bounded
//! concurrency.
//!
//! Every write is idempotent, except conditional ones, so the driver repeats it on another
//! node if one dies. A slow read is also sent to a second node.

use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt;
use scylla::client::caching_session::{CachingSession, CachingSessionBuilder};
use scylla::client::execution_profile::{ExecutionProfile, ExecutionProfileHandle};
use scylla::client::pager::TypedRowStream;
use scylla::client::session_builder::SessionBuilder;
use scylla::deserialize::row::DeserializeRow;
use scylla::policies::speculative_execution::SimpleSpeculativeExecutionPolicy;
use scylla::serialize::row::SerializeRow;
use scylla::statement::batch::{Batch, BatchType};
use scylla::statement::unprepared::Statement;
use scylla::statement::{Consistency as Level, SerialConsistency};
use scylla::value::{CqlValue, Row};
use tokio::sync::Semaphore;

use super::address::Address;
use crate::store::error::{StoreError, failed};

/// Concurrent requests at most; further ones wait.
const MAX_REQUESTS: usize = 256;
/// Prepared statements cached at most: more than this program has.
const MAX_PREPARED: usize = 256;
/// Statements in one batch at most: Cassandra refuses large batches.
const MAX_BATCH: usize = 40;
/// Rows in a page at most.
const MAX_PAGE_ROWS: i32 = 5_000;
/// Timeout of a request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval between checks whether the nodes agree on the schema.
const AGREEMENT_INTERVAL: Duration = Duration::from_millis(20);
/// Timeout of a schema change, which takes far longer than a request on a busy cluster.
const SCHEMA_TIMEOUT: Duration = Duration::from_secs(60);
/// Delay after which a read is also sent to a second node.
const SPECULATIVE_DELAY: Duration = Duration::from_millis(100);

/// Replicas that must answer a write or a read.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    serde::Serialize,
    serde::Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "kebab-case")]
pub enum Consistency {
    /// One: for a single node. With more nodes, an acknowledged write may not be visible at once.
    One,
    /// A majority in this data centre.
    #[default]
    LocalQuorum,
    /// A majority of all.
    Quorum,
    /// All: nothing is written while one is down.
    All,
}

impl Consistency {
    const fn level(self) -> Level {
        match self {
            Self::One => Level::One,
            Self::LocalQuorum => Level::LocalQuorum,
            Self::Quorum => Level::Quorum,
            Self::All => Level::All,
        }
    }
}

/// A session in one keyspace.
pub(super) struct Cql {
    session: CachingSession,
    reads: ExecutionProfileHandle,
    requests: Semaphore,
}

/// A statement and its values.
pub(super) type Bound = (&'static str, Vec<Option<CqlValue>>);

impl Cql {
    /// Connects to the hosts of `address`. The caller then enters its keyspace.
    pub(super) async fn connect(
        address: &Address,
        consistency: Consistency,
    ) -> Result<Self, StoreError> {
        let profile = ExecutionProfile::builder()
            .consistency(consistency.level())
            .serial_consistency(Some(SerialConsistency::LocalSerial))
            .request_timeout(Some(REQUEST_TIMEOUT));
        let slow = SimpleSpeculativeExecutionPolicy {
            max_retry_count: 1,
            retry_interval: SPECULATIVE_DELAY,
        };
        let reads = profile
            .clone()
            .speculative_execution_policy(Some(Arc::new(slow)))
            .build();
        let session = SessionBuilder::new()
            .known_nodes(&address.hosts)
            // To choose nodes, the driver needs to know the tables of this keyspace by name. It would read
            // all columns of all keyspaces, after each change of the schema again.
            .keyspaces_to_fetch([&address.keyspace])
            .fetch_full_schema_metadata(false)
            .default_execution_profile_handle(profile.build().into_handle())
            .schema_agreement_interval(AGREEMENT_INTERVAL)
            .build()
            .await
            .map_err(failed("reach Cassandra"))?;
        Ok(Self {
            session: CachingSessionBuilder::new(session)
                .max_capacity(MAX_PREPARED)
                // Each statement names its columns, so nodes need not repeat their metadata.
                .use_cached_result_metadata(true)
                .build(),
            reads: reads.into_handle(),
            requests: Semaphore::new(MAX_REQUESTS),
        })
    }

    /// Runs an idempotent write; the driver may repeat it.
    pub(super) async fn write(
        &self,
        doing: &'static str,
        cql: &'static str,
        values: impl SerializeRow + Send + Sync,
    ) -> Result<(), StoreError> {
        let _permit = self.acquire().await?;
        let result = self.session.execute_unpaged(idempotent(cql), values).await;
        result.map(drop).map_err(failed(doing))
    }

    /// Writes statements of one partition in batches. The last statement may be of another partition
    /// if their order does not matter: it shares the request, but is not atomic with the others.
    pub(super) async fn write_in_parts(
        &self,
        doing: &'static str,
        mut statements: Vec<Bound>,
    ) -> Result<(), StoreError> {
        while !statements.is_empty() {
            let rest = statements.split_off(statements.len().min(MAX_BATCH));
            self.write_together(doing, statements).await?;
            statements = rest;
        }
        Ok(())
    }

    /// Writes one batch. Statements of the same partition are atomic.
    async fn write_together(
        &self,
        doing: &'static str,
        mut statements: Vec<Bound>,
    ) -> Result<(), StoreError> {
        if statements.len() == 1
            && let Some((cql, values)) = statements.pop()
        {
            // A batch of one costs the node more than a plain statement.
            return self.write(doing, cql, values).await;
        }
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_is_idempotent(true);
        let mut values = Vec::with_capacity(statements.len());
        for (cql, bound) in statements {
            batch.append_statement(idempotent(cql));
            values.push(bound);
        }
        if values.is_empty() {
            return Ok(());
        }
        let _permit = self.acquire().await?;
        let result = self.session.batch(&batch, values).await;
        result.map(drop).map_err(failed(doing))
    }

    /// Reads all rows, page by page.
    pub(super) async fn rows<R>(
        &self,
        doing: &'static str,
        cql: &'static str,
        values: impl SerializeRow + Send + Sync,
    ) -> Result<Vec<R>, StoreError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm> + Send + 'static,
    {
        let _permit = self.acquire().await?;
        let rows = self.stream(doing, idempotent(cql), values).await?;
        rows.try_collect().await.map_err(failed(doing))
    }

    /// Reads all rows of one partition at a serial level, which first completes a lightweight
    /// transaction that is under way.
    pub(super) async fn serial_rows<R>(
        &self,
        doing: &'static str,
        cql: &'static str,
        values: impl SerializeRow + Send + Sync,
    ) -> Result<Vec<R>, StoreError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm> + Send + 'static,
    {
        let _permit = self.acquire().await?;
        let mut statement = idempotent(cql);
        statement.set_consistency(Level::LocalSerial);
        let answer = self.session.execute_unpaged(statement, values).await;
        let rows = answer.map_err(failed(doing))?.into_rows_result();
        let rows = rows.map_err(failed(doing))?;
        let rows = rows.rows::<R>().map_err(failed(doing))?;
        rows.collect::<Result<_, _>>().map_err(failed(doing))
    }

    /// Reads all rows of the first `groups` groups. Consecutive rows that are `same` form a group.
    pub(super) async fn first_rows<R>(
        &self,
        doing: &'static str,
        cql: &'static str,
        values: impl SerializeRow + Send + Sync,
        groups: usize,
        same: impl Fn(&R, &R) -> bool + Send,
    ) -> Result<Vec<R>, StoreError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm> + Send + 'static,
    {
        let _permit = self.acquire().await?;
        let mut statement = idempotent(cql);
        // A larger page would fetch rows that are not used.
        statement.set_page_size(
            i32::try_from(groups)
                .unwrap_or(i32::MAX)
                .clamp(1, MAX_PAGE_ROWS),
        );
        let mut rows = self.stream::<R>(doing, statement, values).await?;
        let (mut found, mut seen) = (Vec::<R>::new(), 0);
        while let Some(row) = rows.try_next().await.map_err(failed(doing))? {
            if !found.last().is_some_and(|last| same(last, &row)) {
                seen += 1;
            }
            if seen > groups {
                break;
            }
            found.push(row);
        }
        Ok(found)
    }

    /// Runs a conditional write as a lightweight transaction, and returns whether the condition held.
    /// It is never repeated; after an error the outcome is unknown.
    pub(super) async fn write_if(
        &self,
        doing: &'static str,
        cql: &'static str,
        values: impl SerializeRow + Send + Sync,
    ) -> Result<bool, StoreError> {
        let _permit = self.acquire().await?;
        let answer = self.session.execute_unpaged(cql, values).await;
        let rows = answer.map_err(failed(doing))?.into_rows_result();
        // The first column is `[applied]`; if it is false, the current row follows.
        let row: Row = rows
            .map_err(failed(doing))?
            .first_row()
            .map_err(failed(doing))?;
        Ok(matches!(
            row.columns.first(),
            Some(Some(CqlValue::Boolean(true)))
        ))
    }

    /// Changes the schema, and waits until all nodes agree on it.
    pub(super) async fn define(&self, cql: &str) -> Result<(), StoreError> {
        let session = self.session.get_session();
        let mut statement = Statement::new(cql);
        statement.set_request_timeout(Some(SCHEMA_TIMEOUT));
        // The driver itself waits for agreement.
        let result = session.query_unpaged(statement, ()).await;
        result.map(drop).map_err(failed("change the schema"))
    }

    /// Uses an existing keyspace.
    pub(super) async fn enter_keyspace(&self, keyspace: &str) -> Result<(), StoreError> {
        let session = self.session.get_session();
        let used = session.use_keyspace(keyspace, false).await;
        used.map_err(failed("use the keyspace"))
    }

    /// Streams rows, page by page.
    async fn stream<R>(
        &self,
        doing: &'static str,
        mut statement: Statement,
        values: impl SerializeRow + Send + Sync,
    ) -> Result<TypedRowStream<R>, StoreError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm> + Send + 'static,
    {
        statement.set_execution_profile_handle(Some(self.reads.clone()));
        let pages = self.session.execute_iter(statement, values).await;
        let rows = pages.map_err(failed(doing))?.rows_stream();
        rows.map_err(failed(doing))
    }

    async fn acquire(&self) -> Result<tokio::sync::SemaphorePermit<'_>, StoreError> {
        self.requests
            .acquire()
            .await
            .map_err(|_| StoreError::Closed)
    }
}

/// A statement that the driver may repeat.
fn idempotent(cql: &str) -> Statement {
    let mut statement = Statement::new(cql);
    statement.set_is_idempotent(true);
    statement
}
