//! Sources for bodies that name none.
//!
//! A source tells each second of a container once, so bodies about the same second
//! that are to be added up need different ones: those of CPU and of descriptors,
//! those of several hosts, and the parts of a second that was too long for one
//! body. Host and kind are in the source's name. For the rest there are *lanes*:
//! a body that differs from those of the same place takes the next lane, one that
//! is equal the same lane again, where it counts as known. Which bodies there
//! were is remembered for a while only; after that (and after a restart) a
//! place begins with its first lane, where what comes again is known, whatever
//! is in it: too little beats double.

use std::collections::HashMap;

use bubble_common::segment::codec::Effort;
use bubble_common::segment::{Segment, SourceId};
use sha2::{Digest, Sha256};

use super::Kind;
use crate::store::key::ApiKey;

/// Lanes of one second of a container; more bodies than this are not taken.
const LANES: usize = 64;
/// Segments remembered at most; beyond that all are forgotten.
const MOST: usize = 100_000;

/// 128 bits of SHA-256: of a name, or of content.
type Hash = [u8; 16];

/// Who posts.
#[derive(Debug, Clone)]
pub struct Sender {
    /// With which key.
    pub key: ApiKey,
    /// From where: an address, as far as it is known.
    pub peer: String,
}

impl Sender {
    /// The source of all that it tells of one kind, live or for a recording; lanes tell it apart further.
    pub fn source(&self, kind: Kind, recording: Option<&str>) -> SourceId {
        let kind: &[u8] = match kind {
            Kind::Cpu => b"cpu",
            Kind::Fd => b"fd",
        };
        let (key, peer) = (self.key.id.as_bytes(), self.peer.as_bytes());
        let recording = recording.unwrap_or_default().as_bytes();
        name(&[b"event", key, peer, kind, recording])
    }

    /// The id of a recording that it posts. Several hosts may post one.
    pub fn recording(&self, name_of: &str) -> SourceId {
        name(&[b"recording", self.key.id.as_bytes(), name_of.as_bytes()])
    }
}

/// Gives sources.
#[derive(Debug, Default)]
pub struct Lanes {
    /// What was told of each second of a container by one sender.
    told: HashMap<Hash, Vec<Hash>>,
    /// How many segments that are.
    count: usize,
}

/// The name that `parts` make together; different parts make different ones.
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
    /// Sets the source of `segment`, which `sender` told; `false` when there are too many of its place.
    pub fn place(&mut self, sender: SourceId, segment: &mut Segment) -> bool {
        let key = &segment.key;
        let place = name(&[
            &sender.0,
            key.container.as_str().as_bytes(),
            &key.start.to_le_bytes(),
        ]);
        let content = name(&[&segment.encode(Effort::Raw)]);
        if self.count >= MOST {
            self.told.clear();
            self.count = 0;
        }
        let told = self.told.entry(place.0).or_default();
        let lane = match told.iter().position(|known| *known == content.0) {
            Some(lane) => lane,
            None if told.len() >= LANES => return false,
            None => {
                told.push(content.0);
                self.count += 1;
                told.len() - 1
            }
        };
        segment.key.source = name(&[&sender.0, &(lane as u64).to_le_bytes()]);
        true
    }
}
