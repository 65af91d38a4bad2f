//! Feeds: what all who watch one container share.
//!
//! A feed waits for new seconds of a container, makes one summary of them, and sends the same bytes to
//! all streams. Another summary, of the newest seconds, is what new streams start with; it is made
//! once per event of the feed. So the cost does not depend on how many watch.
//!
//! Posts to this server are announced at once. Posts to other servers are found by polling the
//! store each second. A feed ends when nobody watches.

use std::collections::HashMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use axum::body::Bytes;
use bubble_common::segment::ContainerId;
use tokio::sync::broadcast;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Interval, MissedTickBehavior, sleep};
use tracing::{debug, warn};

use super::attention::{Attention, Guard};
use crate::clock;
use crate::ingest::live::{Live, Notice};
use crate::memory::{MemoryError, Reservation};
use crate::query::error::QueryError;
use crate::query::item::ContainerItem;
use crate::query::output::{Encoded, write_json};
use crate::query::{Ask, Query};
use crate::store::container::{Container, State};

/// Seconds before the newest one that a new stream starts with.
const INITIAL_SECONDS: f64 = 10.0;
/// Posts that arrive within this time become one event: several sources report the same second.
const COALESCE_DELAY: Duration = Duration::from_millis(50);
/// How often the store is polled for posts to other servers.
const POLL_INTERVAL: Duration = Duration::from_secs(1);
/// Seconds that a stream which fell behind catches up on at most.
const MAX_CATCH_UP: f64 = 60.0;
/// Delay before a summary is tried again for which there was no memory.
pub(super) const BUSY_DELAY: Duration = Duration::from_secs(1);
/// Events that a slow stream may lag behind. Beyond that it gets a new start.
const MAX_LAG: usize = 16;

/// The feeds that run, by container and query.
#[derive(Clone, Default)]
pub struct Feeds(Arc<Mutex<HashMap<String, Weak<Feed>>>>);

/// What all who watch one container in one way share.
pub(super) struct Feed {
    query: Query,
    id: ContainerId,
    ask: Ask,
    /// `None` is the end: nothing more will come.
    events: broadcast::Sender<Option<Slots>>,
    has_ended: AtomicBool,
    /// Number of the latest event.
    number: AtomicU64,
    /// What new streams start with, until the next event.
    start: Mutex<Option<Slots>>,
    /// Held while a start is made, so that streams share one.
    start_maker: tokio::sync::Mutex<()>,
    /// Lets the agent deliver the container each second.
    _attention: Option<Guard>,
}

/// A summary of the newest seconds.
#[derive(Debug, Clone)]
pub(super) struct Slots {
    /// As an event of a stream.
    pub(super) event: Bytes,
    /// Whether the container has ended, so that no more will come.
    pub(super) is_last: bool,
}

impl Feeds {
    /// The feed of `container`, which was just read, in the way of `ask`.
    pub(super) fn watch(
        &self,
        query: &Query,
        live: &Live,
        attention: &Attention,
        container: &Container,
        ask: Ask,
    ) -> Arc<Feed> {
        let name = format!("{} {ask:?}", container.id);
        let mut feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let running = feeds.get(&name).and_then(Weak::upgrade);
        if let Some(feed) = running.filter(|feed| !feed.has_ended.load(Ordering::SeqCst)) {
            return feed;
        }
        feeds.retain(|_, feed| feed.strong_count() > 0);
        let feed = Arc::new(Feed {
            query: query.clone(),
            id: container.id.clone(),
            ask,
            events: broadcast::channel(MAX_LAG).0,
            has_ended: AtomicBool::new(false),
            number: AtomicU64::new(0),
            start: Mutex::default(),
            start_maker: tokio::sync::Mutex::default(),
            _attention: attention.watch(container),
        });
        feeds.insert(name, Arc::downgrade(&feed));
        // Subscribed before the first summary is made, so that no post in between is missed.
        let notices = live.subscribe();
        let seen = Snapshot::of(&ContainerItem::new(container, clock::now()));
        tokio::spawn(run(Arc::downgrade(&feed), notices, seen));
        feed
    }
}

impl Feed {
    /// The events from now on; `None` is the end.
    pub(super) fn subscribe(&self) -> broadcast::Receiver<Option<Slots>> {
        self.events.subscribe()
    }

    /// What a new stream starts with. It must have subscribed before.
    ///
    /// # Errors
    /// When the store fails, or there is no memory.
    pub(super) async fn start(&self) -> Result<Slots, QueryError> {
        let _maker = self.start_maker.lock().await;
        let number = self.number.load(Ordering::SeqCst);
        if let Some(slots) = &*self.cached_start() {
            return Ok(slots.clone());
        }
        let last = self.query.container(&self.id).await?.last_seen as f64;
        let (slots, _) = self.summary(last - INITIAL_SECONDS, last).await?;
        let mut start = self.cached_start();
        // An event that was sent meanwhile has made it outdated for later streams.
        if self.number.load(Ordering::SeqCst) == number {
            *start = Some(slots.clone());
        }
        Ok(slots)
    }

    fn cached_start(&self) -> MutexGuard<'_, Option<Slots>> {
        self.start.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn summary(&self, from: f64, to: f64) -> Result<(Slots, Snapshot), QueryError> {
        let ask = Ask {
            from: Some(from.max(0.0)),
            to: Some(to.max(1.0)),
            ..self.ask.clone()
        };
        let made = self.query.summary(&self.id, &ask, |summary, output| {
            output.write_all(b"event: slots\ndata: ")?;
            // JSON has no line breaks of its own.
            write_json(summary, output)?;
            output.write_all(b"\n\n")?;
            let is_last = summary.container.state == State::Ended;
            Ok((is_last, Snapshot::of(&summary.container)))
        });
        let Encoded {
            bytes,
            held,
            result: (is_last, snapshot),
        } = made.await?;
        // It counts as an event now, and no longer as a query. Slow streams may hold the memory for long, so
        // nobody waits for it.
        let event = Held {
            _held: self.query.memory().events.try_reserve(bytes.capacity())?,
            bytes,
        };
        drop(held);
        let event = Bytes::from_owner(event);
        Ok((Slots { event, is_last }, snapshot))
    }

    /// Sends a summary to all streams.
    fn send(&self, slots: Slots) {
        self.number.fetch_add(1, Ordering::SeqCst);
        // Gives back its memory, too.
        self.cached_start().take();
        // Fails if all streams have just ended.
        let _ = self.events.send(Some(slots));
    }

    /// Ends all streams. The next one begins another feed.
    fn end(&self) {
        self.has_ended.store(true, Ordering::SeqCst);
        let _ = self.events.send(None);
    }
}

/// The bytes of an event, with their memory. It is given back when all streams have sent them.
struct Held {
    bytes: Vec<u8>,
    _held: Reservation,
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Feeds the streams until nobody watches, the container ends, or the store fails.
async fn run(feed: Weak<Feed>, mut notices: broadcast::Receiver<Notice>, mut seen: Snapshot) {
    let mut poll = tokio::time::interval(POLL_INTERVAL);
    poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
    // What was not sent yet, as there was no memory for it.
    let mut waiting: Option<(f64, f64)> = None;
    loop {
        let next = next_span(&feed, &mut notices, &mut poll, &seen).await;
        let Some(feed) = feed.upgrade() else {
            return;
        };
        let step = async {
            let Some((mut from, mut to)) = next? else {
                return Ok(false);
            };
            sleep(COALESCE_DELAY).await;
            while let Ok(notice) = notices.try_recv() {
                if notice.container == feed.id {
                    from = from.min(notice.span.start as f64);
                    to = to.max(notice.span.end as f64);
                }
            }
            if let Some((earlier, later)) = waiting.take() {
                (from, to) = (from.min(earlier), to.max(later));
            }
            // Hours from a spool belong to the past; a stream follows the present.
            from = from.max(to - MAX_CATCH_UP);
            match feed.summary(from, to).await {
                Ok((slots, snapshot)) => {
                    // The index was read before the slots: a post in between is seen again rather
                    // than missed.
                    seen = snapshot;
                    let is_last = slots.is_last;
                    feed.send(slots);
                    Ok(!is_last)
                }
                Err(QueryError::Memory(MemoryError::Busy)) => {
                    debug!(container = %feed.id, "no memory is free for a live event: it lags");
                    waiting = Some((from, to));
                    sleep(BUSY_DELAY).await;
                    Ok(true)
                }
                Err(error) => Err(error),
            }
        };
        let goes_on = step.await.unwrap_or_else(|error: QueryError| {
            warn!(%error, container = %feed.id, "live streams ended");
            false
        });
        if !goes_on {
            feed.end();
            return;
        }
    }
}

/// Waits for new data. Returns the seconds to send next; `None` if nobody watches or no notices come.
async fn next_span(
    feed: &Weak<Feed>,
    notices: &mut broadcast::Receiver<Notice>,
    poll: &mut Interval,
    seen: &Snapshot,
) -> Result<Option<(f64, f64)>, QueryError> {
    loop {
        let notice = tokio::select! {
            notice = notices.recv() => Some(notice),
            _ = poll.tick() => None,
        };
        let Some(feed) = feed.upgrade() else {
            return Ok(None);
        };
        match notice {
            Some(Ok(notice)) if notice.container == feed.id => {
                return Ok(Some((notice.span.start as f64, notice.span.end as f64)));
            }
            Some(Ok(_)) => {}
            Some(Err(RecvError::Closed)) => return Ok(None),
            Some(Err(RecvError::Lagged(_))) | None => {
                let container = feed.query.container(&feed.id).await?;
                let now = Snapshot::of(&ContainerItem::new(&container, clock::now()));
                if now != *seen {
                    // The new data may be of another source and belong to a second that was sent.
                    let from = seen.last_seen.min(now.last_seen) - INITIAL_SECONDS;
                    return Ok(Some((from, now.last_seen)));
                }
            }
        }
    }
}

/// The parts of a container that change when any server stores something new of it.
#[derive(PartialEq)]
struct Snapshot {
    last_seen: f64,
    cpu_ns: Option<u64>,
    bytes: (Option<u64>, Option<u64>),
    ended: bool,
}

impl Snapshot {
    fn of(container: &ContainerItem) -> Self {
        Self {
            last_seen: container.last_seen,
            cpu_ns: container.cpu_ns,
            bytes: (container.bytes_in, container.bytes_out),
            ended: container.state == State::Ended,
        }
    }
}
