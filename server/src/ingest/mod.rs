//! Takes posted batches: decodes, which is validating; stores; answers after the commit.
//!
//! Live segments are stored as they come, by their own bytes. A segment that
//! reaches over the edge of a packed span is cut there first, always in the
//! same way, so that a repeated post meets the same keys.

pub mod activity;
pub mod hosts;
pub mod live;

use std::sync::Arc;

use bubble_common::batch::Batch;
use bubble_common::segment::codec::{DecodeError, Effort};
use bubble_common::segment::{ContainerId, Segment, SourceId};
use serde::Serialize;
use tokio::sync::Semaphore;
use tracing::warn;

use crate::clock;
use crate::metrics::Metrics;
use crate::rollup::unite::slot_bits;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::row::{Outcome, Post};
use activity::activity;
use hosts::Hosts;
use live::{Live, Notice};

/// A segment that ends more than so many seconds from now is refused: its host's clock is wrong.
const FUTURE: u64 = 3_600;

/// How much is decoded at the same time: a post takes one, and one more for each MiB.
const ROOM: u32 = 16;

/// Takes batches.
pub struct Ingest {
    store: Arc<dyn Store>,
    /// What is decoded takes memory until it is stored, a multiple of the body.
    room: Semaphore,
    live: Live,
    metrics: Arc<Metrics>,
    hosts: Hosts,
}

/// What became of a batch.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, utoipa::ToSchema)]
pub struct Receipt {
    /// Segments that are now stored.
    pub stored: u64,
    /// Segments that were stored before; they count once.
    pub known: u64,
    /// Segments that will not be stored; posting them again would change nothing.
    pub refused: Vec<Refusal>,
}

/// A segment that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Refusal {
    /// Its container.
    pub container: String,
    /// Start of its span, seconds since the Unix epoch.
    pub start: u64,
    /// Its resolution.
    pub resolution: &'static str,
    /// Why.
    pub reason: String,
}

/// Why a batch was not taken.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The body is not a batch.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// The store failed; posting again may help.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that worked on it panicked.
    #[error("decoding was cut short")]
    Cut,
}

/// A decoded batch, ready to be stored.
struct Prepared {
    batch: Batch,
    posts: Vec<Post>,
    /// For each post, which segment of the batch it belongs to.
    owners: Vec<usize>,
    refused: Vec<Refusal>,
}

impl Ingest {
    /// An ingest into `store`.
    pub fn new(store: Arc<dyn Store>, live: Live, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            room: Semaphore::new(ROOM as usize),
            live,
            metrics,
            hosts: Hosts::default(),
        }
    }

    /// Stores the batch in `body`.
    ///
    /// # Errors
    /// When the body is not a batch, or the store fails. Nothing of it is stored then.
    pub async fn post(&self, body: Vec<u8>) -> Result<Receipt, IngestError> {
        self.metrics.batch_bytes.inc_by(body.len() as u64);
        let now = clock::now();
        let size = u32::try_from(body.len() >> 20).unwrap_or(ROOM);
        let room = self.room.acquire_many(size.saturating_add(1).min(ROOM));
        let _room = room.await.map_err(|_| IngestError::Cut)?;
        let Prepared {
            batch,
            posts,
            owners,
            refused,
        } = tokio::task::spawn_blocking(move || prepare(&body, now))
            .await
            .map_err(|_| IngestError::Cut)??;

        let seconds: Vec<u64> = posts
            .iter()
            .map(|post| u64::from(post.slots.count_ones()) * post.key.resolution.seconds())
            .collect();
        let outcomes = self.store.put(posts).await?;
        // A segment that was cut is new when any part of it is.
        let mut new = vec![false; batch.segments.len()];
        for ((owner, outcome), seconds) in owners.iter().zip(outcomes).zip(seconds) {
            if outcome == Outcome::Stored {
                new[*owner] = true;
                self.metrics.container_seconds.inc_by(seconds);
            }
        }
        for (_, segment) in new.iter().zip(&batch.segments).filter(|(new, _)| **new) {
            self.live.tell(|| Notice {
                container: segment.key.container.clone(),
                span: segment.key.start..segment.end(),
            });
        }
        if let Some(host) = self.hosts.report(&batch) {
            self.store.put_host(host).await?;
        }
        let stored = new.iter().filter(|new| **new).count() as u64;
        let receipt = Receipt {
            stored,
            known: (batch.segments.len() - refused.len()) as u64 - stored,
            refused,
        };
        self.metrics.segments_stored.inc_by(receipt.stored);
        self.metrics.segments_known.inc_by(receipt.known);
        self.metrics
            .segments_refused
            .inc_by(receipt.refused.len() as u64);
        if let Some(first) = receipt.refused.first() {
            warn!(
                host = batch.agent.host,
                segments = receipt.refused.len(),
                reason = first.reason,
                "segments refused"
            );
        }
        Ok(receipt)
    }
}

fn prepare(body: &[u8], now: u64) -> Result<Prepared, IngestError> {
    let (batch, bytes) = Batch::decode_with_bytes(body)?;
    let mut prepared = Prepared {
        posts: Vec::with_capacity(bytes.len()),
        owners: Vec::with_capacity(bytes.len()),
        refused: Vec::new(),
        batch: Batch {
            segments: Vec::new(),
            ..batch
        },
    };
    for (owner, (segment, bytes)) in batch.segments.iter().zip(bytes).enumerate() {
        match refusal(segment, now) {
            Some(reason) => prepared.refused.push(Refusal {
                container: segment.key.container.as_str().to_owned(),
                start: segment.key.start,
                resolution: segment.key.resolution.name(),
                reason,
            }),
            None => {
                for post in posts(segment, bytes) {
                    prepared.posts.push(post);
                    prepared.owners.push(owner);
                }
            }
        }
    }
    prepared.batch.segments = batch.segments;
    Ok(prepared)
}

/// Why a segment is not taken, if it is not.
fn refusal(segment: &Segment, now: u64) -> Option<String> {
    if segment.key.source == SourceId::SUM {
        return Some("a source of zeros stands for sums and is never stored".to_owned());
    }
    let ahead = segment.end().saturating_sub(now);
    // A coarse slot may be under way: it ends in the future by right.
    let allowed = FUTURE + segment.key.resolution.seconds();
    (ahead > allowed).then(|| {
        format!("it ends {ahead} s in the future: set the clock of its host, or of this server")
    })
}

/// The segment as posts, one a packed span.
fn posts(segment: &Segment, bytes: Vec<u8>) -> Vec<Post> {
    let resolution = segment.key.resolution;
    let first = resolution.packed_start(segment.key.start);
    let length = resolution.packed_seconds();
    if segment.end() <= first + length {
        return vec![post(segment, bytes)];
    }
    let mut posts = Vec::new();
    let mut start = segment.key.start;
    while start < segment.end() {
        let end = (resolution.packed_start(start) + length).min(segment.end());
        // A span of a segment's own cannot be longer than a segment may be.
        if let Ok(part) = segment.slice(start..end) {
            posts.push(post(&part, part.encode(Effort::Raw)));
        }
        start = end;
    }
    posts
}

fn post(segment: &Segment, bytes: Vec<u8>) -> Post {
    Post {
        key: segment.key.clone(),
        slots: slot_bits(segment),
        activity: activity(segment),
        bytes,
    }
}

/// The id by which a container is stored, from a longer one: of 64 hexadecimal digits the first 12.
pub fn short_id(id: &str) -> Option<ContainerId> {
    let whole = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    ContainerId::new(if whole { &id[..12] } else { id }).ok()
}
