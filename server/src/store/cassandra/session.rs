//! Talking to Cassandra: prepared statements, sent to a node that has the row, so many at a time.
//!
//! Every write but the conditional ones may be done twice without harm, so the
//! driver repeats it on another node when one dies. Reads that take long are asked
//! of a second node as well.

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

use crate::store::error::{StoreError, failed};

/// Requests under way at most; the others wait for their turn.
const ROOM: usize = 256;
/// Statements that are kept prepared: more than there are.
const PREPARED: usize = 256;
/// Statements in one batch at most: Cassandra refuses large ones.
const TOGETHER: usize = 40;
/// Rows in a page at most.
const PAGE: i32 = 5_000;
/// After so long a request is given up.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often the nodes are asked whether they agree on the schema.
const AGREEMENT: Duration = Duration::from_millis(20);
/// After so long a change of the schema is given up: on a busy cluster it takes many times a request's time.
const DEFINED: Duration = Duration::from_secs(60);
/// After so long a read is asked of a second node as well.
const SLOW: Duration = Duration::from_millis(100);

/// Of how many replicas an answer is waited for, when writing and when reading.
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
    /// Of one: for a single node. With more, what was acknowledged may not be seen at once.
    One,
    /// Of most of those in this data centre.
    #[default]
    LocalQuorum,
    /// Of most of all.
    Quorum,
    /// Of all: nothing is written while one is down.
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

/// A session, on one keyspace.
pub(super) struct Cql {
    session: CachingSession,
    reads: ExecutionProfileHandle,
    room: Semaphore,
}

/// A statement and its values.
pub(super) type Bound = (&'static str, Vec<Option<CqlValue>>);

impl Cql {
    /// Connects to `hosts`; a keyspace is to be entered then.
    pub(super) async fn connect(
        hosts: &[String],
        consistency: Consistency,
    ) -> Result<Self, StoreError> {
        let profile = ExecutionProfile::builder()
            .consistency(consistency.level())
            .serial_consistency(Some(SerialConsistency::LocalSerial))
            .request_timeout(Some(TIMEOUT));
        let slow = SimpleSpeculativeExecutionPolicy {
            max_retry_count: 1,
            retry_interval: SLOW,
        };
        let reads = profile
            .clone()
            .speculative_execution_policy(Some(Arc::new(slow)))
            .build();
        let session = SessionBuilder::new()
            .known_nodes(hosts)
            .default_execution_profile_handle(profile.build().into_handle())
            .schema_agreement_interval(AGREEMENT)
            .build()
            .await
            .map_err(failed("reach Cassandra"))?;
        Ok(Self {
            session: CachingSessionBuilder::new(session)
                .max_capacity(PREPARED)
                // The columns are named in each statement: nodes need not say again what they are.
                .use_cached_result_metadata(true)
                .build(),
            reads: reads.into_handle(),
            room: Semaphore::new(ROOM),
        })
    }

    /// Writes, more than once if need be.
    pub(super) async fn write(
        &self,
        doing: &'static str,
        cql: &'static str,
        values: impl SerializeRow + Send + Sync,
    ) -> Result<(), StoreError> {
        let _room = self.enter().await?;
        let done = self.session.execute_unpaged(repeatable(cql), values).await;
        done.map(drop).map_err(failed(doing))
    }

    /// Writes statements on one partition, so many at a time. One on another may be the last, where
    /// it does not matter which of them is there first: they are one request, and not one change.
    pub(super) async fn write_in_parts(
        &self,
        doing: &'static str,
        mut statements: Vec<Bound>,
    ) -> Result<(), StoreError> {
        while !statements.is_empty() {
            let rest = statements.split_off(statements.len().min(TOGETHER));
            self.write_together(doing, statements).await?;
            statements = rest;
        }
        Ok(())
    }

    /// Writes all or nothing of those statements that are on one partition.
    async fn write_together(
        &self,
        doing: &'static str,
        mut statements: Vec<Bound>,
    ) -> Result<(), StoreError> {
        if statements.len() == 1
            && let Some((cql, values)) = statements.pop()
        {
            // A batch of one costs the node more.
            return self.write(doing, cql, values).await;
        }
        let mut batch = Batch::new(BatchType::Unlogged);
        batch.set_is_idempotent(true);
        let mut values = Vec::with_capacity(statements.len());
        for (cql, bound) in statements {
            batch.append_statement(repeatable(cql));
            values.push(bound);
        }
        if values.is_empty() {
            return Ok(());
        }
        let _room = self.enter().await?;
        let done = self.session.batch(&batch, values).await;
        done.map(drop).map_err(failed(doing))
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
        let _room = self.enter().await?;
        let rows = self.stream(doing, repeatable(cql), values).await?;
        rows.try_collect().await.map_err(failed(doing))
    }

    /// Reads all rows of one partition as lightweight transactions left them: one that is under way
    /// is brought to its end first.
    pub(super) async fn serial_rows<R>(
        &self,
        doing: &'static str,
        cql: &'static str,
        values: impl SerializeRow + Send + Sync,
    ) -> Result<Vec<R>, StoreError>
    where
        R: for<'f, 'm> DeserializeRow<'f, 'm> + Send + 'static,
    {
        let _room = self.enter().await?;
        let mut statement = repeatable(cql);
        statement.set_consistency(Level::LocalSerial);
        let answer = self.session.execute_unpaged(statement, values).await;
        let rows = answer.map_err(failed(doing))?.into_rows_result();
        let rows = rows.map_err(failed(doing))?;
        let rows = rows.rows::<R>().map_err(failed(doing))?;
        rows.collect::<Result<_, _>>().map_err(failed(doing))
    }

    /// Reads the rows of the first `groups` groups, each whole: rows that follow each other and are `same`.
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
        let _room = self.enter().await?;
        let mut statement = repeatable(cql);
        // No more than are looked at: others may have many more.
        statement.set_page_size(i32::try_from(groups).unwrap_or(i32::MAX).clamp(1, PAGE));
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

    /// Writes on a condition, by a lightweight transaction; whether the condition held. It is done
    /// once: whether it was done when it fails is not known.
    pub(super) async fn write_if(
        &self,
        doing: &'static str,
        cql: &'static str,
        values: impl SerializeRow + Send + Sync,
    ) -> Result<bool, StoreError> {
        let _room = self.enter().await?;
        let answer = self.session.execute_unpaged(cql, values).await;
        let rows = answer.map_err(failed(doing))?.into_rows_result();
        // Only `[applied]` when it was, else the row as it is, too.
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
        statement.set_request_timeout(Some(DEFINED));
        // The driver itself waits for agreement.
        let done = session.query_unpaged(statement, ()).await;
        done.map(drop).map_err(failed("change the schema"))
    }

    /// Uses a keyspace, which must exist.
    pub(super) async fn enter_keyspace(&self, keyspace: &str) -> Result<(), StoreError> {
        let session = self.session.get_session();
        let used = session.use_keyspace(keyspace, false).await;
        used.map_err(failed("use the keyspace"))
    }

    /// Rows as they come, page by page.
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

    async fn enter(&self) -> Result<tokio::sync::SemaphorePermit<'_>, StoreError> {
        self.room.acquire().await.map_err(|_| StoreError::Closed)
    }
}

fn repeatable(cql: &str) -> Statement {
    let mut statement = Statement::new(cql);
    statement.set_is_idempotent(true);
    statement
}
