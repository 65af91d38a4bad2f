//! What goes into a store and comes out of it: keyed bytes.

use std::sync::Arc;

use bubble_common::segment::{ContainerId, Facts, Key, Resolution, SourceId};
use sha2::{Digest, Sha256};

use super::recording::Label;

/// How a row came to be, which decides what it is worth beside others of its span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Form {
    /// A whole span of one source.
    Packed,
    /// One slot made from the finer resolution; it is complete, and takes the
    /// place of that slot in the packed row.
    Rolled,
    /// As an agent posted it.
    Posted,
}

/// A stored segment, coded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Its key.
    pub key: Key,
    /// How it came to be.
    pub form: Form,
    /// The segment, as the codec made it.
    pub bytes: Vec<u8>,
}

/// A segment that an agent posted, within one packed span.
#[derive(Debug, Clone)]
pub struct Post {
    /// Its key.
    pub key: Key,
    /// Bit *i*: slot *i* of the packed span is not a gap.
    pub slots: u64,
    /// The segment, as the codec made it. Without any slot only the facts are kept.
    pub bytes: Vec<u8>,
    /// What it adds to the index of containers.
    pub activity: Activity,
    /// The recording that it belongs to, if it is not live.
    pub recording: Option<Arc<Label>>,
}

/// What a posted segment adds to the index of containers.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Activity {
    /// Start of the first slot that is not a gap, seconds since the Unix epoch.
    pub first: u64,
    /// End of the last slot that is not a gap, exclusive.
    pub last: u64,
    /// CPU time, ns.
    pub cpu_ns: u64,
    /// Highest memory in use, bytes; absent when it was not measured.
    pub memory_peak: Option<u64>,
    /// Memory in use in the last slot, bytes.
    pub memory_now: Option<u64>,
    /// Memory limit, bytes.
    pub memory_limit: Option<u64>,
    /// Bytes read from files and received.
    pub bytes_in: u64,
    /// Bytes written to files and sent.
    pub bytes_out: u64,
    /// CPU time by slot, of slots that are not gaps: (start, length in seconds, ns).
    pub cpu: Vec<(u64, u64, u64)>,
    /// The facts that it carries.
    pub facts: Facts,
}

/// What became of a posted segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It is stored.
    Stored,
    /// It was stored before, and counts once.
    Known,
}

/// A span in which pieces wait to be packed.
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
    /// The marks as they were when they were read: [`Repack`] clears these, and none that was set since.
    pub marks: Vec<Mark>,
}

/// What makes a span dirty: somebody put something into it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Mark {
    /// Which process did.
    pub writer: u64,
    /// Of two of one writer the later has the greater number.
    pub number: u64,
}

/// The result of packing one dirty span.
#[derive(Debug, Clone)]
pub struct Repack {
    /// Which span, as the store gave it.
    pub span: DirtySpan,
    /// The packed rows, one a source.
    pub packed: Vec<Packed>,
    /// Pieces that are in them, to be deleted.
    pub pieces: Vec<(Key, Form)>,
    /// Slots of the coarser resolution, to be put in the place of earlier ones; their spans become dirty.
    pub rolled: Vec<Row>,
    /// What the span is worth, of each source for which that changed.
    pub worth: Vec<Worth>,
}

/// A packed row, and what it takes the place of.
#[derive(Debug, Clone)]
pub struct Packed {
    /// The row.
    pub row: Row,
    /// Bit *i*: slot *i* of the span is not a gap.
    pub slots: u64,
    /// [`digest`] of the packed row that it was made from, if there was one. A
    /// store with several writers refuses the change where another is there now.
    pub replaces: Option<i64>,
}

/// What a packed span of one source adds to the index of containers, whatever was known of it before.
#[derive(Debug, Clone)]
pub struct Worth {
    /// The source.
    pub source: SourceId,
    /// Bit *i*: slot *i* of the span is in it.
    pub slots: u64,
    /// What it adds. Facts are left out.
    pub activity: Activity,
}

/// Of rows of one packed span those that tell of the slot at `at`.
pub(super) fn of_slot(mut rows: Vec<Row>, at: u64) -> Vec<Row> {
    rows.retain(|row| match row.form {
        Form::Packed => true,
        Form::Rolled => row.key.start == at,
        Form::Posted => false,
    });
    rows
}

/// Tells the bytes of one version of a row from those of another.
pub fn digest(bytes: &[u8]) -> i64 {
    let digest = Sha256::digest(bytes);
    digest.first_chunk().copied().map_or(0, i64::from_le_bytes)
}
