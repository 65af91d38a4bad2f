//! Makes old batches smaller: their seconds become minutes, and segments of one hour are merged.
//!
//! This counts nothing twice, even if the server already has some of the finer segments: the
//! coverage of a coarse slot says which seconds are in it.

use std::collections::{BTreeMap, BTreeSet};

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::fold::Caps;
use bubble_common::segment::{ContainerId, Resolution, Segment, SourceId};

use super::Content;
use crate::attention::{Names, name_of};
use crate::undelivered::{covered_seconds, reported_losses};

/// Maximum number of segments in a coarse batch. Servers accept more at once.
const MAX_SEGMENTS: usize = 256;

/// Collects batches and makes coarser ones.
#[derive(Debug, Default)]
pub(super) struct Coarsener {
    sources: BTreeMap<SourceId, Source>,
}

/// Coarse batches.
#[derive(Debug)]
pub(super) struct Coarse {
    /// Each encoded, with its number of segments.
    pub(super) batches: Vec<(Vec<u8>, u32)>,
    /// What each holds.
    pub(super) contents: Vec<Content>,
}

#[derive(Debug, Default)]
struct Source {
    report: AgentReport,
    segments: BTreeMap<(ContainerId, Resolution, u64), Segment>,
    /// Segments that cannot be merged.
    unmerged: Vec<Segment>,
}

impl Coarsener {
    /// Adds an encoded batch without the segments of the containers `done`: the server has them, and
    /// cannot take them out of a minute again. Returns false if it cannot be decoded.
    pub(super) fn add(&mut self, payload: &[u8], done: &Names) -> bool {
        let Ok(batch) = Batch::decode(payload) else {
            return false;
        };
        let sources = batch.segments.iter().map(|segment| segment.key.source);
        for source in sources.collect::<BTreeSet<SourceId>>() {
            self.sources.entry(source).or_default().report = batch.agent.clone();
        }
        for segment in batch.segments {
            if done.contains(name_of(&segment.key.container)) {
                continue;
            }
            let source = self.sources.entry(segment.key.source).or_default();
            let coarse = match segment.key.resolution {
                Resolution::Second => segment.coarsen().unwrap_or(segment),
                _ => segment,
            };
            let key = &coarse.key;
            // One segment for each packed span: servers refuse a piece that exceeds one.
            let span = key.resolution.packed_start(key.start);
            let key = (key.container.clone(), key.resolution, span);
            let merged = match source.segments.get(&key) {
                Some(known) => Segment::merge([known, &coarse]),
                None => Ok(coarse.clone()),
            };
            match merged {
                Ok(merged) => {
                    let folded = merged.fold(&Caps::COARSE);
                    source.segments.insert(key, folded);
                }
                Err(_) => source.unmerged.push(coarse),
            }
        }
        true
    }

    /// Encodes the coarse batches.
    pub(super) fn finish(self) -> Coarse {
        let mut coarse = Coarse {
            batches: Vec::new(),
            contents: Vec::new(),
        };
        for (id, source) in self.sources {
            let segments = source.segments.into_values().chain(source.unmerged);
            let mut segments = segments.peekable();
            while segments.peek().is_some() {
                let segments: Vec<Segment> = segments.by_ref().take(MAX_SEGMENTS).collect();
                let count = segments.len() as u32;
                coarse.contents.push(Content {
                    seconds: segments.iter().map(covered_seconds).sum(),
                    reported: reported_losses(&segments),
                });
                let batch = Batch {
                    source: id,
                    agent: source.report.clone(),
                    segments,
                };
                coarse.batches.push((batch.encode(), count));
            }
        }
        coarse
    }
}
