//! Packing: dirty spans, and the result of packing one.

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, Key, Resolution, SourceId};
use sha2::{Digest, Sha256};

use super::error::StoreError;
use super::segments::Segments;
use crate::span::activity::Activity;
use crate::span::retention::Finished;
use crate::span::row::{Form, Row};

/// Lists dirty spans, replaces them by packed rows, and expires those.
#[async_trait]
pub trait Packing: Segments {
    /// At most `limit` dirty spans of all containers that start before `before` and follow
    /// `after`, ordered by (start, container).
    async fn dirty(
        &self,
        resolution: Resolution,
        before: u64,
        after: Option<(u64, ContainerId)>,
        limit: usize,
    ) -> Result<Vec<DirtySpan>, StoreError>;

    /// One span, as [`Self::dirty`] lists it, if it is dirty.
    async fn dirty_span(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        start: u64,
    ) -> Result<Option<DirtySpan>, StoreError>;

    /// All rows of a span that [`Self::dirty`] listed, including all that was put before that.
    async fn range_of_dirty(&self, span: &DirtySpan) -> Result<Vec<Row>, StoreError> {
        let whole = span.start..span.start + span.resolution.packed_seconds();
        self.range(&span.container, span.resolution, whole).await
    }

    /// Rows that hold the slot at `at`: pieces rolled into it, and the packed rows of its span.
    async fn slot(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        at: u64,
    ) -> Result<Vec<Row>, StoreError> {
        let range = self.range(container, resolution, at..at + 1).await?;
        Ok(of_slot(range, at))
    }

    /// Replaces the rows of a span by the result of packing them. Fails with
    /// [`StoreError::Conflict`] if another server packed the span meanwhile; the span stays dirty.
    /// Need not be atomic, as long as the span is dirty until the end.
    async fn repack(&self, change: Repack) -> Result<(), StoreError>;

    /// Expires packed rows of spans that ended at or before `before`, are not dirty and belong to no
    /// recording. Remembers `before` as the horizon, which never goes back. Returns the number of
    /// rows deleted; 0 for a store with a time to live, which only hides them from here on.
    /// Rows that `finished` retains stay, if the store [can](Self::retains_finished).
    /// Not atomic: it may be interrupted and called again.
    async fn expire(
        &self,
        resolution: Resolution,
        before: u64,
        finished: Option<Finished>,
    ) -> Result<u64, StoreError>;

    /// Whether the last seconds of a container that has ended can be retained longer than others.
    fn retains_finished(&self) -> bool;
}

/// A span with pieces that are not packed yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirtySpan {
    /// The container.
    pub container: ContainerId,
    /// The resolution.
    pub resolution: Resolution,
    /// Start of the packed span.
    pub start: u64,
    /// When a piece was last put, seconds since the Unix epoch.
    pub touched: u64,
    /// The marks that were read. [`Repack`] clears these, and no later ones.
    pub marks: Vec<Mark>,
}

/// Makes a span dirty: one put of a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// The process that put it.
    pub writer: u64,
    /// Grows with each mark of the writer.
    pub number: u64,
}

/// The result of packing one dirty span.
#[derive(Debug, Clone)]
pub struct Repack {
    /// The span, as the store listed it.
    pub span: DirtySpan,
    /// The packed rows, one a source.
    pub packed: Vec<Packed>,
    /// Pieces that the packed rows contain, to be deleted.
    pub pieces: Vec<Merged>,
    /// Slots of the coarser resolution. They replace earlier ones, and their spans become dirty.
    pub rolled: Vec<Row>,
    /// What the span adds to the container's sums, for each source that changed.
    pub contributions: Vec<Contribution>,
}

/// A piece that was merged into a packed row.
#[derive(Debug, Clone)]
pub struct Merged {
    /// Its key.
    pub key: Key,
    /// Its form.
    pub form: Form,
    /// [`digest`] of a posted coarse piece. Its other half may have replaced it meanwhile: then it is not
    /// deleted. Others are not replaced by what has more.
    pub digest: Option<i64>,
}

impl Merged {
    /// The piece in `row`.
    pub fn of(row: &Row) -> Self {
        let is_coarse = row.key.resolution != Resolution::Second;
        let may_change = is_coarse && row.form == Form::Posted;
        Self {
            key: row.key.clone(),
            form: row.form,
            digest: may_change.then(|| digest(&row.bytes)),
        }
    }
}

/// A packed row, and the row that it replaces.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The row.
    pub row: Row,
    /// Bit *i*: slot *i* of the span is not a gap.
    pub slots: u64,
    /// [`digest`] of the packed row that it was made from, if there was one. A store with
    /// several writers refuses the change if the row has another digest by now.
    pub replaces: Option<i64>,
}

/// What a packed span of one source adds to its container's sums. Replaces the former contribution.
#[derive(Debug, Clone)]
pub struct Contribution {
    /// The source.
    pub source: SourceId,
    /// Bit *i*: it contains slot *i* of the span.
    pub slots: u64,
    /// What it adds, without facts.
    pub activity: Activity,
}

/// Selects the rows of one packed span that hold the slot at `at`.
pub(super) fn of_slot(mut rows: Vec<Row>, at: u64) -> Vec<Row> {
    rows.retain(|row| match row.form {
        Form::Packed => true,
        Form::Rolled => row.key.start == at,
        Form::Posted => false,
    });
    rows
}

/// Digest of a row, which differs between its versions.
pub fn digest(bytes: &[u8]) -> i64 {
    let digest = Sha256::digest(bytes);
    digest.first_chunk().copied().map_or(0, i64::from_le_bytes)
}
