//! Roll-up: what has been posted becomes packed spans, coarser resolutions, and
//! in the end nothing.
//!
//! Seconds of a finished minute become one row, and a slot of the minutes;
//! minutes of a finished hour one row and a slot of the hours, and so on. Each
//! step reads what is dirty and writes its result in one change, so that the
//! work can be cut short anywhere and is simply done again. Late segments mark
//! their span dirty, and it is packed anew.

pub mod kept;
pub mod pack;
pub mod retention;
pub mod unite;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bubble_common::segment::{ContainerId, Resolution};
use futures_util::StreamExt;
use tokio::sync::watch;
use tracing::{debug, error, warn};

use crate::clock;
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::row::DirtySpan;
use pack::pack;
use retention::Retention;

/// Spans that are packed at the same time. Roll-up has time; posts and pages have not.
const PARALLEL: usize = 2;
/// How many dirty spans are listed at once.
const PAGE: usize = 500;
/// A span whose finer rows have expired is packed when nothing was put for so
/// long: what comes late comes in many posts, and a slot that is half there
/// could not be told from a whole one afterwards.
const QUIET: u64 = 60;
/// A span that could not be packed is tried again after so many seconds.
const RETRY: u64 = 600;

/// How long after its end a span is packed, in seconds: most of what is late comes by then.
const fn grace(resolution: Resolution) -> u64 {
    match resolution {
        Resolution::Second => 5,
        Resolution::Minute => 30,
        Resolution::Hour => 120,
        Resolution::Day => 300,
    }
}

/// The built-in scheduler.
pub struct Rollup {
    store: Arc<dyn Store>,
    retention: Retention,
    metrics: Arc<Metrics>,
    /// Spans that could not be packed, and when.
    failed: HashMap<(ContainerId, Resolution, u64), u64>,
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
            metrics,
            failed: HashMap::new(),
        }
    }

    /// Runs until `stop` changes: packs (and removes deleted recordings) each second, expires each minute.
    pub async fn serve(mut self, mut stop: watch::Receiver<bool>) {
        let mut tick = tokio::time::interval(Duration::from_secs(1));
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut expired_at = 0;
        loop {
            tokio::select! {
                _ = tick.tick() => {}
                _ = stop.changed() => return,
            }
            let now = clock::now();
            let work = async {
                self.store.sweep().await?;
                self.pack_all(now).await?;
                if now >= expired_at + 60 {
                    self.expire(now).await?;
                    expired_at = now;
                }
                Ok::<(), StoreError>(())
            };
            // Cut short anywhere: what is not done is still marked.
            let done = tokio::select! {
                done = work => done,
                _ = stop.changed() => return,
            };
            if let Err(error) = done {
                warn!(%error, "roll-up failed and will be tried again");
            }
        }
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
        let mut done = Done::default();
        // Finest first: what it rolls is then packed in the same run.
        for resolution in Resolution::ALL {
            let before = (now + 1).saturating_sub(grace(resolution) + resolution.packed_seconds());
            let horizon = self.store.expired_before(resolution).await?;
            let mut after = None;
            loop {
                let page = self.store.dirty(resolution, before, after, PAGE).await?;
                let full = page.len() == PAGE;
                after = page.last().map(|span| (span.start, span.container.clone()));
                let due = page
                    .into_iter()
                    .filter(|span| self.is_due(span, horizon, now));
                self.pack_some(due.collect(), now, &mut done).await?;
                if !full {
                    break;
                }
            }
        }
        self.metrics.packed(done.packed, done.failed);
        Ok(done)
    }

    fn is_due(&self, span: &DirtySpan, horizon: u64, now: u64) -> bool {
        let late = span.resolution != Resolution::Second && span.start < horizon;
        if late && now < span.touched + QUIET {
            return false;
        }
        let failed = self.failed.get(&name_of(span));
        failed.is_none_or(|at| now >= at + RETRY)
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
                Ok(()) => {
                    done.packed += 1;
                    self.failed.remove(&name);
                }
                // It is dirty still, and packed in the next run.
                Err(pack::PackError::Store(StoreError::Conflict)) => {}
                Err(pack::PackError::Store(error)) => return Err(error),
                Err(error) => {
                    let (container, resolution, start) = &name;
                    error!(%error, %container, ?resolution, start, "cannot pack a span");
                    done.failed += 1;
                    self.failed.insert(name, now);
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
