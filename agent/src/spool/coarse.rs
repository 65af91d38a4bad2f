//! Making old records smaller: their seconds become minutes, and these are merged.
//!
//! Nothing is counted twice by it, even if the server has some of the finer ones
//! already: the coverage of a coarse slot tells which fine ones are in it.

use std::collections::BTreeMap;

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::fold::Caps;
use bubble_common::segment::{ContainerId, Resolution, Segment, SourceId};

/// Most segments of a batch: well within what a server takes at once.
const SEGMENTS: usize = 256;

/// Segments of some batches, becoming coarser.
#[derive(Debug, Default)]
pub(super) struct Coarse {
    sources: BTreeMap<SourceId, Source>,
    /// Slots that could not be read or merged.
    lost: u64,
}

#[derive(Debug, Default)]
struct Source {
    report: AgentReport,
    segments: BTreeMap<(ContainerId, Resolution, u64), Segment>,
}

impl Coarse {
    /// Takes in an encoded batch that holds `segments` segments.
    pub(super) fn take(&mut self, payload: &[u8], segments: u32) {
        let Ok(batch) = Batch::decode(payload) else {
            self.lost += u64::from(segments);
            return;
        };
        let source = self.sources.entry(batch.source).or_default();
        source.report = batch.agent;
        for segment in batch.segments {
            let slots = u64::from(segment.slots());
            let coarse = match segment.key.resolution {
                Resolution::Second => segment.coarsen().unwrap_or(segment),
                _ => segment,
            };
            let key = &coarse.key;
            // One of each packed span: a piece never grows beyond what is stored as one.
            let span = key.resolution.packed_start(key.start);
            let key = (key.container.clone(), key.resolution, span);
            let merged = match source.segments.get(&key) {
                Some(known) => Segment::merge([known, &coarse]),
                None => Ok(coarse),
            };
            match merged {
                Ok(merged) => {
                    let folded = merged.fold(&Caps::COARSE);
                    source.segments.insert(key, folded);
                }
                Err(_) => self.lost += slots,
            }
        }
    }

    /// The coarse batches, encoded, each with how many segments it has; and how many slots were lost.
    pub(super) fn finish(self) -> (Vec<(Vec<u8>, u32)>, u64) {
        let mut batches = Vec::new();
        for (id, source) in self.sources {
            let mut segments = source.segments.into_values().peekable();
            while segments.peek().is_some() {
                let segments: Vec<Segment> = segments.by_ref().take(SEGMENTS).collect();
                let count = segments.len() as u32;
                let batch = Batch {
                    source: id,
                    agent: source.report.clone(),
                    segments,
                };
                batches.push((batch.encode(), count));
            }
        }
        (batches, self.lost)
    }
}
