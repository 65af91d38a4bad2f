//! The segment: what one container did, on one host, over one span of time, at
//! one resolution.
//!
//! It is the atom of the whole system. A live second, a packed minute of
//! seconds, an hour of minutes and the answer to a query are all this one type.
//! They differ in [`Resolution`], in the number of slots, and in how much is
//! folded. Everything that happens to data is one of four operations:
//!
//! | operation | effect |
//! |---|---|
//! | [`Segment::merge`] | pieces of one source become one; a repeated sub-slot counts once |
//! | [`Segment::add`] | different sources of one container add up |
//! | [`Segment::coarsen`] | slots become those of the next coarser resolution |
//! | [`Segment::fold`] | rows beyond a cap become one row, sums of counts unchanged |
//!
//! A segment is *canonical*: its dictionaries are sorted by identity and
//! hold no duplicate, its cells are sorted by (row, slot) and unique. Two
//! segments with the same content are therefore equal, and encode to the same
//! bytes. [`builder::Builder`] makes canonical segments.

pub mod builder;
pub mod cell;
pub mod census;
pub mod codec;
mod coverage;
pub mod event;
pub mod facts;
pub mod file;
pub mod fold;
mod key;
pub mod lives;
pub mod loss;
pub mod memory;
pub mod merge;
pub mod network;
mod part;
pub mod process;
mod resolution;
pub mod total;
mod unite;
pub mod wait;

use cell::Cell;
pub use coverage::Coverage;
use event::Event;
pub use facts::Facts;
use file::{File, FileIo};
pub use key::{ContainerId, InvalidContainerId, Key, SourceId};
use loss::Loss;
use network::{Connection, NetworkIo};
use process::{Cpu, Memory, Process};
pub use resolution::Resolution;
use total::Total;
use wait::Waits;

/// What one container did over one span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Segment {
    /// Identity: container, resolution, start and source.
    pub key: Key,
    /// For each slot a bitmap of the sub-slots in it.
    pub coverage: Vec<Coverage>,
    /// About the container itself: `name`, `image`, `host`, … (see [`facts`]).
    pub facts: Facts,
    /// Dictionary of processes. Cells refer to one by its index.
    pub processes: Vec<Process>,
    /// Dictionary of files.
    pub files: Vec<File>,
    /// Dictionary of connections.
    pub connections: Vec<Connection>,
    /// CPU time by (process, core).
    pub cpu: Vec<Cell<Cpu>>,
    /// Memory by (process, 0).
    pub memory: Vec<Cell<Memory>>,
    /// Bytes, operations and opens by (process, file).
    pub file_io: Vec<Cell<FileIo>>,
    /// Bytes, operations and connects by (process, connection).
    pub network_io: Vec<Cell<NetworkIo>>,
    /// Time spent waiting by (process, 0).
    pub waits: Vec<Cell<Waits>>,
    /// Figures from the container's cgroup, by ([`total::Metric`], 0).
    pub totals: Vec<Cell<Total>>,
    /// Events in order of time.
    pub events: Vec<Event>,
    /// What could not be counted, by ([`loss::Reason`], 0).
    pub losses: Vec<Cell<Loss>>,
}

impl Segment {
    /// A segment of `slots` slots, all gaps.
    pub fn empty(key: Key, slots: usize) -> Self {
        Self {
            key,
            coverage: vec![Coverage::NONE; slots],
            facts: Facts::new(),
            processes: Vec::new(),
            files: Vec::new(),
            connections: Vec::new(),
            cpu: Vec::new(),
            memory: Vec::new(),
            file_io: Vec::new(),
            network_io: Vec::new(),
            waits: Vec::new(),
            totals: Vec::new(),
            events: Vec::new(),
            losses: Vec::new(),
        }
    }

    /// Number of slots.
    pub fn slots(&self) -> u32 {
        self.coverage.len() as u32
    }

    /// End of the last slot, exclusive: seconds since the Unix epoch.
    pub fn end(&self) -> u64 {
        self.key.start + self.coverage.len() as u64 * self.key.resolution.seconds()
    }

    /// The slot that holds the moment `at`, in nanoseconds since the Unix epoch.
    pub fn slot_of(&self, at: u64) -> Option<u32> {
        let second = (at / 1_000_000_000).checked_sub(self.key.start)?;
        let slot = second / self.key.resolution.seconds();
        (slot < self.coverage.len() as u64).then_some(slot as u32)
    }
}
