//! Segments: posted by agents, and read by span.

use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, Key, Resolution};

use super::error::StoreError;
use super::recording::Label;
use crate::span::activity::{Activity, Change, Sums};
use crate::span::row::{Row, seal_posted};

/// Stores posted segments and reads rows.
#[async_trait]
pub trait Segments: Send + Sync + 'static {
    /// Stores posted segments, each at most once by its key. Adds the new ones to the index and
    /// marks their spans dirty. Returns outcomes in the order of `posts`, after they are durable.
    async fn put(&self, posts: Vec<Post>) -> Result<Vec<Outcome>, StoreError>;

    /// All rows of a container at a resolution whose span meets `span`.
    async fn range(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        span: Range<u64>,
    ) -> Result<Vec<Row>, StoreError>;

    /// Starts of the dirty spans of a container that meet `span`, in order.
    async fn dirty_of(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        span: Range<u64>,
    ) -> Result<Vec<u64>, StoreError>;

    /// The horizon: packed rows of spans before it may have expired. 0 if nothing has.
    async fn expired_before(&self, resolution: Resolution) -> Result<u64, StoreError>;
}

/// A segment that an agent posted, within one packed span.
#[derive(Debug, Clone)]
pub struct Post {
    /// Its key.
    pub key: Key,
    /// Bit *i*: slot *i* of the packed span is not a gap.
    pub slots: u64,
    /// The segment as the codec made it, or [sealed](Self::sealed). If it has no slots, only its
    /// facts are stored.
    pub bytes: Vec<u8>,
    /// What it adds to the index of containers.
    pub activity: Activity,
    /// The recording that it belongs to, if it is not live.
    pub recording: Option<Arc<Label>>,
    /// Whether the agent says that some of it may be stored already, within other pieces: it was posted
    /// before without an answer. Then the store always looks for it. Of a live post without this mark it
    /// looks too, unless the post follows all that is stored of its source: a post may arrive after its
    /// repetition.
    pub repeated: bool,
    /// If it replaces a stored piece with the same key, and contains all of that: what that piece changed in
    /// the sums of its container. The activity is that of both. Only coarse posts do: the halves of a
    /// minute have one key.
    pub replaces: Option<Change>,
    /// What counts no more in the sums of its container once it is stored: it may take the place of parts
    /// of a minute that had more.
    pub withdrawn: Sums,
}

impl Post {
    /// A copy with a checksum before the bytes, when key and segment are final.
    #[must_use]
    pub fn sealed(&self) -> Self {
        Self {
            key: self.key.clone(),
            bytes: seal_posted(&self.key, &self.bytes),
            activity: self.activity.clone(),
            recording: self.recording.clone(),
            ..*self
        }
    }
}

/// Result of storing a posted segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was new, and is stored now.
    Stored,
    /// It was stored before; it counts once.
    Known,
    /// Nothing of it was stored: the store has a part of it. Bit *i*: it has slot *i* of the packed span.
    /// Only a post of seconds has this outcome.
    Overlaps(u64),
}
