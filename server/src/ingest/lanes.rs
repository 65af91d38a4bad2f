//! Lanes: sources for bodies that name no source.
//!
//! A source may report each second of a container once. So bodies of the same second that must
//! be added up need different sources: CPU and descriptors, several hosts, and the parts of a
//! second that was too long for one body. The name of the source contains host and kind.
//!
//! The rest is told apart by *lanes*. Among the bodies of one second and sender, each different
//! body takes the next lane. An equal body gets the same lane again, where it counts as known.
//! The bodies are remembered only for a while. After that, and after a restart, a second starts
//! with its first lane, where any body counts as known: too little is better than double.

use std::collections::HashMap;

use bubble_common::legacy::Kind;
use bubble_common::segment::codec::Effort;
use bubble_common::segment::{Segment, SourceId};
use sha2::{Digest, Sha256};

use crate::store::key::ApiKey;

/// Lanes of one second of a container. Further bodies are refused.
const MAX_LANES: usize = 64;
/// Segments remembered at most. Beyond that all are forgotten.
const MAX_SEGMENTS: usize = 100_000;

/// 128 bits of SHA-256 of a name or of content.
type Hash = [u8; 16];

/// The sender of a post.
#[derive(Debug, Clone)]
pub struct Sender {
    /// Its key.
    pub key: ApiKey,
    /// Its address, as far as it is known.
    pub peer: String,
}

impl Sender {
    /// The source of its posts of one kind, live or of a recording, before lanes tell them apart.
    pub fn source(&self, kind: Kind, recording: Option<&str>) -> SourceId {
        let kind: &[u8] = match kind {
            Kind::Cpu => b"cpu",
            Kind::Fd => b"fd",
        };
        let (key, peer) = (self.key.id.as_bytes(), self.peer.as_bytes());
        let recording = recording.unwrap_or_default().as_bytes();
        name(&[b"event", key, peer, kind, recording])
    }

    /// The id of a recording that it posts. Several hosts may post to one recording.
    pub fn recording(&self, name_of: &str) -> SourceId {
        name(&[b"recording", self.key.id.as_bytes(), name_of.as_bytes()])
    }
}

/// Assigns sources.
#[derive(Debug, Default)]
pub struct Lanes {
    /// Hashes of the bodies of each second, container and sender.
    bodies: HashMap<Hash, Vec<Hash>>,
    /// Number of hashes.
    count: usize,
}

/// Hashes `parts`. Different lists of parts have different hashes.
fn name(parts: &[&[u8]]) -> SourceId {
    let mut hash = Sha256::new();
    for part in parts {
        hash.update((part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    let mut short = Hash::default();
    for (to, from) in short.iter_mut().zip(hash.finalize()) {
        *to = from;
    }
    SourceId(short)
}

impl Lanes {
    /// Sets the source of a segment from `sender`; `false` if its second has no lane left.
    pub fn place(&mut self, sender: SourceId, segment: &mut Segment) -> bool {
        let key = &segment.key;
        let second = name(&[
            &sender.0,
            key.container.as_str().as_bytes(),
            &key.start.to_le_bytes(),
        ]);
        let content = name(&[&segment.encode(Effort::Raw)]);
        if self.count >= MAX_SEGMENTS {
            self.bodies.clear();
            self.count = 0;
        }
        let bodies = self.bodies.entry(second.0).or_default();
        let lane = match bodies.iter().position(|known| *known == content.0) {
            Some(lane) => lane,
            None if bodies.len() >= MAX_LANES => return false,
            None => {
                bodies.push(content.0);
                self.count += 1;
                bodies.len() - 1
            }
        };
        segment.key.source = name(&[&sender.0, &(lane as u64).to_le_bytes()]);
        true
    }
}
