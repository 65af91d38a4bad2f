//! Answers: a range of a container as what the page shows of it.
//!
//! One way for all of them: the slots that answer ([`range::Plan`]), the
//! segments of these ([`read`]), their sums ([`ledger::Ledger`]), written down as
//! a summary, a table or a life.

pub mod error;
pub mod io;
pub mod item;
pub mod ledger;
pub mod legacy;
pub mod life;
pub mod range;
pub mod read;
pub mod summary;
pub mod table;

use std::ops::Range;
use std::sync::Arc;

use bubble_common::segment::{ContainerId, Segment};

use crate::clock;
use crate::rollup::retention::Retention;
use crate::store::Store;
use crate::store::container::{Container, State};
use error::QueryError;
use item::ContainerItem;
use ledger::{Ledger, Scope};
use life::Life;
use range::{MAX_SLOTS, Plan, Question};
use summary::Summary;
use table::{Table, TableKind};

/// Answers questions.
#[derive(Clone)]
pub struct Query {
    store: Arc<dyn Store>,
    retention: Retention,
}

/// What is asked about a range. Times are seconds since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Ask {
    /// Start; without it the last 15 minutes, or less if the container is younger.
    pub from: Option<f64>,
    /// End; without it now, or when the container was last seen.
    pub to: Option<f64>,
    /// Length of a slot in seconds; without it, it is chosen.
    pub step: Option<u64>,
    /// Only this process: (pid, start in ns), all programs that it ran.
    pub process: Option<(u32, u64)>,
    /// Rows as of the slot that holds this moment.
    pub at: Option<f64>,
    /// At most so many rows a table.
    pub top: usize,
}

/// What is read when nothing is asked for.
const DEFAULT_SPAN: u64 = 900;

impl Query {
    /// Answers from `store`.
    pub fn new(store: Arc<dyn Store>, retention: Retention) -> Self {
        Self { store, retention }
    }

    /// The index's entry of a container.
    ///
    /// # Errors
    /// When there is none, or the store fails.
    pub async fn container(&self, id: &ContainerId) -> Result<Container, QueryError> {
        let container = self.store.container(id).await?;
        container.ok_or_else(|| QueryError::NoContainer(id.as_str().to_owned()))
    }

    /// Everything about a range.
    ///
    /// # Errors
    /// When there is no such container, or the store fails.
    pub async fn summary(&self, id: &ContainerId, ask: &Ask) -> Result<Summary, QueryError> {
        let container = self.container(id).await?;
        let plan = self.plan(&container, ask);
        let item = ContainerItem::new(&container, clock::now());
        let (scope, top) = (scope(ask, &plan), ask.top);
        self.answer(id, plan, move |plan, segments| {
            Summary::new(item, plan, &Ledger::new(plan, segments, &scope), top)
        })
        .await
    }

    /// A whole table.
    ///
    /// # Errors
    /// When there is no such container, or the store fails.
    pub async fn table(
        &self,
        id: &ContainerId,
        kind: TableKind,
        ask: &Ask,
    ) -> Result<Table, QueryError> {
        let container = self.container(id).await?;
        let plan = self.plan(&container, ask);
        let scope = scope(ask, &plan);
        self.answer(id, plan, move |plan, segments| {
            Table::new(kind, plan, &Ledger::new(plan, segments, &scope))
        })
        .await
    }

    /// The whole life of a container.
    ///
    /// # Errors
    /// When there is no such container, or the store fails.
    pub async fn life(&self, id: &ContainerId) -> Result<Life, QueryError> {
        let container = self.container(id).await?;
        let now = clock::now();
        let last = match container.state(now) {
            State::Ended => container.last_seen,
            _ => container.last_seen.max(now.min(container.last_seen + 60)),
        };
        let question = Question {
            span: container.first_seen.min(last)..last,
            step: None,
            slots: Life::SLOTS,
            live_since: container.live_since,
            now,
        };
        let plan = Plan::new(&question, &self.retention);
        self.answer(id, plan, move |plan, segments| {
            Life::new(
                &container,
                plan,
                &Ledger::new(plan, segments, &Scope::default()),
            )
        })
        .await
    }

    /// Reads what `plan` needs and makes an answer of it, on a thread that may block.
    async fn answer<T: Send + 'static>(
        &self,
        id: &ContainerId,
        plan: Plan,
        make: impl FnOnce(&Plan, &[Segment]) -> T + Send + 'static,
    ) -> Result<T, QueryError> {
        let gathered = read::gather(&*self.store, id, plan.resolution, plan.span.clone()).await?;
        tokio::task::spawn_blocking(move || Ok(make(&plan, &gathered.resolve()?)))
            .await
            .map_err(|_| QueryError::Cut)?
    }

    fn plan(&self, container: &Container, ask: &Ask) -> Plan {
        let now = clock::now();
        let question = Question {
            span: span(container, ask, now),
            step: ask.step,
            slots: MAX_SLOTS,
            live_since: container.live_since,
            now,
        };
        Plan::new(&question, &self.retention)
    }
}

/// The range that is asked for, in whole seconds.
fn span(container: &Container, ask: &Ask, now: u64) -> Range<u64> {
    // `as` saturates: a negative or absurd time becomes the nearest possible one.
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
        start..start + plan.step
    };
    Scope {
        process: ask.process,
        window: ask.at.map(slot),
    }
}
