//! The lease of roll-up: of many servers on one store, one rolls up.
//!
//! No two clocks are compared, neither the servers' nor the nodes': one whose clock is off
//! does no harm. The holder changes the lease every few seconds. Whoever has *seen it
//! unchanged* for [`VOID`], on its own monotonic clock, takes it; and the holder holds itself
//! for one only for [`HELD`] after it *began* to change it, which is less. (A time to
//! live in Cassandra would do the same by the nodes' clocks.)
//!
//! What fails has an unknown outcome: it is read again, never assumed.
//!
//! A process that stood still in the meantime may go on for a moment as if it held it. What
//! it writes then is harmless: packed rows are replaced on a condition, the rest says what is.
//! The lease saves work, and keeps what is packed from what is being removed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bubble_common::segment::SourceId;
use tokio::sync::watch;
use tracing::{info, warn};

use crate::store::error::StoreError;
use crate::store::lease::{Lease, Leases};

/// How often it is looked at, and changed by its holder.
pub const BEAT: Duration = Duration::from_secs(3);
/// For how long the holder has it.
pub const HELD: Duration = Duration::from_secs(12);
/// After so long without a change it is void.
pub const VOID: Duration = Duration::from_secs(20);
/// A stop waits no longer than this to give it back.
const PATIENCE: Duration = Duration::from_secs(3);

/// That this process has the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// Until when, unless it is changed again.
    pub until: Instant,
    /// How often it has changed hands.
    pub fence: u64,
}

/// One process that would have the lease.
pub struct Keeper {
    store: Arc<dyn Leases>,
    me: SourceId,
    /// As it was last found, and since when it is so.
    seen: Option<(Lease, Instant)>,
    held: Option<Held>,
}

impl Keeper {
    /// One that does not have it yet.
    pub fn new(store: Arc<dyn Leases>) -> Self {
        Self {
            store,
            me: SourceId(rand::random()),
            seen: None,
            held: None,
        }
    }

    /// Takes the lease if it is free, keeps it if it is ours; whether we have it, at `now`.
    ///
    /// # Errors
    /// When the store does not answer: what was held is held until its time is over.
    pub async fn tick(&mut self, now: Instant) -> Result<Option<Held>, StoreError> {
        let asked = Instant::now();
        let found = self.store.lease().await?;
        // It may have been changed while the store took its time.
        let seen = now + asked.elapsed();
        let to = match found {
            Some(lease) if lease.holder == Some(self.me) => Lease {
                beat: lease.beat + 1,
                ..lease
            },
            Some(lease) if lease.holder.is_some() && !self.is_void(lease, now, seen) => {
                self.held = None;
                return Ok(None);
            }
            free => Lease {
                holder: Some(self.me),
                fence: free.map_or(0, |lease| lease.fence) + 1,
                beat: 0,
            },
        };
        let done = match self.store.change_lease(found, to).await {
            Ok(done) => done,
            Err(error) => {
                warn!(%error, "cannot tell whether the lease of roll-up was changed: reading it again");
                self.store.lease().await? == Some(to)
            }
        };
        self.held = done.then_some(Held {
            until: now + HELD,
            fence: to.fence,
        });
        Ok(self.held)
    }

    /// Whether nobody has changed `lease`, which was `seen` just now, for long enough before `now`.
    fn is_void(&mut self, lease: Lease, now: Instant, seen: Instant) -> bool {
        match self.seen {
            Some((known, since)) if known == lease => now.duration_since(since) >= VOID,
            _ => {
                self.seen = Some((lease, seen));
                false
            }
        }
    }

    /// Looks at it again and again, and tells whether we have it.
    pub(super) async fn keep(&mut self, tell: &watch::Sender<Option<Held>>) {
        let mut tick = tokio::time::interval(BEAT);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let before = self.held.map(|held| held.fence);
            if let Err(error) = self.tick(Instant::now()).await {
                warn!(%error, "cannot look at the lease of roll-up");
            }
            match (before, self.held.map(|held| held.fence)) {
                (before, Some(fence)) if before != Some(fence) => {
                    info!(fence, "this server rolls up");
                }
                (Some(fence), None) => warn!(fence, "another server rolls up now"),
                _ => {}
            }
            tell.send_replace(self.held);
        }
    }

    /// Gives it back, so that another has it at once.
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
        match tokio::time::timeout(PATIENCE, release).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => warn!(%error, "cannot give back the lease of roll-up"),
            Err(_) => warn!("the lease of roll-up was not given back in time"),
        }
    }
}

/// Returns when the lease is not held any more.
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
