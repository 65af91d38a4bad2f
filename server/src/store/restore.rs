//! What `copy` brings from another store: rows as they were there, and the entry of the index.
//!
//! A store keeps the sums of a container's life in its own way. So the entry comes
//! twice: as it was shown, and as the parts that it adds up from.

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, Key, Resolution};

use super::container::Container;
use super::error::StoreError;
use super::recording::{Label, Recorder};
use super::row::{Activity, Row};

/// What `copy` asks of a store that it copies into. All of it can be done again.
#[async_trait]
pub trait Restore {
    /// Puts recordings that another store had, oldest first, each with when it was first posted
    /// (seconds since the Unix epoch). Those that are there stay.
    async fn restore_recordings(&self, recordings: &[(Label, u64)]) -> Result<(), StoreError>;

    /// Puts rows that another store had, as they are, and marks what was dirty. Rows that are there
    /// stay. Nobody else may put into these containers, and their entries must be put afterwards.
    async fn restore_rows(&self, rows: Rows) -> Result<(), StoreError>;

    /// Puts the entry of a container whose rows have been put. Not atomic: what was seen last of
    /// the container is not known before the end.
    async fn restore_entry(&self, entry: Entry) -> Result<(), StoreError>;
}

/// Rows of a container at one resolution.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The container.
    pub container: ContainerId,
    /// The resolution.
    pub resolution: Resolution,
    /// Each with its slots: bit *i*: slot *i* of the packed span is not a gap.
    pub rows: Vec<(Row, u64)>,
    /// Sources of which nothing expires, as they belong to recordings.
    pub recorded: Vec<Recorder>,
    /// Starts of spans that are dirty.
    pub dirty: Vec<u64>,
}

/// What one packed span, or one posted piece, adds to the sums of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Of the span (its start), or of the piece.
    pub key: Key,
    /// Whether it is a posted piece.
    pub posted: bool,
    /// Bit *i*: slot *i* of the packed span is in it.
    pub slots: u64,
    /// What it adds. Facts are left out.
    pub activity: Activity,
}

/// The entry of the index of a container.
#[derive(Debug, Clone)]
pub struct Entry {
    /// As the other store shows it.
    pub container: Container,
    /// What it adds up from: nothing in it counts twice.
    pub parts: Vec<Part>,
    /// Its sources that belong to recordings.
    pub recorded: Vec<Recorder>,
}
