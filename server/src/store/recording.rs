//! Recordings: captures that `bubble-agent analyse` posted. They do not expire; somebody deletes them.

use std::ops::Range;

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, SourceId};
use serde::{Deserialize, Serialize};

use super::error::{StoreError, failed};

/// Lists and deletes recordings.
#[async_trait]
pub trait Recordings: Send + Sync + 'static {
    /// The sources of a container that belong to recordings. Their rows never expire.
    async fn recorded(&self, container: &ContainerId) -> Result<Vec<Recorder>, StoreError>;

    /// All recordings that are not deleted, oldest first.
    async fn recordings(&self) -> Result<Vec<Recording>, StoreError>;

    /// Notes what is known of an uploaded capture, before its first post and again after its last one. Adds
    /// the recording if it is new. `false`: it is deleted, and its rows are not removed yet.
    async fn note_upload(&self, label: &Label, upload: &Upload) -> Result<bool, StoreError>;

    /// Marks a recording as deleted, so that it is no longer listed; `false` if the id is
    /// unknown. [`Self::sweep`] removes its rows.
    async fn delete_recording(&self, id: SourceId) -> Result<bool, StoreError>;

    /// Marks all that is stored of a container as deleted, its parts of recordings included; `false` if
    /// there is none. [`Self::sweep`] removes its rows.
    async fn delete_container(&self, id: &ContainerId) -> Result<bool, StoreError>;

    /// Removes the rows of deleted recordings and containers, and containers that have no other rows.
    /// Returns their number. Not atomic: it may be interrupted and called again.
    ///
    /// Should not run while spans are packed, because packing writes rows back. A store that other
    /// processes may pack sweeps the same recordings once more later.
    async fn sweep(&self) -> Result<u64, StoreError>;
}

/// Names a recording in each of its posts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Identifies it: the source of its segments.
    pub id: SourceId,
    /// Its name, which need not be unique. The first post decides.
    pub name: String,
}

/// A source of a container that belongs to a recording. Its rows never expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorder {
    /// The source.
    pub source: SourceId,
    /// The recording.
    pub recording: SourceId,
    /// From the first slot to the last: seconds since the Unix epoch.
    pub span: Range<u64>,
}

/// Parses a recording's id: 32 hexadecimal digits.
pub fn id_of(text: &str) -> Option<SourceId> {
    let mut bytes = [0_u8; 16];
    hex::decode_to_slice(text, &mut bytes).ok()?;
    Some(SourceId(bytes))
}

/// A recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recording {
    /// Its id and its name.
    pub label: Label,
    /// When it was first posted: seconds since the Unix epoch.
    pub created: u64,
    /// What is known of the upload; `None` if an agent posted it.
    pub upload: Option<Upload>,
    /// Its containers, by id.
    pub containers: Vec<Recorded>,
}

/// What is known of a capture that was uploaded. Stored as JSON: fields may be added, with a default.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Upload {
    /// Owner of the key, or who else uploaded it.
    pub owner: String,
    /// Bytes of the file.
    pub bytes: u64,
    /// `scap`, `json` or `text`.
    pub format: String,
    /// Events (or lines) that were taken in.
    pub events: u64,
    /// Events (or lines) that were skipped.
    pub skipped: u64,
    /// Time of the first event, ns since the Unix epoch.
    pub first_ns: Option<u64>,
    /// Time of the latest event.
    pub last_ns: Option<u64>,
    /// What could not be counted.
    pub losses: Vec<RecordedLoss>,
    /// Why reading ended early; everything before was read.
    pub damage: Option<String>,
    /// Facts that the format lacks, one sentence each.
    pub missing: Vec<String>,
    /// Whether all that was read is stored.
    pub is_stored: bool,
}

/// Activity that could not be counted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
pub struct RecordedLoss {
    /// The reason.
    pub reason: String,
    /// Number of times.
    pub count: u64,
    /// Number of bytes, if known.
    pub bytes: u64,
}

impl Upload {
    /// The text that is stored.
    pub(super) fn to_text(&self) -> Result<String, StoreError> {
        serde_json::to_string(self).map_err(failed("note an upload"))
    }

    /// Reads the stored text.
    pub(super) fn of_text(text: &str) -> Result<Self, StoreError> {
        serde_json::from_str(text).map_err(|_| StoreError::Corrupt {
            what: format!("the note of an upload {text:?}"),
        })
    }
}

impl Recording {
    /// Adds one source of a container. Sources of one container must be added in a row.
    pub fn add(&mut self, part: Recorded) {
        match self.containers.last_mut() {
            Some(last) if last.container == part.container => {
                last.first = last.first.min(part.first);
                last.last = last.last.max(part.last);
                last.cpu_ns = last.cpu_ns.saturating_add(part.cpu_ns);
                last.bytes_in = last.bytes_in.saturating_add(part.bytes_in);
                last.bytes_out = last.bytes_out.saturating_add(part.bytes_out);
            }
            _ => self.containers.push(part),
        }
    }
}

/// One container of a recording.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The container.
    pub container: ContainerId,
    /// The container's name, from its runtime; empty if unknown.
    pub name: String,
    /// Start of the first slot: seconds since the Unix epoch.
    pub first: u64,
    /// End of the last slot, exclusive.
    pub last: u64,
    /// CPU time, ns.
    pub cpu_ns: u64,
    /// Bytes read from files and received.
    pub bytes_in: u64,
    /// Bytes written to files and sent.
    pub bytes_out: u64,
}
