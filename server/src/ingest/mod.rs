//! Ingest: decodes posted batches, which validates them, stores them, and answers after the commit.
//!
//! A live segment is stored with the bytes that were posted, and dropped from memory before the
//! next is decoded. A segment that crosses the edge of a packed span is cut there first. The
//! cut is always the same, so a repeated post has the same keys.

mod coarse;
mod drift;
mod error;
pub mod hosts;
pub mod lanes;
mod late;
pub mod live;
mod owner;
mod prepare;
mod receipt;
mod turns;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::legacy::{self, EventError};
use bubble_common::segment::codec::{DecodeError, memory_limit};
use bubble_common::segment::{Resolution, SourceId};
use tracing::warn;

pub use self::error::IngestError;
use self::hosts::Hosts;
use self::lanes::{Lanes, Sender};
use self::live::Live;
use self::owner::{Owners, Poster};
use self::prepare::{DECODING_PER_BYTE, Prepared, prepare_event, remainder};
pub use self::receipt::{Receipt, Refusal, RefusalCode};
use self::turns::Turns;
use crate::clock;
use crate::memory::{Pool, Reservation};
use crate::metrics::Metrics;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::key::ApiKey;
use crate::store::recording::Label;
use crate::store::segments::{Outcome, Post};

/// Memory to decode a post with, at first: so much, and a multiple of its length (`prepare`).
const DECODING: usize = 4 << 20;
/// Memory of a legacy post: a multiple of its length, and so much.
const EVENT: usize = 1 << 20;
const EVENT_PER_BYTE: usize = 8;
/// Attempts to store what others are storing, too.
const MAX_PUTS: usize = 4;
/// Longest wait for memory.
const MEMORY_TIMEOUT: Duration = Duration::from_secs(10);

/// Takes posted batches.
pub struct Ingest {
    store: Arc<dyn Store>,
    /// Bounds the memory of posts, which take a multiple of the body until they are stored.
    memory: Pool,
    live: Live,
    metrics: Arc<Metrics>,
    hosts: Hosts,
    owners: Owners,
    lanes: Arc<Mutex<Lanes>>,
    turns: Turns,
}

/// Where a batch is from.
#[derive(Debug)]
pub struct Origin<'a> {
    /// The key that it was posted with.
    pub key: &'a ApiKey,
    /// Whether an administrator posts it: then it may be about containers of any owner.
    pub is_administrator: bool,
    /// Name of the recording that it is part of, if it is not live.
    pub recording: Option<String>,
    /// Identifies the kernel that the agent counts in.
    pub boot: Option<&'a str>,
    /// Whether some of it may be stored already, as it was posted before without an answer.
    pub repeated: bool,
}

impl Ingest {
    /// An ingest into `store`.
    pub fn new(store: Arc<dyn Store>, live: Live, metrics: Arc<Metrics>, memory: Pool) -> Self {
        Self {
            store,
            memory,
            live,
            metrics,
            hosts: Hosts::default(),
            owners: Owners::default(),
            lanes: Arc::default(),
            turns: Turns::default(),
        }
    }

    /// Number of hosts on which more than one agent counts.
    pub fn hosts_counted_twice(&self) -> usize {
        self.hosts.counted_twice()
    }

    /// Stores the batch in `body`: live, or as part of a recording.
    ///
    /// # Errors
    /// When the body is not a batch, or the store fails. Nothing of it is stored then.
    pub async fn post(&self, body: Vec<u8>, of: Origin<'_>) -> Result<Receipt, IngestError> {
        let Origin {
            key,
            is_administrator,
            recording,
            boot,
            repeated,
        } = of;
        let live = recording.is_none();
        self.metrics.batch_bytes.inc_by(body.len() as u64);
        let now = clock::now();
        let (decoded, held) = self
            .decode(body, move |body, limit| {
                let label = |id| recording.clone().map(|name| Label { id, name });
                Batch::scan(
                    body,
                    limit,
                    |source, _| Prepared::new(Some(source), label(source), now).repeated(repeated),
                    |prepared, segment, bytes| prepared.add(segment, bytes.to_vec()),
                )
            })
            .await?;
        let (source, agent, prepared) = decoded;
        let poster = match is_administrator {
            true => Poster::administrator(key, now),
            false => Poster::agent(key, &agent.host, !live, now),
        };
        let receipt = self.store(prepared, &poster, &agent.host, &held).await?;
        // A capture is not posted by the agent of a host.
        if live && let Some(host) = self.hosts.report(source, &agent, key, boot) {
            self.store.put_host(host).await?;
        }
        Ok(receipt)
    }

    /// Stores a legacy post: live, or as part of the recording called `recording`. A post older
    /// than a day can only come from a capture, and always belongs to a recording.
    ///
    /// # Errors
    /// When the body is not a legacy post, or the store fails. Nothing of it is stored then.
    pub async fn event(
        &self,
        body: Vec<u8>,
        sender: Sender,
        recording: Option<String>,
    ) -> Result<Receipt, IngestError> {
        self.metrics.batch_bytes.inc_by(body.len() as u64);
        let size = body.len().saturating_mul(EVENT_PER_BYTE) + EVENT;
        let size = size.min(self.memory.size());
        let held = self.memory.reserve(size, MEMORY_TIMEOUT).await?;
        let now = clock::now();
        let lanes = Arc::clone(&self.lanes);
        let (peer, key) = (sender.peer.clone(), sender.key.clone());
        let (prepared, refused) = blocking(move || {
            let event = legacy::read(&body)?;
            let refused = event.refused;
            let prepared = prepare_event(event, &sender, recording, &lanes, now);
            Ok::<_, EventError>((prepared, refused))
        })
        .await?;
        if let Some((rows, reason)) = refused {
            self.metrics.rows_refused.inc_by(rows);
            let reason = reason.to_string();
            warn!(
                host = cut(&peer),
                rows,
                reason = cut(&reason),
                "rows of a legacy post refused"
            );
        }
        let poster = Poster::chisel(&key, prepared.is_recorded(), now);
        self.store(prepared, &poster, &peer, &held).await
    }

    /// Decodes a body with as much memory as bodies of its length mostly need, and again with more if
    /// it needs more. Returns what is reserved until it is stored, too.
    async fn decode(
        &self,
        body: Vec<u8>,
        scan: impl Fn(&[u8], usize) -> Result<Decoded, DecodeError> + Send + Sync + 'static,
    ) -> Result<(Decoded, Reservation), IngestError> {
        let (body, scan) = (Arc::new(body), Arc::new(scan));
        let most = self.memory.size().saturating_sub(body.len()) / 2;
        let most = most.min(memory_limit(body.len()));
        let first = body.len().saturating_mul(DECODING_PER_BYTE) + DECODING;
        let mut limit = first.min(most);
        loop {
            // The bytes to store are copies of parts of what is decoded.
            let held = self.memory.reserve(body.len() + 2 * limit, MEMORY_TIMEOUT);
            let mut held = held.await?;
            let (body, scan) = (Arc::clone(&body), Arc::clone(&scan));
            let decoded = blocking(move || scan(&body, limit)).await;
            match decoded {
                Ok(decoded) => {
                    held.shrink_to(decoded.2.size());
                    return Ok((decoded, held));
                }
                Err(IngestError::Decode(DecodeError::TooLarge { .. })) if limit < most => {
                    limit = most;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Stores prepared posts, which take the memory in `held`, notifies live streams, and updates metrics.
    async fn store(
        &self,
        mut prepared: Prepared,
        poster: &Poster,
        host: &str,
        held: &Reservation,
    ) -> Result<Receipt, IngestError> {
        let owners = &self.owners;
        owners.check(&*self.store, &mut prepared, poster).await?;
        let Prepared {
            notices,
            posts,
            owners,
            refused,
            ..
        } = prepared;
        let turns = self.turns.take(&posts).await;
        let late = late::known_slots(&*self.store, &posts, clock::now()).await?;
        let unknown = owners.into_iter().zip(posts).zip(late);
        let unknown = unknown.filter_map(|((owner, post), known)| match post.slots & !known {
            _ if known == 0 => Some((owner, post)),
            0 => None,
            _ => Some((owner, remainder(&post, known)?)),
        });
        let mut new = Vec::new();
        for (owner, post) in unknown {
            let is_fine = post.key.resolution == Resolution::Second || post.slots == 0;
            let left = match is_fine {
                true => Some(post),
                false => {
                    let (store, memory) = (&*self.store, &self.memory);
                    coarse::unknown_part(store, post, memory, held.bytes()).await?
                }
            };
            new.extend(left.map(|post| (owner, post)));
        }
        let new = self.put(new, notices.len()).await?;
        drop(turns);
        for (_, notice) in new.iter().zip(&notices).filter(|(new, _)| **new) {
            self.live.notify(|| notice.clone());
        }
        let stored = new.iter().filter(|new| **new).count() as u64;
        let receipt = Receipt {
            stored,
            known: notices.len() as u64 - stored,
            refused,
            time: clock::now(),
        };
        self.metrics.segments_stored.inc_by(receipt.stored);
        self.metrics.segments_known.inc_by(receipt.known);
        self.metrics
            .segments_refused
            .inc_by(receipt.refused.len() as u64);
        if let Some(first) = receipt.refused.first() {
            warn!(
                host = cut(host),
                segments = receipt.refused.len(),
                reason = first.reason,
                "segments refused"
            );
        }
        Ok(receipt)
    }

    /// Stores posts, each with the index of its segment, and of those that are stored in part the rest.
    /// Returns for each of `count` segments whether it is new. One that was cut is new if any of its
    /// parts is.
    async fn put(
        &self,
        mut posts: Vec<(usize, Post)>,
        count: usize,
    ) -> Result<Vec<bool>, StoreError> {
        let mut new = vec![false; count];
        for _ in 0..MAX_PUTS {
            let sealed = posts.iter().map(|(_, post)| post.sealed()).collect();
            let outcomes = self.store.put(sealed).await?;
            let mut left = Vec::new();
            for ((owner, post), outcome) in posts.into_iter().zip(outcomes) {
                match outcome {
                    Outcome::Stored => {
                        new[owner] = true;
                        let slots = u64::from(post.slots.count_ones());
                        let seconds = slots * post.key.resolution.seconds();
                        self.metrics.container_seconds.inc_by(seconds);
                    }
                    Outcome::Overlaps(stored) => {
                        left.extend(remainder(&post, stored).map(|rest| (owner, rest)));
                    }
                    Outcome::Known => {}
                }
            }
            posts = left;
            if posts.is_empty() {
                return Ok(new);
            }
        }
        // Somebody stores the same at the same time: the agent posts it again.
        Err(StoreError::Conflict)
    }
}

/// The source of a batch, its agent, and its segments.
type Decoded = (SourceId, AgentReport, Prepared);

/// The part of a client's text that is logged, as a field, which is escaped.
fn cut(text: &str) -> &str {
    const MAX: usize = 200;
    &text[..text.floor_char_boundary(MAX)]
}

/// Runs `work` on a thread that may block.
async fn blocking<T: Send + 'static, E: Into<IngestError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, IngestError> {
    let joined = tokio::task::spawn_blocking(work).await;
    joined
        .map_err(|_| IngestError::Panicked)?
        .map_err(Into::into)
}
