//! Answers about one container and a range of time.
//!
//! Every answer is made in the same steps: choose the slots ([`range::Plan`]), read their
//! segments ([`read`]), add them up ([`ledger::Ledger`]), and make a summary, a table or a life
//! of the sums.

mod bound;
pub mod compare;
mod csv;
mod decoded;
pub mod error;
pub mod filter;
mod gaps;
pub mod hosts;
pub mod io;
pub mod item;
pub mod lanes;
pub mod ledger;
pub mod legacy;
pub mod life;
pub mod neighbours;
pub mod output;
pub mod process;
pub mod range;
pub mod read;
pub mod report;
pub mod saved;
pub mod summary;
pub mod table;
pub mod text;
mod wait;

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use bound::{Attempt, Bound};
use bubble_common::segment::{ContainerId, Segment};
use compare::{Comparison, Run};
use decoded::DecodedRows;
use error::QueryError;
use item::ContainerItem;
use lanes::Lanes;
use ledger::{Ledger, Scope};
use life::Life;
use output::{Encoded, Output, write_json};
use range::{MAX_SLOTS, Plan, Question};
use summary::Summary;
use table::{Arrangement, ContainerRows, SeriesKind, Table, TableKind, TableSeries};

use crate::memory::{Memory, Reservation};
use crate::span::extent::Extent;
use crate::span::retention::Retention;
use crate::store::Store;
use crate::store::container::{Container, State};
use crate::store::index::{ContainerFilter, Sort};
use crate::{clock, memory};

/// Answers queries.
#[derive(Clone)]
pub struct Query {
    store: Arc<dyn Store>,
    retention: Retention,
    memory: Memory,
    decoded: Arc<DecodedRows>,
}

/// A query about a range. Times are seconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ask {
    /// Start; by default 15 minutes before the end, or the start of the container if that is later.
    pub from: Option<f64>,
    /// End; by default now, or when the container was last seen if it has ended.
    pub to: Option<f64>,
    /// Length of a slot in seconds; chosen by default.
    pub step: Option<u64>,
    /// Only this process: (pid, start in ns), all programs that it ran.
    pub process: Option<(u32, u64)>,
    /// Rows of the slot that contains this time only.
    pub at: Option<f64>,
    /// Rows of a table at most.
    pub top: usize,
    /// Names in the stacks at most; chosen by default.
    pub max_series: Option<usize>,
    /// What the shared link shows by which is asked.
    pub extent: Option<Extent>,
}

/// Length of a range by default, in seconds.
const DEFAULT_SPAN: u64 = 900;

impl Query {
    /// Answers from `store`.
    pub fn new(store: Arc<dyn Store>, retention: Retention) -> Self {
        let finished = match store.retains_finished() {
            true => retention.finished,
            false => 0,
        };
        let retention = Retention {
            finished,
            ..retention
        };
        let memory = Memory::new(memory::default_limit());
        Self {
            store,
            retention,
            decoded: Arc::new(DecodedRows::new(memory.decoded)),
            memory,
        }
    }

    /// Sets the budget that it shares with the rest of the process.
    #[must_use]
    pub fn within(self, memory: Memory) -> Self {
        Self {
            decoded: Arc::new(DecodedRows::new(memory.decoded)),
            memory,
            ..self
        }
    }

    /// The budget that it shares with the rest of the process.
    pub fn memory(&self) -> &Memory {
        &self.memory
    }

    /// How long each resolution is retained.
    pub fn retention(&self) -> Retention {
        self.retention
    }

    /// The index's entry of a container.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn container(&self, id: &ContainerId) -> Result<Container, QueryError> {
        let container = self.store.container(id).await?;
        container.ok_or_else(|| QueryError::NoContainer(id.as_str().to_owned()))
    }

    /// A page of the containers that `filter` accepts, whatever its order and page: `by` has those.
    ///
    /// # Errors
    /// When there is no such column, the filter is not valid, or the store fails.
    pub async fn list(
        &self,
        filter: ContainerFilter,
        by: Arrangement,
    ) -> Result<ContainerRows, QueryError> {
        let all = ContainerFilter {
            sort: Sort::Name,
            limit: i64::MAX as usize,
            offset: 0,
            ..filter
        };
        let page = self.store.containers(&all).await?;
        let containers = page.containers.iter();
        let items = containers.map(|container| ContainerItem::new(container, all.now));
        ContainerRows::new(items.collect(), &by)
    }

    /// Everything about a range, as `write` encodes it.
    ///
    /// # Errors
    /// When there is no such container, the store fails, or there is not enough memory.
    pub async fn summary<R: Send + 'static>(
        &self,
        id: &ContainerId,
        ask: &Ask,
        write: impl Fn(&Summary, &mut Output<'_>) -> std::io::Result<R> + Send + Sync + 'static,
    ) -> Result<Encoded<R>, QueryError> {
        let container = self.container(id).await?;
        let plan = self.plan(&container, ask);
        let item = ContainerItem::new(&container, clock::now()).within(ask.extent.as_ref());
        let (scope, top, max_series) = (scope(ask, &plan), ask.top, ask.max_series);
        let make = move |plan: &Plan, segments: &[Arc<Segment>], bound: &Bound| {
            let ledger = Ledger::new(plan, segments, &scope);
            let item = item.clone();
            Ok(Summary::new(item, plan, &ledger, top, max_series, bound)?)
        };
        self.encode(id, plan, make, write).await
    }

    /// A table.
    ///
    /// # Errors
    /// When there is no such container or column, the filter is not valid, or the store fails.
    pub async fn table(
        &self,
        id: &ContainerId,
        kind: TableKind,
        ask: &Ask,
        arrangement: Arrangement,
    ) -> Result<Table, QueryError> {
        let container = self.container(id).await?;
        let plan = self.plan(&container, ask);
        let make = make_table(kind, scope(ask, &plan), arrangement);
        let (table, _) = self.answer_within(id, plan, make).await?;
        Ok(table)
    }

    /// A table, as `write` encodes it.
    ///
    /// # Errors
    /// As [`Self::table`], or when there is not enough memory.
    pub async fn encoded_table(
        &self,
        id: &ContainerId,
        kind: TableKind,
        ask: &Ask,
        arrangement: Arrangement,
        write: impl Fn(&Table, &mut Output<'_>) -> std::io::Result<()> + Send + Sync + 'static,
    ) -> Result<Encoded, QueryError> {
        let container = self.container(id).await?;
        let plan = self.plan(&container, ask);
        let make = make_table(kind, scope(ask, &plan), arrangement);
        self.encode(id, plan, make, write).await
    }

    /// What the rows of a table did over time.
    ///
    /// # Errors
    /// When there is no such container, the filter is not valid, or the store fails.
    pub async fn series(
        &self,
        id: &ContainerId,
        kind: SeriesKind,
        ask: &Ask,
        filter: String,
    ) -> Result<TableSeries, QueryError> {
        let container = self.container(id).await?;
        let plan = self.plan(&container, ask);
        let scope = scope(ask, &plan);
        let by = Arrangement {
            filter,
            now: clock::now(),
            ..Arrangement::default()
        };
        let make = move |plan: &Plan, segments: &[Arc<Segment>], bound: &Bound| {
            let ledger = Ledger::new(plan, segments, &scope);
            TableSeries::new(kind, plan, &ledger, &by, bound)
        };
        let (series, _) = self.answer_within(id, plan, make).await?;
        Ok(series)
    }

    /// All processes of a range over time as JSON, in at most `slots` slots. At most `limit` processes
    /// have a lane of their own.
    ///
    /// # Errors
    /// When there is no such container, the store fails, or there is not enough memory.
    pub async fn lanes(
        &self,
        id: &ContainerId,
        ask: &Ask,
        slots: usize,
        limit: usize,
    ) -> Result<Encoded, QueryError> {
        let container = self.container(id).await?;
        let plan = self.plan(&container, ask);
        let scope = scope(ask, &plan);
        let make = move |plan: &Plan, segments: &[Arc<Segment>], bound: &Bound| {
            let ledger = Ledger::new(plan, segments, &scope);
            Ok(Lanes::new(plan, &ledger, slots, limit, bound)?)
        };
        self.encode(id, plan, make, write_json).await
    }

    /// What two containers did in their whole lives, and in what they differ, `limit` rows of each
    /// kind at most.
    ///
    /// # Errors
    /// When there is no such container, or the store fails.
    pub async fn compare(
        &self,
        id: &ContainerId,
        other: &ContainerId,
        limit: usize,
    ) -> Result<Comparison, QueryError> {
        let (own, other) = (self.run(id).await?, self.run(other).await?);
        Ok(Comparison::new(own, other, limit))
    }

    /// What a container did in its whole life.
    async fn run(&self, id: &ContainerId) -> Result<Run, QueryError> {
        let container = self.container(id).await?;
        let plan = self.life_plan(&container, None);
        let item = ContainerItem::new(&container, clock::now());
        self.answer(id, plan, move |plan, segments| {
            let ledger = Ledger::new(plan, segments, &Scope::default());
            Run::new(item.clone(), plan, &ledger)
        })
        .await
    }

    /// The whole life of a container, or what a shared link shows of it.
    ///
    /// # Errors
    /// When there is no such container, or the store fails.
    pub async fn life(
        &self,
        id: &ContainerId,
        extent: Option<&Extent>,
    ) -> Result<Life, QueryError> {
        let container = self.container(id).await?;
        let plan = self.life_plan(&container, extent);
        self.answer(id, plan, move |plan, segments| {
            Life::new(
                &container,
                plan,
                &Ledger::new(plan, segments, &Scope::default()),
            )
        })
        .await
    }

    /// Reads the segments that `plan` needs and makes an answer of them, on a thread that may block.
    async fn answer<T: Send + 'static>(
        &self,
        id: &ContainerId,
        plan: Plan,
        make: impl Fn(&Plan, &[Arc<Segment>]) -> T + Send + Sync + 'static,
    ) -> Result<T, QueryError> {
        let make =
            move |plan: &Plan, segments: &[Arc<Segment>], _: &Bound| Ok(make(plan, segments));
        let (answer, _) = self.answer_within(id, plan, make).await?;
        Ok(answer)
    }

    /// Does the same, and encodes the answer by `write` within the memory of the query.
    async fn encode<T, R: Send + 'static>(
        &self,
        id: &ContainerId,
        plan: Plan,
        make: impl Fn(&Plan, &[Arc<Segment>], &Bound) -> Result<T, QueryError> + Send + Sync + 'static,
        write: impl Fn(&T, &mut Output<'_>) -> std::io::Result<R> + Send + Sync + 'static,
    ) -> Result<Encoded<R>, QueryError> {
        // Beyond that it could not be sent.
        let limit = self.memory.answers.size();
        let make = move |plan: &Plan, segments: &[Arc<Segment>], bound: &Bound| {
            let answer = make(plan, segments, bound)?;
            Output::new(bound, limit).collect(|output| write(&answer, output))
        };
        let ((bytes, result), mut held) = self.answer_within(id, plan, make).await?;
        held.shrink_to(bytes.capacity());
        Ok(Encoded {
            bytes,
            held,
            result,
        })
    }

    /// Makes an answer with the memory that `make` takes of the bound. Returns what is reserved for it, too.
    async fn answer_within<T: Send + 'static>(
        &self,
        id: &ContainerId,
        plan: Plan,
        make: impl Fn(&Plan, &[Arc<Segment>], &Bound) -> Result<T, QueryError> + Send + Sync + 'static,
    ) -> Result<(T, Reservation), QueryError> {
        let (plan, make) = (Arc::new(plan), Arc::new(make));
        let mut attempt = Attempt::first(&self.memory, &self.decoded).await?;
        loop {
            let (plan, make) = (Arc::clone(&plan), Arc::clone(&make));
            let done = self.attempt(id, plan, make, attempt.bound()).await;
            match attempt.settle(done).await? {
                ControlFlow::Break(answer) => return Ok(answer),
                ControlFlow::Continue(next) => attempt = next,
            }
        }
    }

    async fn attempt<T: Send + 'static>(
        &self,
        id: &ContainerId,
        plan: Arc<Plan>,
        make: Arc<
            impl Fn(&Plan, &[Arc<Segment>], &Bound) -> Result<T, QueryError> + Send + Sync + 'static,
        >,
        bound: Arc<Bound>,
    ) -> Result<T, QueryError> {
        let (resolution, span) = (plan.resolution, plan.span.clone());
        let rows = Arc::clone(&bound);
        let gathered = read::gather_within(&*self.store, id, resolution, span, rows).await?;
        tokio::task::spawn_blocking(move || make(&plan, &gathered.resolve()?, &bound))
            .await
            .map_err(|_| QueryError::Panicked)?
    }

    /// The slots of a container's whole life, or of what a shared link shows of it.
    fn life_plan(&self, container: &Container, extent: Option<&Extent>) -> Plan {
        let now = clock::now();
        let last = match container.state(now) {
            State::Ended => container.last_seen,
            _ => container.last_seen.max(now.min(container.last_seen + 60)),
        };
        let within = extent.and_then(Extent::span).cloned();
        let question = Question {
            span: limited(container.first_seen.min(last)..last, within.as_ref()),
            step: None,
            slots: Life::MAX_SLOTS,
            live_since: container.live_since,
            last_seen: container.last_seen,
            now,
            within,
        };
        Plan::new(&question, &self.retention)
    }

    fn plan(&self, container: &Container, ask: &Ask) -> Plan {
        let now = clock::now();
        let within = ask.extent.as_ref().and_then(Extent::span).cloned();
        let question = Question {
            span: limited(span(container, ask, now), within.as_ref()),
            step: ask.step,
            slots: MAX_SLOTS,
            live_since: container.live_since,
            last_seen: container.last_seen,
            now,
            within,
        };
        Plan::new(&question, &self.retention)
    }
}

/// Makes a table.
fn make_table(
    kind: TableKind,
    scope: Scope,
    by: Arrangement,
) -> impl Fn(&Plan, &[Arc<Segment>], &Bound) -> Result<Table, QueryError> {
    move |plan, segments, bound| {
        let ledger = Ledger::new(plan, segments, &scope);
        Table::new(kind, plan, &ledger, &by, bound)
    }
}

/// The part of `span` that lies within `within`, or the nearest second of it.
fn limited(span: Range<u64>, within: Option<&Range<u64>>) -> Range<u64> {
    let Some(within) = within else {
        return span;
    };
    let start = span.start.clamp(within.start, within.end - 1);
    start..span.end.clamp(start + 1, within.end)
}

/// The range of the query, in whole seconds.
fn span(container: &Container, ask: &Ask, now: u64) -> Range<u64> {
    // `as` saturates: a negative or huge time becomes the nearest possible one.
    let latest = now + 86_400;
    let end = match ask.to {
        Some(to) => to.ceil() as u64,
        None if container.state(now) == State::Ended => container.last_seen,
        None => now,
    };
    let end = end.clamp(1, latest);
    let start = match ask.from {
        Some(from) => from.floor() as u64,
        None => end
            .saturating_sub(DEFAULT_SPAN)
            .max(container.first_seen.min(end - 1)),
    };
    start.min(end - 1)..end
}

fn scope(ask: &Ask, plan: &Plan) -> Scope {
    let slot = |at: f64| {
        let start = (at.floor() as u64) / plan.step * plan.step;
        start..start.saturating_add(plan.step)
    };
    Scope {
        process: ask.process,
        window: ask.at.map(slot),
    }
}
