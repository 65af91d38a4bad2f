//! Recordings: what `bubble-agent analyse` posted of a capture, kept until someone deletes it.

use std::ops::Range;

use bubble_common::segment::{ContainerId, SourceId};

/// Names a recording, in each post that belongs to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// What tells it from every other: the source of its segments.
    pub id: SourceId,
    /// Its name, which need not be unique. The first post decides.
    pub name: String,
}

/// A source of a container that belongs to a recording: nothing of it expires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorder {
    /// The source.
    pub source: SourceId,
    /// The recording.
    pub recording: SourceId,
    /// From the first slot to the last: seconds since the Unix epoch.
    pub span: Range<u64>,
}

/// The recording's id that `text` is: 32 hexadecimal digits.
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
    /// The containers that are in it, by id.
    pub containers: Vec<Recorded>,
}

impl Recording {
    /// Adds what it holds of a container by one source; those of one container must follow each other.
    pub fn add(&mut self, part: Recorded) {
        match self.containers.last_mut() {
            Some(known) if known.container == part.container => {
                known.first = known.first.min(part.first);
                known.last = known.last.max(part.last);
                known.cpu_ns = known.cpu_ns.saturating_add(part.cpu_ns);
                known.bytes_in = known.bytes_in.saturating_add(part.bytes_in);
                known.bytes_out = known.bytes_out.saturating_add(part.bytes_out);
            }
            _ => self.containers.push(part),
        }
    }
}

/// What a recording holds of one container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Recorded {
    /// The container.
    pub container: ContainerId,
    /// The container's name, as its runtime had it; empty when not known.
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
