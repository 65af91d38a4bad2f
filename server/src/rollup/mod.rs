//! Roll-up: what has been posted becomes packed spans, coarser resolutions, and
//! in the end nothing.
//!
//! Seconds of a finished minute become one row, and a slot of the minutes;
//! minutes of a finished hour one row and a slot of the hours, and so on. Each
//! step reads what is dirty and writes its result in one change, so that the
//! work can be cut short anywhere and is simply done again. Late segments mark
//! their span dirty, and it is packed anew.

pub mod due;
pub mod job;
pub mod kept;
pub mod lease;
pub mod pack;
pub mod queue;
pub mod retain;
pub mod retention;
pub mod unite;
pub mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bubble_common::segment::{ContainerId, Resolution};
use futures_util::StreamExt;
use tokio::sync::watch;
use tracing::{debug, error, warn};

use crate::clock;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::lease::Leases;
use crate::store::row::DirtySpan;
use due::{Backlog, Due};
use lease::{Held, Keeper, lost};
use pack::{PackError, pack};
use retention::Retention;

/// Spans that are packed at the same time. Roll-up has time; posts and pages have not.
const PARALLEL: usize = 2;
/// A span that can't be read is tried again after so many seconds.
const RETRY: u64 = 600;
/// And one that the store fails to give or take, though it answers.
const RETRY_STORE: u64 = 30;
/// A run that failed so often is given up when the store is to blame for the last.
const FAILURES: u64 = 8;
/// How often it is counted what waits, in seconds.
const COUNT: u64 = 10;
/// How often rows expire, in seconds.
const EXPIRE: u64 = 60;

/// Who packs what is due.
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
#[serde(rename_all = "lowercase")]
pub enum By {
    /// The server itself: of several, the one that has the lease.
    #[default]
    Builtin,
    /// Workers (`retention listen`), to whom `retention retain` gives jobs.
    Workers,
}

/// The built-in scheduler.
pub struct Rollup {
    store: Arc<dyn Store>,
    retention: Retention,
    by: By,
    metrics: Arc<Metrics>,
    /// Spans that could not be packed, and when that is tried again.
    failed: HashMap<(ContainerId, Resolution, u64), u64>,
    /// When it was last counted what waits, and when rows last expired.
    counted: u64,
    expired: u64,
}

/// What one run did.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Done {
    /// Spans packed.
    pub packed: u64,
    /// Spans that could not be packed.
    pub failed: u64,
    /// Rows that expired.
    pub expired: u64,
}

impl Rollup {
    /// A scheduler for `store`.
    pub fn new(store: Arc<dyn Store>, retention: Retention, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            retention,
            by: By::default(),
            metrics,
            failed: HashMap::new(),
            counted: 0,
            expired: 0,
        }
    }

    /// The same, which leaves packing to workers or not.
    #[must_use]
    pub fn by(self, by: By) -> Self {
        Self { by, ..self }
    }

    /// Runs until `stop` changes, whenever this server has the lease: packs (and removes deleted
    /// recordings) each second, expires each minute.
    pub async fn serve(mut self, stop: watch::Receiver<bool>) {
        let mut keeper = Keeper::new(Arc::clone(&self.store) as Arc<dyn Leases>);
        let (tell, held) = watch::channel(None);
        tokio::select! {
            () = keeper.keep(&tell) => {}
            () = self.work(held, stop) => {}
        }
        keeper.release().await;
    }

    async fn work(&mut self, held: watch::Receiver<Option<Held>>, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stop.changed() => return,
            }
            let valid = held.borrow().filter(|held| Instant::now() < held.until);
            let fence = valid.map(|held| held.fence);
            self.metrics.lease(fence);
            if fence.is_none() {
                continue;
            }
            // Cut short anywhere: what is not done is still marked.
            let done = tokio::select! {
                done = self.turn(clock::now()) => done,
                () = lost(held.clone()) => continue,
                _ = stop.changed() => return,
            };
            if let Err(error) = done {
                warn!(%error, "roll-up failed and will be tried again");
            }
        }
    }

    /// What is to be done at `now`.
    async fn turn(&mut self, now: u64) -> Result<(), StoreError> {
        if now >= self.counted + COUNT {
            self.metrics.backlog(Backlog::new(&*self.store, now).await?);
            self.counted = now;
        }
        self.store.sweep().await?;
        if self.by == By::Builtin {
            self.pack_all(now).await?;
        }
        if now >= self.expired + EXPIRE {
            self.expire(now).await?;
            self.expired = now;
        }
        Ok(())
    }

    /// Removes deleted recordings, packs what is due at `now`, and expires what may go.
    ///
    /// # Errors
    /// When the store fails. A span that can't be packed is logged and counted.
    pub async fn run(&mut self, now: u64) -> Result<Done, StoreError> {
        self.store.sweep().await?;
        let mut done = self.pack_all(now).await?;
        done.expired = self.expire(now).await?;
        Ok(done)
    }

    async fn pack_all(&mut self, now: u64) -> Result<Done, StoreError> {
        let store = Arc::clone(&self.store);
        self.failed.retain(|_, again| now < *again);
        let mut done = Done::default();
        // Finest first: what it rolls is then packed in the same run.
        for resolution in Resolution::ALL {
            let mut due = Due::new(&*store, resolution, now).await?;
            while let Some(page) = due.page().await? {
                let tried = |span: &DirtySpan| !self.failed.contains_key(&name_of(span));
                let spans = page.into_iter().filter(tried).collect();
                self.pack_some(spans, now, &mut done).await?;
            }
        }
        self.metrics.packed(done.packed, done.failed);
        Ok(done)
    }

    async fn pack_some(
        &mut self,
        spans: Vec<DirtySpan>,
        now: u64,
        done: &mut Done,
    ) -> Result<(), StoreError> {
        let work = spans.into_iter().map(|span| {
            let store = Arc::clone(&self.store);
            async move { (name_of(&span), pack(&*store, span).await) }
        });
        let mut results = futures_util::stream::iter(work).buffer_unordered(PARALLEL);
        while let Some((name, result)) = results.next().await {
            match result {
                Ok(()) => done.packed += 1,
                // It is dirty still, and packed in the next run.
                Err(PackError::Store(StoreError::Conflict)) => {}
                Err(error) => {
                    let (container, resolution, start) = &name;
                    error!(%error, %container, ?resolution, start, "cannot pack a span");
                    done.failed += 1;
                    match error {
                        PackError::Store(error) if !matches!(error, StoreError::Corrupt { .. }) => {
                            self.failed.insert(name, now + RETRY_STORE);
                            // What is wrong with one span must not keep the others from being packed.
                            self.store.check().await?;
                            if done.failed >= FAILURES {
                                return Err(error);
                            }
                        }
                        _ => drop(self.failed.insert(name, now + RETRY)),
                    }
                }
            }
        }
        Ok(())
    }

    async fn expire(&self, now: u64) -> Result<u64, StoreError> {
        let mut expired = 0;
        for resolution in Resolution::ALL {
            if let Some(before) = self.retention.expired_before(resolution, now) {
                expired += self.store.expire(resolution, before).await?;
            }
        }
        debug!(rows = expired, "expired");
        Ok(expired)
    }
}

fn name_of(span: &DirtySpan) -> (ContainerId, Resolution, u64) {
    (span.container.clone(), span.resolution, span.start)
}
