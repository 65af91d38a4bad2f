//! Restoring what `copy` read from another store: rows as they are, and entries of the index.
//!
//! Each store keeps the sums of a container in its own way, so an entry comes in two
//! forms: as the other store shows it, and as the parts that add up to it.

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, Key, Resolution};

use super::container::Container;
use super::error::StoreError;
use super::recording::{Recorder, Recording};
use crate::span::activity::Activity;
use crate::span::row::Row;

/// What `copy` needs of its target. Every method can be repeated.
#[async_trait]
pub trait Restore {
    /// Adds recordings without their containers, oldest first. Existing ones stay.
    async fn restore_recordings(&self, recordings: &[Recording]) -> Result<(), StoreError>;

    /// Adds rows as they are, and marks the dirty spans. Existing rows stay. Nobody else may put into
    /// these containers, and their entries must be restored afterwards.
    async fn restore_rows(&self, rows: Rows) -> Result<(), StoreError>;

    /// Adds the entry of a container after its rows. Not atomic: the latest activity is written last.
    async fn restore_entry(&self, entry: Entry) -> Result<(), StoreError>;
}

/// Rows of a container at one resolution.
#[derive(Debug, Clone)]
pub struct Rows {
    /// The container.
    pub container: ContainerId,
    /// The resolution.
    pub resolution: Resolution,
    /// Each row with its slots. Bit *i*: slot *i* of the packed span is not a gap.
    pub rows: Vec<(Row, u64)>,
    /// Sources that belong to recordings.
    pub recorded: Vec<Recorder>,
    /// Starts of spans that are dirty.
    pub dirty: Vec<u64>,
}

/// What one packed span or one posted piece adds to the sums of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// Key of the span or of the piece.
    pub key: Key,
    /// Whether it is a posted piece.
    pub posted: bool,
    /// Bit *i*: it contains slot *i* of the packed span.
    pub slots: u64,
    /// What it adds, without facts.
    pub activity: Activity,
}

/// A container's entry of the index.
#[derive(Debug, Clone)]
pub struct Entry {
    /// As the other store shows it.
    pub container: Container,
    /// The parts that add up to it; none overlap.
    pub parts: Vec<Part>,
    /// Its sources that belong to recordings.
    pub recorded: Vec<Recorder>,
}
