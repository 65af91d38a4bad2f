//! The parts that add up to a container's sums, derived from its rows.
//!
//! Each packed span and each posted piece is a part, with a bit for every slot in it. A coarser part
//! contains a finer span if its bit is set. A rolled slot of a span that is not packed again yet is
//! a part of its own, and replaces the slot of the packed row.

use std::collections::{BTreeMap, HashMap};

use bubble_common::segment::{Coverage, Facts, Key, Resolution, Segment, SourceId};

use crate::span::activity::{Activity, activity};
use crate::span::row::{Form, Piece};
use crate::span::unite::{finer, keep_slots, slot_bits};
use crate::store::container::Container;
use crate::store::recording::Recorder;
use crate::store::restore::Part;

/// Identifies a packed span: resolution, start, source.
type SpanKey = (Resolution, u64, SourceId);

/// The parts of a container.
#[derive(Default)]
pub(super) struct Parts {
    /// Slot bits and activity of each span.
    spans: BTreeMap<SpanKey, (u64, Activity)>,
    posted: Vec<Part>,
}

impl Parts {
    /// Adds rows of one resolution. All rows of a packed span must come at once, and coarser resolutions
    /// before finer ones.
    pub(super) fn add(&mut self, pieces: Vec<Piece>) {
        let mut rolled: HashMap<SpanKey, Vec<u64>> = HashMap::new();
        let mut packed = Vec::new();
        for Piece { form, segment } in pieces {
            let key = &segment.key;
            let span = span_key(key);
            match form {
                Form::Packed => packed.push((span, segment)),
                Form::Posted => self.posted.push(Part {
                    key: key.clone(),
                    posted: true,
                    slots: slot_bits(&segment),
                    activity: without_facts(&segment),
                }),
                Form::Rolled => {
                    rolled.entry(span).or_default().push(key.start);
                    let bits = segment.coverage.first().map_or(0, |c: &Coverage| c.0);
                    if let Some(finer) = finer(key.resolution) {
                        let activity = without_facts(&segment);
                        let span = (finer, key.start, key.source);
                        self.spans.insert(span, (bits, activity));
                    }
                }
            }
        }
        for (span, segment) in packed {
            self.add_packed(span, &segment, rolled.get(&span).map_or(&[], Vec::as_slice));
        }
    }

    fn add_packed(&mut self, span: SpanKey, segment: &Segment, replaced: &[u64]) {
        let rest;
        let segment = match replaced {
            [] => segment,
            starts => {
                rest = keep_slots(segment, |at, _| !starts.contains(&at));
                &rest
            }
        };
        let own = without_facts(segment);
        match self.spans.get_mut(&span) {
            // The sums come from the rolled slot, the edges from the span itself.
            Some((_, sums)) if replaced.is_empty() => {
                *sums = Activity {
                    cpu_ns: sums.cpu_ns,
                    bytes_in: sums.bytes_in,
                    bytes_out: sums.bytes_out,
                    memory_peak: sums.memory_peak,
                    ..own
                }
            }
            _ => {
                self.spans.insert(span, (slot_bits(segment), own));
            }
        }
    }

    /// The parts that count. They add up to the entry of `container`.
    pub(super) fn of(self, container: &Container, recorded: &[Recorder]) -> Vec<Part> {
        let counts = |(resolution, start, source): SpanKey| {
            let coarser = Resolution::ALL.into_iter().filter(|r| *r > resolution);
            let mut coarser = coarser.filter_map(|coarser| {
                let span = (coarser, coarser.packed_start(start), source);
                let bit = (start - span.1) / coarser.seconds();
                self.spans.get(&span).map(|(bits, _)| bits >> bit & 1)
            });
            coarser.all(|bit| bit == 0)
        };
        let spans = self
            .spans
            .iter()
            .filter(|(span, (bits, _))| *bits != 0 && counts(**span));
        let spans = spans.map(|(span, (slots, activity))| Part {
            key: Key {
                container: container.id.clone(),
                resolution: span.0,
                start: span.1,
                source: span.2,
            },
            posted: false,
            slots: *slots,
            activity: activity.clone(),
        });
        let is_contained = |part: &Part| {
            let packed = self.spans.get(&span_key(&part.key));
            part.slots & !packed.map_or(0, |(bits, _)| *bits) == 0
        };
        let posted = self
            .posted
            .iter()
            .filter(|part| !is_contained(part))
            .cloned();
        let mut parts: Vec<Part> = spans.chain(posted).collect();
        for part in &mut parts {
            let recorded = recorded.iter().find(|of| of.source == part.key.source);
            fit(&mut part.activity, container, recorded);
        }
        spread(&mut parts, container);
        parts
    }
}

/// Limits a part to the span of the entry, which is exact to the second.
fn fit(activity: &mut Activity, container: &Container, recorded: Option<&Recorder>) {
    let span = match recorded {
        Some(recorded) => recorded.span.clone(),
        None => container.live_since..container.last_seen,
    };
    activity.first = activity.first.max(span.start);
    activity.last = activity.last.min(span.end);
    if activity.last == container.last_seen {
        activity.memory_now = Some(container.memory_now);
        activity.memory_limit = Some(container.memory_limit);
    }
}

/// Assigns each bucket of recent CPU to the finest part that contains it.
fn spread(parts: &mut [Part], container: &Container) {
    for part in &mut *parts {
        part.activity.cpu.clear();
    }
    for bucket in container.recent.slots() {
        let holds = |part: &&mut Part| {
            let resolution = part.key.resolution;
            let start = resolution.packed_start(part.key.start);
            (start..start + resolution.packed_seconds()).contains(&bucket.0)
        };
        let finest = parts.iter_mut().filter(holds);
        if let Some(part) = finest.min_by_key(|part| part.key.resolution) {
            part.activity.cpu.push(bucket);
        }
    }
}

fn span_key(key: &Key) -> SpanKey {
    (
        key.resolution,
        key.resolution.packed_start(key.start),
        key.source,
    )
}

fn without_facts(segment: &Segment) -> Activity {
    Activity {
        facts: Facts::new(),
        ..activity(segment)
    }
}
