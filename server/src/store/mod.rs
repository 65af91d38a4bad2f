//! Where segments are kept: one small trait, and a folder for each backend.
//!
//! A store knows keys, spans and bytes. What is in a segment, how pieces are
//! united and what a slot is worth is no concern of it (`rollup` and `query`
//! know), so that a backend is little more than its statements.
//!
//! For each container and resolution there are two kinds of rows. *Packed* rows
//! hold one whole span ([`Resolution::packed_seconds`]) of one source. *Pieces*
//! are what has not been packed yet: as posted by an agent, or made by roll-up
//! from the finer resolution. A span that has pieces is marked *dirty*, in the
//! same transaction that stores the piece; packing clears the mark. So a crash at
//! any point leaves either the mark, and the work is done again, or the result.
//!
//! Architecture invariant: only the folders of backends name a database.

pub mod cassandra;
mod column;
pub mod container;
pub mod error;
pub mod host;
pub mod key;
pub mod lease;
pub mod recording;
pub mod restore;
pub mod row;
pub mod sqlite;

use std::ops::Range;

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, Resolution, SourceId};

use container::{Container, ContainerFilter, ContainerPage};
use error::StoreError;
use host::Host;
use key::ApiKey;
use lease::Leases;
use recording::{Recorder, Recording};
use restore::Restore;
use row::{DirtySpan, Outcome, Post, Repack, Row, of_slot};

/// What every backend does. Every method is atomic by itself, unless it says otherwise.
#[async_trait]
pub trait Store: Leases + Restore {
    /// Whether the store answers.
    async fn check(&self) -> Result<(), StoreError>;

    /// Stores posted segments, each at most once by its key, updates the index
    /// of containers by those that were new, and marks their spans dirty. The
    /// outcomes are in the order of `posts`. When it returns, they are durable.
    async fn put(&self, posts: Vec<Post>) -> Result<Vec<Outcome>, StoreError>;

    /// All rows of a container at a resolution whose span meets `span`.
    async fn range(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        span: Range<u64>,
    ) -> Result<Vec<Row>, StoreError>;

    /// [`Self::range`] of a span as [`Self::dirty`] lists it: what was put before it was listed is there.
    async fn range_of_dirty(&self, span: &DirtySpan) -> Result<Vec<Row>, StoreError> {
        let whole = span.start..span.start + span.resolution.packed_seconds();
        self.range(&span.container, span.resolution, whole).await
    }

    /// Of [`Self::range`] what tells of the slot that starts at `at`: pieces that were rolled into
    /// it, and the packed rows of its span.
    async fn slot(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        at: u64,
    ) -> Result<Vec<Row>, StoreError> {
        let range = self.range(container, resolution, at..at + 1).await?;
        Ok(of_slot(range, at))
    }

    /// Starts of the dirty spans of a container that meet `span`, in order.
    async fn dirty_of(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        span: Range<u64>,
    ) -> Result<Vec<u64>, StoreError>;

    /// At most `limit` dirty spans of all containers that start before `before`
    /// and come after `after` in the order of (start, container).
    async fn dirty(
        &self,
        resolution: Resolution,
        before: u64,
        after: Option<(u64, ContainerId)>,
        limit: usize,
    ) -> Result<Vec<DirtySpan>, StoreError>;

    /// One span, if it is dirty: as [`Self::dirty`] lists it.
    async fn dirty_span(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        start: u64,
    ) -> Result<Option<DirtySpan>, StoreError>;

    /// Puts the result of packing a span in the place of what it was made from. Where several
    /// servers share a store it is refused ([`StoreError::Conflict`]) if another did so meanwhile;
    /// the span is dirty then, and it need not be atomic as long as it is dirty until the end.
    async fn repack(&self, change: Repack) -> Result<(), StoreError>;

    /// Lets packed rows of spans go that ended at or before `before`, are not
    /// dirty and belong to no recording, and remembers `before`, which never goes
    /// back. Returns how many rows were deleted; a store in which they vanish by
    /// themselves does not show them any more, and counts none. Not atomic: it may
    /// be cut short and called again.
    async fn expire(&self, resolution: Resolution, before: u64) -> Result<u64, StoreError>;

    /// The latest `before` of [`Self::expire`]; 0 when nothing has expired yet.
    async fn expired_before(&self, resolution: Resolution) -> Result<u64, StoreError>;

    /// A container by its id.
    async fn container(&self, id: &ContainerId) -> Result<Option<Container>, StoreError>;

    /// A page of the index of containers.
    async fn containers(&self, filter: &ContainerFilter) -> Result<ContainerPage, StoreError>;

    /// The sources of a container that belong to recordings, so that nothing of them expires.
    async fn recorded(&self, container: &ContainerId) -> Result<Vec<Recorder>, StoreError>;

    /// All recordings that are not deleted, oldest first.
    async fn recordings(&self) -> Result<Vec<Recording>, StoreError>;

    /// Marks a recording as deleted, from which moment it is not listed any
    /// more; `false` when there is none of that id. [`Self::sweep`] does the rest.
    async fn delete_recording(&self, id: SourceId) -> Result<bool, StoreError>;

    /// Removes what is left of deleted recordings: their rows, and containers of
    /// which nothing else is known. Should not run while spans are packed, which
    /// puts rows back: where others may pack, it does so again later. Returns how many recordings are gone. Not atomic: it
    /// may be cut short and called again.
    async fn sweep(&self) -> Result<u64, StoreError>;

    /// Notes what an agent said of itself and its host.
    async fn put_host(&self, host: Host) -> Result<(), StoreError>;

    /// All hosts, by name.
    async fn hosts(&self) -> Result<Vec<Host>, StoreError>;

    /// Stores an API key.
    async fn create_key(&self, key: ApiKey) -> Result<(), StoreError>;

    /// An API key by its id.
    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError>;

    /// All API keys, oldest first.
    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError>;

    /// Deletes an API key; `false` when there is none of that id.
    async fn delete_key(&self, id: &str) -> Result<bool, StoreError>;

    /// Notes that a key was used at `at` (seconds since the Unix epoch).
    async fn touch_key(&self, id: &str, at: u64) -> Result<(), StoreError>;
}
