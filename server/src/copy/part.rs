//! What the sums of a container's life add up from, made from its rows.
//!
//! Each packed span and each posted piece is a part, and has a bit for every slot that is in it; a
//! finer span whose bit is set in a coarser part is in that. Slots that were rolled up, and
//! whose span is not packed again yet, are parts of their own, in the place of what is packed.

use std::collections::{BTreeMap, HashMap};

use bubble_common::segment::{Coverage, Facts, Key, Resolution, Segment, SourceId};

use crate::ingest::activity::activity;
use crate::rollup::unite::{Piece, finer, keep_slots, slot_bits};
use crate::store::container::Container;
use crate::store::recording::Recorder;
use crate::store::restore::Part;
use crate::store::row::{Activity, Form};

/// Names the part of a packed span.
type Place = (Resolution, u64, SourceId);

/// The parts of a container.
#[derive(Default)]
pub(super) struct Parts {
    /// Bits and activities.
    spans: BTreeMap<Place, (u64, Activity)>,
    posted: Vec<Part>,
}

impl Parts {
    /// Takes in rows of one resolution: all of any packed span, and coarser ones before finer ones.
    pub(super) fn add(&mut self, pieces: Vec<Piece>) {
        let mut rolled: HashMap<Place, Vec<u64>> = HashMap::new();
        let mut packed = Vec::new();
        for Piece { form, segment } in pieces {
            let key = &segment.key;
            let place = place_of(key);
            match form {
                Form::Packed => packed.push((place, segment)),
                Form::Posted => self.posted.push(Part {
                    key: key.clone(),
                    posted: true,
                    slots: slot_bits(&segment),
                    activity: without_facts(&segment),
                }),
                Form::Rolled => {
                    rolled.entry(place).or_default().push(key.start);
                    let bits = segment.coverage.first().map_or(0, |c: &Coverage| c.0);
                    if let Some(finer) = finer(key.resolution) {
                        let activity = without_facts(&segment);
                        let place = (finer, key.start, key.source);
                        self.spans.insert(place, (bits, activity));
                    }
                }
            }
        }
        for (place, segment) in packed {
            self.add_packed(
                place,
                &segment,
                rolled.get(&place).map_or(&[], Vec::as_slice),
            );
        }
    }

    fn add_packed(&mut self, place: Place, segment: &Segment, replaced: &[u64]) {
        let rest;
        let segment = match replaced {
            [] => segment,
            starts => {
                rest = keep_slots(segment, |at, _| !starts.contains(&at));
                &rest
            }
        };
        let own = without_facts(segment);
        match self.spans.get_mut(&place) {
            // The slot that it was rolled up to has the sums; the span itself knows the edges.
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
                self.spans.insert(place, (slot_bits(segment), own));
            }
        }
    }

    /// Those that count, as they add up to what the entry of `container` says.
    pub(super) fn of(self, container: &Container, recorded: &[Recorder]) -> Vec<Part> {
        let counts = |(resolution, start, source): Place| {
            let coarser = Resolution::ALL.into_iter().filter(|r| *r > resolution);
            let mut coarser = coarser.filter_map(|coarser| {
                let place = (coarser, coarser.packed_start(start), source);
                let bit = (start - place.1) / coarser.seconds();
                self.spans.get(&place).map(|(bits, _)| bits >> bit & 1)
            });
            coarser.all(|bit| bit == 0)
        };
        let spans = self
            .spans
            .iter()
            .filter(|(place, (bits, _))| *bits != 0 && counts(**place));
        let spans = spans.map(|(place, (slots, activity))| Part {
            key: Key {
                container: container.id.clone(),
                resolution: place.0,
                start: place.1,
                source: place.2,
            },
            posted: false,
            slots: *slots,
            activity: activity.clone(),
        });
        let known = |part: &Part| {
            let packed = self.spans.get(&place_of(&part.key));
            part.slots & !packed.map_or(0, |(bits, _)| *bits) == 0
        };
        let posted = self.posted.iter().filter(|part| !known(part)).cloned();
        let mut parts: Vec<Part> = spans.chain(posted).collect();
        for part in &mut parts {
            let recorded = recorded.iter().find(|of| of.source == part.key.source);
            fit(&mut part.activity, container, recorded);
        }
        spread(&mut parts, container);
        parts
    }
}

/// The entry knows to the second what coarse slots only know roughly.
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

/// Gives the CPU of the latest minutes to the parts that it is of, each bucket to the finest.
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

fn place_of(key: &Key) -> Place {
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
