//! The lease of roll-up: of several servers on one store, one rolls up.
//!
//! No two clocks are compared, so a server or node whose clock is off does no harm. The holder
//! renews the lease every few seconds. A server that has *seen it unchanged* for
//! [`LAPSE_TIMEOUT`] on its own monotonic clock takes it. The holder relies on it only for
//! [`HOLD_TIME`] after it *began* to renew it, which is shorter. (A time to live in Cassandra
//! would do the same by the nodes' clocks.)
//!
//! A change that fails has an unknown outcome, so the lease is read again.
//!
//! A process that was suspended may continue for a moment as if it held the lease. Its writes
//! are harmless: packed rows are replaced on a condition, and all others are idempotent. The
//! lease saves work, and keeps packing apart from the removal of recordings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bubble_common::segment::SourceId;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::store::error::StoreError;
use crate::store::lease::{Lease, Leases};

/// Interval at which every server reads the lease, and the holder renews it.
pub const RENEW_INTERVAL: Duration = Duration::from_secs(3);
/// For how long the holder relies on a renewal.
pub const HOLD_TIME: Duration = Duration::from_secs(12);
/// Time without a change after which the lease has lapsed.
pub const LAPSE_TIMEOUT: Duration = Duration::from_secs(20);
/// Longest wait for the release at shutdown.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(3);

/// This process holds the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Until when, unless it is renewed.
    pub until: Instant,
    /// Grows each time the holder changes.
    pub fence: u64,
}

/// One process that competes for the lease.
pub struct Keeper {
    store: Arc<dyn Leases>,
    me: SourceId,
    /// The lease as last seen, and since when it is unchanged.
    seen: Option<(Lease, Instant)>,
    held: Option<Held>,
}

impl Keeper {
    /// A keeper without the lease.
    pub fn new(store: Arc<dyn Leases>) -> Self {
        Self {
            store,
            me: SourceId(rand::random()),
            seen: None,
            held: None,
        }
    }

    /// Takes the lease if it is free or has lapsed, and renews our own. `Some` if we hold it at `now`.
    ///
    /// # Errors
    /// When the store does not answer. A lease that was held stays held for its time.
    pub async fn tick(&mut self, now: Instant) -> Result<Option<Held>, StoreError> {
        let asked = Instant::now();
        let found = self.store.lease().await?;
        // It may have changed while the store was answering.
        let seen = now + asked.elapsed();
        let to = match found {
            Some(lease) if lease.holder == Some(self.me) => Lease {
                beat: lease.beat + 1,
                ..lease
            },
            Some(lease) if lease.holder.is_some() && !self.has_lapsed(lease, now, seen) => {
                self.held = None;
                return Ok(None);
            }
            free => Lease {
                holder: Some(self.me),
                fence: free.map_or(0, |lease| lease.fence) + 1,
                beat: 0,
            },
        };
        let changed = match self.store.change_lease(found, to).await {
            Ok(changed) => changed,
            Err(error) => {
                warn!(%error, "cannot tell whether the lease of roll-up changed: reading it again");
                self.store.lease().await? == Some(to)
            }
        };
        self.held = changed.then_some(Held {
            until: now + HOLD_TIME,
            fence: to.fence,
        });
        Ok(self.held)
    }

    /// Whether `lease`, read at `seen`, has been unchanged for long enough at `now`.
    fn has_lapsed(&mut self, lease: Lease, now: Instant, seen: Instant) -> bool {
        match self.seen {
            Some((known, since)) if known == lease => now.duration_since(since) >= LAPSE_TIMEOUT,
            _ => {
                self.seen = Some((lease, seen));
                false
            }
        }
    }

    /// Renews or competes for the lease forever, and publishes whether we hold it.
    pub(super) async fn keep(&mut self, publish: &watch::Sender<Option<Held>>) {
        let mut tick = tokio::time::interval(RENEW_INTERVAL);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let before = self.held.map(|held| held.fence);
            if let Err(error) = self.tick(Instant::now()).await {
                warn!(%error, "cannot read the lease of roll-up");
            }
            match (before, self.held.map(|held| held.fence)) {
                (before, Some(fence)) if before != Some(fence) => {
                    info!(fence, "this server rolls up");
                }
                (Some(fence), None) => warn!(fence, "another server rolls up now"),
                _ => {}
            }
            publish.send_replace(self.held);
        }
    }

    /// Releases the lease, so that another server can take it at once.
    pub async fn release(&mut self) {
        self.held = None;
        let release = async {
            let found = self.store.lease().await?;
            if let Some(lease) = found.filter(|lease| lease.holder == Some(self.me)) {
                let to = Lease {
                    holder: None,
                    beat: lease.beat + 1,
                    ..lease
                };
                self.store.change_lease(found, to).await?;
            }
            Ok::<(), StoreError>(())
        };
        match tokio::time::timeout(RELEASE_TIMEOUT, release).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "cannot release the lease of roll-up"),
            Err(_) => warn!("the lease of roll-up was not released in time"),
        }
    }
}

/// Returns when the lease is no longer held.
pub(super) async fn lost(mut held: watch::Receiver<Option<Held>>) {
    loop {
        let until = held.borrow_and_update().map(|held| held.until);
        let Some(until) = until.filter(|until| Instant::now() < *until) else {
            return;
        };
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            changed = held.changed() => if changed.is_err() {
                return;
            },
        }
    }
}
