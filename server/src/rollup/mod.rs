//! Roll-up: posted segments become packed spans and coarser resolutions, and expire in the end.
//!
//! The seconds of a finished minute become one row, and a slot of the minutes. The minutes of
//! a finished hour become one row, and a slot of the hours, and so on. Each step reads a
//! dirty span and writes the result in one change, so it can be interrupted anywhere and is
//! then repeated. A late segment marks its span dirty, and the span is packed again.

pub mod due;
pub mod enqueue;
mod expiry_clock;
pub mod job;
pub mod lease;
pub mod pack;
pub mod queue;
pub mod worker;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bubble_common::segment::{ContainerId, Resolution};
use futures_util::StreamExt;
use tokio::sync::watch;
use tracing::{debug, error, warn};

use self::due::{Backlog, Due};
use self::expiry_clock::{ExpiryClock, Reading};
use self::lease::{Held, Keeper, lost};
use self::pack::{PackError, pack};
use crate::clock;
use crate::metrics::Metrics;
use crate::span::retention::Retention;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::lease::Leases;
use crate::store::packing::DirtySpan;
use crate::store::token::MARGIN;

/// Spans packed at the same time: few, because posts and pages are more urgent.
const CONCURRENCY: usize = 2;
/// Delay before an unreadable span is tried again.
const UNREADABLE_RETRY_DELAY: Duration = Duration::from_secs(600);
/// Delay before a span is tried again that the store failed to read or write.
const STORE_RETRY_DELAY: Duration = Duration::from_secs(30);
/// Failures after which a run is given up, if the store caused the last.
const MAX_FAILURES: u64 = 8;
/// Interval between counts of the waiting spans.
const BACKLOG_INTERVAL: Duration = Duration::from_secs(10);
/// How far reports of agents may be ahead and still tell the time.
const MAX_AHEAD: Duration = Duration::from_secs(3_600);
/// Interval between expiries.
const EXPIRY_INTERVAL: Duration = Duration::from_secs(60);

/// Who packs the due spans.
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
pub enum Packer {
    /// The server itself; of several servers, the holder of the lease.
    #[default]
    Builtin,
    /// Workers (`retention listen`), which get jobs from `retention retain`.
    Workers,
}

/// The built-in scheduler.
pub struct Rollup {
    store: Arc<dyn Store>,
    retention: Retention,
    packer: Packer,
    metrics: Arc<Metrics>,
    /// Spans that could not be packed, and when to try again.
    failed: HashMap<SpanName, u64>,
    /// When the waiting spans were last counted.
    counted: u64,
    /// When rows last expired.
    expired: u64,
    expiry_clock: ExpiryClock,
}

/// Identifies a span: container, resolution, start.
type SpanName = (ContainerId, Resolution, u64);

/// Result of one run.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct RunSummary {
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
            packer: Packer::default(),
            metrics,
            failed: HashMap::new(),
            counted: 0,
            expired: 0,
            expiry_clock: ExpiryClock::default(),
        }
    }

    /// Sets who packs.
    #[must_use]
    pub fn packer(self, packer: Packer) -> Self {
        Self { packer, ..self }
    }

    /// Runs until `stop` changes, while this server holds the lease: packs and sweeps deleted
    /// recordings each second, expires rows each minute.
    pub async fn serve(mut self, stop: watch::Receiver<bool>) {
        let mut keeper = Keeper::new(Arc::clone(&self.store) as Arc<dyn Leases>);
        let (publish, held) = watch::channel(None);
        tokio::select! {
            () = keeper.keep(&publish) => {}
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
            self.report_lease(fence);
            if fence.is_none() {
                continue;
            }
            // May be interrupted anywhere: unfinished spans stay dirty.
            let done = tokio::select! {
                done = self.round(clock::now()) => done,
                () = lost(held.clone()) => continue,
                _ = stop.changed() => return,
            };
            if let Err(error) = done {
                warn!(%error, "roll-up failed and will be tried again");
            }
        }
    }

    /// Publishes whether this server holds the lease. Without it, no span waits for this server.
    fn report_lease(&self, fence: Option<u64>) {
        self.metrics.rollup_holder.set(fence.is_some().into());
        match fence {
            Some(fence) => drop(self.metrics.rollup_fence.set(fence.cast_signed())),
            None => self.report_backlog(Backlog::default()),
        }
    }

    fn report_backlog(&self, backlog: Backlog) {
        self.metrics.rollup_waiting.set(backlog.spans.cast_signed());
        self.metrics.rollup_lag.set(backlog.lag.cast_signed());
    }

    /// One round of work at `now`, as [`Self::serve`] does each second.
    ///
    /// # Errors
    /// When the store fails. A span that cannot be packed is logged and counted.
    pub async fn round(&mut self, now: u64) -> Result<(), StoreError> {
        if now >= self.counted + BACKLOG_INTERVAL.as_secs() {
            self.report_backlog(Backlog::new(&*self.store, now).await?);
            self.counted = now;
        }
        self.store.sweep().await?;
        if self.packer == Packer::Builtin {
            self.pack_all(now).await?;
        }
        // The clock may have gone back meanwhile.
        if now.abs_diff(self.expired) >= EXPIRY_INTERVAL.as_secs() {
            let time = self.expiry_time(now).await?;
            self.expire(time).await?;
            let tokens = time.saturating_sub(MARGIN.as_secs());
            self.store.expire_tokens(tokens).await?;
            self.expired = now;
        }
        Ok(())
    }

    /// Sweeps deleted recordings, packs the spans that are due at `now`, and expires rows by the same time,
    /// whatever the clock was before.
    ///
    /// # Errors
    /// When the store fails. A span that cannot be packed is logged and counted.
    pub async fn run(&mut self, now: u64) -> Result<RunSummary, StoreError> {
        self.store.sweep().await?;
        let mut summary = self.pack_all(now).await?;
        summary.expired = self.expire(now).await?;
        Ok(summary)
    }

    async fn pack_all(&mut self, now: u64) -> Result<RunSummary, StoreError> {
        let store = Arc::clone(&self.store);
        self.failed.retain(|_, again| now < *again);
        let mut summary = RunSummary::default();
        // Finest first, so that rolled slots are packed in the same run.
        for resolution in Resolution::ALL {
            let mut due = Due::new(&*store, resolution, now).await?;
            while let Some(page) = due.page().await? {
                let may_try = |span: &DirtySpan| !self.failed.contains_key(&name_of(span));
                let spans = page.into_iter().filter(may_try).collect();
                self.pack_some(spans, now, &mut summary).await?;
            }
        }
        self.metrics.rollup_packed.inc_by(summary.packed);
        self.metrics.rollup_failed.inc_by(summary.failed);
        Ok(summary)
    }

    async fn pack_some(
        &mut self,
        spans: Vec<DirtySpan>,
        now: u64,
        summary: &mut RunSummary,
    ) -> Result<(), StoreError> {
        let work = spans.into_iter().map(|span| {
            let store = Arc::clone(&self.store);
            async move { (name_of(&span), pack(&*store, span).await) }
        });
        let mut results = futures_util::stream::iter(work).buffer_unordered(CONCURRENCY);
        while let Some((name, result)) = results.next().await {
            match result {
                Ok(()) => summary.packed += 1,
                // The span is still dirty, and packed in the next run.
                Err(PackError::Store(StoreError::Conflict)) => {}
                Err(error) => {
                    let (container, resolution, start) = &name;
                    error!(%error, %container, ?resolution, start, "cannot pack a span");
                    summary.failed += 1;
                    match error {
                        PackError::Store(error) if !matches!(error, StoreError::Corrupt { .. }) => {
                            self.failed.insert(name, now + STORE_RETRY_DELAY.as_secs());
                            // A failure of one span must not stop the others while the store answers.
                            self.store.check().await?;
                            if summary.failed >= MAX_FAILURES {
                                return Err(error);
                            }
                        }
                        _ => drop(
                            self.failed
                                .insert(name, now + UNREADABLE_RETRY_DELAY.as_secs()),
                        ),
                    }
                }
            }
        }
        Ok(())
    }

    /// The time by which rows expire.
    async fn expiry_time(&mut self, now: u64) -> Result<u64, StoreError> {
        // What expired last tells the time, also after a restart.
        let horizon = self.store.expired_before(Resolution::Second).await?;
        let last = (horizon > 0).then_some(horizon + self.retention.seconds);
        let hosts = self.store.hosts().await?;
        // The clock of a host may be wrong, too: one that is far ahead says nothing.
        let reported = hosts.iter().map(|host| host.last_seen as u64);
        let reported = reported.filter(|at| *at <= now + MAX_AHEAD.as_secs()).max();
        let time = self.expiry_clock.time(Reading::now(now), last, reported);
        let is_suspect = self.expiry_clock.is_suspect();
        self.metrics.clock_suspect.set(is_suspect.into());
        Ok(time)
    }

    async fn expire(&self, now: u64) -> Result<u64, StoreError> {
        let mut expired = 0;
        for resolution in Resolution::ALL {
            if let Some(before) = self.retention.expired_before(resolution, now) {
                let finished =
                    (resolution == Resolution::Second).then(|| self.retention.finished(now));
                expired += self.store.expire(resolution, before, finished).await?;
            }
        }
        debug!(rows = expired, "expired");
        Ok(expired)
    }
}

fn name_of(span: &DirtySpan) -> SpanName {
    (span.container.clone(), span.resolution, span.start)
}
