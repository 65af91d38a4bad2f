//! Delivers the spool: chooses what goes into the next post, and does with it what the answer requires.
//!
//! Spooled seconds are merged, one segment a container. What does not wait (`attention.rs`) goes first,
//! and is left out of the merged batch later. So an agent posts each second once. If a receipt is
//! missing, it says with the next post that the server may have some of it.

use std::sync::Arc;
use std::time::Duration;

use bubble_common::batch::Batch;
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::time::Instant;

use super::answer::{Outcome, Receipt};
use super::merge::{Part, merge};
use super::{
    DEFER_DELAY, DEFERRED_POLL_INTERVAL, NEWEST_EVERY, REFUSED_KEY_DELAY, Sender, retry_delay,
};
use crate::attention::{AtOnce, Attention, Names};
use crate::metrics::Metrics;
use crate::printable::printable;
use crate::spool::delivery::End;
use crate::spool::queue::Queue;
use crate::spool::{BatchId, SpoolError, SpooledBatch};
use crate::undelivered::covered_seconds;

/// Maximum number of batches that are merged.
const MAX_GROUP: usize = 60;

/// Delivers one spool.
#[derive(Debug)]
pub struct Delivery {
    sender: Sender,
    queue: Arc<Queue>,
    metrics: Metrics,
    attention: Attention,
    /// Failures in a row.
    failures: u32,
    /// Number of posts.
    turn: u64,
    /// Maximum number of batches that are merged now: fewer after one was too large.
    max_group: usize,
    /// Varies the delays before retries.
    jitter: StdRng,
}

/// What one post delivers.
#[derive(Debug)]
struct Load {
    batches: Vec<SpooledBatch>,
    /// The encoded batch.
    bytes: Vec<u8>,
    /// Number of segments in it.
    segments: u64,
    /// The containers that it has, and how many of their segments are from each batch. `None`: all that
    /// the server lacks.
    only: Option<(Names, Vec<u32>)>,
}

impl Load {
    fn ids(&self) -> impl Iterator<Item = BatchId> {
        self.batches.iter().map(|batch| batch.id)
    }

    /// A batch as it was spooled.
    fn whole(batch: SpooledBatch) -> Self {
        Self {
            bytes: batch.payload.clone(),
            segments: batch.segments.into(),
            only: None,
            batches: vec![batch],
        }
    }
}

impl Delivery {
    /// Delivers `queue` by `sender`, and counts failures in `metrics`.
    pub fn new(sender: Sender, queue: Arc<Queue>, metrics: Metrics, attention: Attention) -> Self {
        Self {
            sender,
            queue,
            metrics,
            attention,
            failures: 0,
            turn: 0,
            max_group: MAX_GROUP,
            jitter: StdRng::from_rng(&mut rand::rng()),
        }
    }

    /// Seeds the jitter of retries, so that a simulation can be repeated.
    #[must_use]
    pub fn seeded(self, seed: u64) -> Self {
        Self {
            jitter: StdRng::seed_from_u64(seed),
            ..self
        }
    }

    /// Delivers for ever.
    pub async fn run(mut self) {
        loop {
            let at_once = self.attention.take();
            let load = match self.next(&at_once) {
                Ok(Some(load)) => load,
                Ok(None) => {
                    self.wait(at_once.interval).await;
                    continue;
                }
                Err(error) => {
                    self.attention.urge(at_once.names);
                    match error {
                        SpoolError::Damaged { .. } => tracing::error!("{error}"),
                        _ => tracing::warn!("a batch is not sent now: {error}"),
                    }
                    continue;
                }
            };
            self.turn += 1;
            let may_be_known = load.batches.iter().any(|batch| batch.attempted);
            self.queue.with(|spool| spool.attempt(load.ids()));
            let post = self.sender.post(&load.bytes, load.segments, may_be_known);
            match self.settle(post.await, &load) {
                None => self.failures = 0,
                Some(delay) => {
                    self.attention.urge(at_once.names);
                    self.metrics.add_failed_post();
                    self.failures += 1;
                    tokio::time::sleep(delay).await;
                }
            }
        }
    }

    /// Waits until something may be due.
    async fn wait(&self, interval: Duration) {
        let poll = Instant::now() + DEFERRED_POLL_INTERVAL;
        let due = self.queue.with(|spool| spool.due_at(interval));
        let until = due.map_or(poll, |due| due.min(poll));
        tokio::select! {
            biased;
            () = self.queue.appended() => {}
            () = self.attention.changed() => {}
            () = tokio::time::sleep_until(until) => {}
        }
    }

    /// What to post now, if anything.
    fn next(&mut self, at_once: &AtOnce) -> Result<Option<Load>, SpoolError> {
        if !at_once.merges {
            let newest = (self.turn + 1).is_multiple_of(NEWEST_EVERY);
            let batch = self.queue.with(|spool| spool.peek(newest))?;
            // Some of it may have been delivered while the server said what is looked at.
            return Ok(batch.and_then(|batch| self.load(vec![batch], End::Oldest, None)));
        }
        let is_due = |due: Instant| due <= Instant::now();
        if !at_once.interval.is_zero()
            && let Some(load) = self.watched(&at_once.names)?
        {
            return Ok(Some(load));
        }
        let due = self.queue.with(|spool| spool.due_at(at_once.interval));
        if !due.is_some_and(is_due) {
            return Ok(None);
        }
        let end = match (self.turn + 1).is_multiple_of(NEWEST_EVERY) {
            true => End::Newest,
            false => End::Oldest,
        };
        let max = self.max_group;
        let batches = self.queue.with(|spool| spool.group(end, max))?;
        Ok(self.load(batches, end, None))
    }

    /// What waits of the containers `names`.
    fn watched(&self, names: &Names) -> Result<Option<Load>, SpoolError> {
        if names.is_empty() {
            return Ok(None);
        }
        loop {
            let max = self.max_group;
            let batches = self.queue.with(|spool| spool.group_of(names, max))?;
            let Some(load) = self.load(batches, End::Newest, Some(names)) else {
                return Ok(None);
            };
            if load.segments > 0 || load.only.is_none() {
                return Ok(Some(load));
            }
            // Batches without these containers.
            self.delivered(&load);
        }
    }

    /// Merges batches: those of one source, from the first one at `end` on.
    fn load(&self, mut batches: Vec<SpooledBatch>, end: End, only: Option<&Names>) -> Option<Load> {
        if end == End::Newest {
            batches.reverse();
        }
        let mut parts: Vec<(Batch, SpooledBatch)> = Vec::new();
        for spooled in batches {
            let Ok(batch) = Batch::decode(&spooled.payload) else {
                if parts.is_empty() {
                    // The server says what is wrong with it.
                    return Some(Load::whole(spooled));
                }
                break;
            };
            if parts
                .first()
                .is_some_and(|first| first.0.source != batch.source)
            {
                break;
            }
            parts.push((batch, spooled));
        }
        if end == End::Newest {
            parts.reverse();
        }
        let is_whole = only.is_none() && parts.len() == 1;
        if is_whole && parts[0].1.done.is_empty() {
            return parts.pop().map(|(_, spooled)| Load::whole(spooled));
        }
        let (decoded, batches): (Vec<Batch>, Vec<SpooledBatch>) = parts.into_iter().unzip();
        let done = batches.iter().map(|batch| &batch.done);
        let parts: Vec<Part<'_>> = decoded.into_iter().zip(done).collect();
        let merged = merge(parts, only)?;
        Some(Load {
            bytes: merged.batch.encode(),
            segments: merged.batch.segments.len() as u64,
            only: only.map(|names| (names.clone(), merged.taken)),
            batches,
        })
    }

    /// Does with what was posted what the outcome requires. Returns a delay after a failure.
    fn settle(&mut self, outcome: Outcome, load: &Load) -> Option<Duration> {
        match outcome {
            Outcome::Settled(receipt) if receipt.refused.is_empty() => {
                if self.failures > 0 {
                    let left = self.queue.with(|spool| spool.segments());
                    tracing::info!(left, "the server takes batches again");
                }
                self.max_group = MAX_GROUP;
                self.delivered(load);
                None
            }
            Outcome::Settled(receipt) => match refused(&load.bytes, &receipt) {
                Some(refused) => {
                    let first = receipt.refused.first().map(|it| it.reason.as_str());
                    self.set_aside(&refused, &printable(first.unwrap_or_default()), load);
                    self.delivered(load);
                    None
                }
                None => {
                    let why = "the receipt refuses a segment that was not sent";
                    Some(self.log_failure(why))
                }
            },
            Outcome::Never(why) => self.give_up(&why, load),
            Outcome::Key(why) => {
                if self.failures == 0 {
                    tracing::error!(
                        "the server refuses this API key; make one with `bubble-server key create`: {why}"
                    );
                }
                Some(REFUSED_KEY_DELAY)
            }
            Outcome::Later(why, delay) => {
                let own = self.log_failure(&why);
                Some(delay.unwrap_or(own))
            }
            Outcome::TooLarge(why) if load.batches.len() > 1 => {
                self.max_group = load.batches.len() / 2;
                Some(self.log_failure(&why))
            }
            Outcome::Defer(why) | Outcome::TooLarge(why) => {
                self.queue.with(|spool| {
                    for id in load.ids() {
                        spool.defer(id, DEFER_DELAY);
                    }
                });
                Some(self.log_failure(&why))
            }
        }
    }

    /// The server has all that was posted, or what it refused is set aside.
    fn delivered(&self, load: &Load) {
        self.queue.with(|spool| match &load.only {
            None => load.ids().for_each(|id| spool.complete(id)),
            Some((names, taken)) => {
                for (batch, segments) in load.batches.iter().zip(taken) {
                    spool.deliver(batch, names, *segments);
                }
            }
        });
    }

    /// Sets a batch aside that the server will never take. Merged ones are posted one by one first, to
    /// find the one that it refuses.
    fn give_up(&mut self, why: &str, load: &Load) -> Option<Duration> {
        if load.batches.len() > 1 {
            self.max_group = 1;
            return Some(self.log_failure(why));
        }
        match Batch::decode(&load.bytes) {
            Ok(batch) => self.set_aside(&batch, why, load),
            Err(error) => {
                tracing::error!(
                    "the server refused a batch for good, it is set aside: {why}; nor can it be read here: {error}"
                );
                self.metrics.add_refused_seconds(load.segments);
                let seconds = [(None, load.segments)];
                if let Some(id) = load.ids().next() {
                    self.queue
                        .with(|spool| spool.reject(id, &load.bytes, seconds));
                }
            }
        }
        self.delivered(load);
        None
    }

    /// Sets segments aside that the server refused for good.
    fn set_aside(&self, refused: &Batch, why: &str, load: &Load) {
        let segments = &refused.segments;
        tracing::error!(
            segments = segments.len(),
            "the server refused segments for good, they are set aside: {why}"
        );
        self.metrics
            .add_refused_seconds(segments.iter().map(covered_seconds).sum());
        let slots = segments
            .iter()
            .map(|segment| (Some(&segment.key.container), covered_seconds(segment)));
        if let Some(id) = load.ids().next() {
            self.queue
                .with(|spool| spool.reject(id, &refused.encode(), slots));
        }
    }

    /// Logs the first of several failures, and returns the delay before the next attempt.
    fn log_failure(&mut self, why: &str) -> Duration {
        if self.failures == 0 {
            tracing::warn!(
                "cannot send to {}, so batches wait in the spool: {why}",
                self.sender.url
            );
        }
        retry_delay(self.failures, self.jitter.random())
    }
}

/// A batch of the segments that the receipt refuses. `None` if one of them was not sent.
fn refused(payload: &[u8], receipt: &Receipt) -> Option<Batch> {
    let mut batch = Batch::decode(payload).ok()?;
    let mut refused = Vec::new();
    for refusal in &receipt.refused {
        let at = batch.segments.iter().position(|segment| {
            let key = &segment.key;
            key.container.as_str() == refusal.container
                && key.start == refusal.start
                && key.resolution.name() == refusal.resolution
        })?;
        refused.push(batch.segments.swap_remove(at));
    }
    batch.segments = refused;
    Some(batch)
}
