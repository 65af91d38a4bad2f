//! The identity of a waiting batch.

/// Identifies a waiting batch; ordered by arrival.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId {
    /// Position in the order of arrival.
    pub(super) sequence: u64,
    /// How often the batch was replaced by a coarser one. An answer to an earlier revision must
    /// not remove its replacement.
    pub(super) revision: u32,
}
