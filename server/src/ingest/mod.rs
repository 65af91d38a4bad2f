//! Takes posted batches: decodes, which is validating; stores; answers after the commit.
//!
//! Live segments are stored as they come, by their own bytes, and none is kept
//! in memory while the next is decoded. A segment that reaches over the edge of
//! a packed span is cut there first, always in the same way, so that a repeated
//! post meets the same keys.

pub mod activity;
pub mod hosts;
mod late;
pub mod legacy;
pub mod live;

use std::sync::{Arc, Mutex, PoisonError};

use bubble_common::batch::Batch;
use bubble_common::segment::codec::{DecodeError, Effort};
use bubble_common::segment::{ContainerId, Segment, SourceId};
use serde::Serialize;
use tokio::sync::{Semaphore, SemaphorePermit};
use tracing::warn;

use crate::clock;
use crate::metrics::Metrics;
use crate::rollup::unite::slot_bits;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::recording::Label;
use crate::store::row::{Outcome, Post};
use activity::activity;
use hosts::Hosts;
use legacy::EventError;
use legacy::lanes::{Lanes, Sender};
use live::{Live, Notice};

/// A segment that ends more than so many seconds from now is refused: its host's clock is wrong.
const FUTURE: u64 = 3_600;

/// What a chisel tells that is older than this, in seconds, it reads from a file.
const REPLAYED: u64 = 86_400;

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
    lanes: Arc<Mutex<Lanes>>,
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
    /// The body is not one of the legacy wire.
    #[error(transparent)]
    Event(#[from] EventError),
    /// The store failed; posting again may help.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The thread that worked on it panicked.
    #[error("decoding was cut short")]
    Cut,
}

/// What was decoded, ready to be stored.
struct Prepared {
    /// Which source a recording's segments have.
    source: Option<SourceId>,
    label: Option<Arc<Label>>,
    now: u64,
    /// What there is to tell of each segment that is taken.
    spans: Vec<Notice>,
    posts: Vec<Post>,
    /// For each post, which of `spans` it belongs to.
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
            lanes: Arc::default(),
        }
    }

    /// Stores the batch in `body`: live, or as part of the recording called `recording`.
    ///
    /// # Errors
    /// When the body is not a batch, or the store fails. Nothing of it is stored then.
    pub async fn post(
        &self,
        body: Vec<u8>,
        recording: Option<String>,
    ) -> Result<Receipt, IngestError> {
        let live = recording.is_none();
        let _room = self.enter(body.len()).await?;
        let now = clock::now();
        let (source, agent, prepared) = blocking(move || {
            let label = |id| recording.map(|name| Label { id, name });
            // Each segment is let go of before the next is decoded, into the same memory.
            Batch::fold(
                &body,
                |source, _| Prepared::new(Some(source), label(source), now),
                |prepared, segment, bytes| prepared.add(&segment, bytes.to_vec()),
            )
        })
        .await?;
        let receipt = self.store(prepared, &agent.host).await?;
        // Whoever analyses a capture is no agent of a host.
        if live && let Some(host) = self.hosts.report(source, &agent) {
            self.store.put_host(host).await?;
        }
        Ok(receipt)
    }

    /// Stores what the chisel told in `body`: live, or as part of the recording
    /// called `recording`. What is older than a day can only be a capture that is
    /// played back, and is a recording in any case.
    ///
    /// # Errors
    /// When the body is none of the chisel's, or the store fails. Nothing of it is stored then.
    pub async fn event(
        &self,
        body: Vec<u8>,
        sender: Sender,
        recording: Option<String>,
    ) -> Result<Receipt, IngestError> {
        let _room = self.enter(body.len()).await?;
        let now = clock::now();
        let lanes = Arc::clone(&self.lanes);
        let peer = sender.peer.clone();
        let (prepared, refused) = blocking(move || {
            let event = legacy::read(&body)?;
            let old = event.start + REPLAYED < now;
            let recording =
                recording.or_else(|| old.then(|| format!("sysdig ({})", sender.key.owner)));
            let source = sender.source(event.kind, recording.as_deref());
            let label = recording.map(|name| Label {
                id: sender.recording(&name),
                name,
            });
            let mut surplus = Vec::new();
            let mut placed = Vec::new();
            {
                let mut lanes = lanes.lock().unwrap_or_else(PoisonError::into_inner);
                for mut segment in event.segments {
                    match lanes.place(source, &mut segment) {
                        true => placed.push((segment.encode(Effort::Raw), segment)),
                        false => surplus.push(segment),
                    }
                }
            }
            let mut prepared = Prepared::new(None, label, now);
            for (bytes, segment) in placed {
                prepared.add(&segment, bytes);
            }
            for segment in surplus {
                prepared.refuse(&segment, "too many different bodies tell of this second");
            }
            Ok::<_, EventError>((prepared, event.refused))
        })
        .await?;
        if let Some((rows, reason)) = refused {
            self.metrics.rows_refused.inc_by(rows);
            warn!(host = peer, rows, %reason, "rows of a legacy post refused");
        }
        self.store(prepared, &peer).await
    }

    /// Waits until there is room for a body of `size` bytes, which is kept until the permit is dropped.
    async fn enter(&self, size: usize) -> Result<SemaphorePermit<'_>, IngestError> {
        self.metrics.batch_bytes.inc_by(size as u64);
        let size = u32::try_from(size >> 20).unwrap_or(ROOM);
        let room = self.room.acquire_many(size.saturating_add(1).min(ROOM));
        room.await.map_err(|_| IngestError::Cut)
    }

    /// Stores what is prepared, tells those who listen, and counts.
    async fn store(&self, prepared: Prepared, host: &str) -> Result<Receipt, IngestError> {
        let Prepared {
            spans,
            posts,
            owners,
            refused,
            ..
        } = prepared;
        let late = late::known(&*self.store, &posts, clock::now()).await?;
        let unknown = owners.into_iter().zip(posts).zip(late);
        let unknown = unknown.filter(|(_, known)| !known).map(|(post, _)| post);
        let (owners, posts): (Vec<usize>, Vec<Post>) = unknown.unzip();
        let seconds: Vec<u64> = posts
            .iter()
            .map(|post| u64::from(post.slots.count_ones()) * post.key.resolution.seconds())
            .collect();
        let outcomes = self.store.put(posts).await?;
        // A segment that was cut is new when any part of it is.
        let mut new = vec![false; spans.len()];
        for ((owner, outcome), seconds) in owners.into_iter().zip(outcomes).zip(seconds) {
            if outcome == Outcome::Stored {
                new[owner] = true;
                self.metrics.container_seconds.inc_by(seconds);
            }
        }
        for (_, notice) in new.iter().zip(&spans).filter(|(new, _)| **new) {
            self.live.tell(|| notice.clone());
        }
        let stored = new.iter().filter(|new| **new).count() as u64;
        let receipt = Receipt {
            stored,
            known: spans.len() as u64 - stored,
            refused,
        };
        self.metrics.segments_stored.inc_by(receipt.stored);
        self.metrics.segments_known.inc_by(receipt.known);
        self.metrics
            .segments_refused
            .inc_by(receipt.refused.len() as u64);
        if let Some(first) = receipt.refused.first() {
            warn!(
                host,
                segments = receipt.refused.len(),
                reason = first.reason,
                "segments refused"
            );
        }
        Ok(receipt)
    }
}

/// Does `work` on a thread that may block.
async fn blocking<T: Send + 'static, E: Into<IngestError> + Send + 'static>(
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, IngestError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| IngestError::Cut)?.map_err(Into::into)
}

impl Prepared {
    /// For segments that are live, or of a recording. `source` is what those of
    /// a recording must have, if the post says it.
    fn new(source: Option<SourceId>, label: Option<Label>, now: u64) -> Self {
        Self {
            source: source.filter(|_| label.is_some()),
            label: label.map(Arc::new),
            now,
            spans: Vec::new(),
            posts: Vec::new(),
            owners: Vec::new(),
            refused: Vec::new(),
        }
    }

    /// Takes a segment with its bytes, or refuses it.
    fn add(&mut self, segment: &Segment, bytes: Vec<u8>) {
        if let Some(reason) = refusal(segment, self.source, self.now) {
            self.refuse(segment, reason);
            return;
        }
        let owner = self.spans.len();
        for post in posts(segment, bytes) {
            let recording = self.label.clone();
            self.posts.push(Post { recording, ..post });
            self.owners.push(owner);
        }
        self.spans.push(Notice {
            span: segment.key.start..segment.end(),
            container: segment.key.container.clone(),
        });
    }

    fn refuse(&mut self, segment: &Segment, reason: impl Into<String>) {
        self.refused.push(Refusal {
            container: segment.key.container.as_str().to_owned(),
            start: segment.key.start,
            resolution: segment.key.resolution.name(),
            reason: reason.into(),
        });
    }
}

/// Why a segment is not taken, if it is not.
fn refusal(segment: &Segment, source: Option<SourceId>, now: u64) -> Option<String> {
    if segment.key.source == SourceId::SUM {
        return Some("a source of zeros stands for sums and is never stored".to_owned());
    }
    if source.is_some_and(|source| source != segment.key.source) {
        return Some("a recording's segments have the source of its batches".to_owned());
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
        recording: None,
    }
}

/// The id by which a container is stored, from a longer one: of 64 hexadecimal digits the first 12.
pub fn short_id(id: &str) -> Option<ContainerId> {
    let whole = id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit());
    ContainerId::new(if whole { &id[..12] } else { id }).ok()
}
