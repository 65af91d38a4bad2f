//! Merges spooled batches into one: a container's seconds become one segment, with one dictionary.

use std::collections::BTreeMap;

use bubble_common::batch::Batch;
use bubble_common::segment::{ContainerId, Facts, Resolution, Segment, facts};

use crate::attention::{Names, name_of};

/// Several spooled batches of one source, as one.
#[derive(Debug)]
pub(super) struct Merged {
    /// With the report of the newest of them.
    pub(super) batch: Batch,
    /// Number of segments that were taken from each.
    pub(super) taken: Vec<u32>,
}

/// A batch, and the containers that are left out as the server has them.
pub(super) type Part<'a> = (Batch, &'a Names);

/// Merges batches of one source, oldest first: all segments, or those of the containers `only`. `None`
/// if there is no batch.
pub(super) fn merge(parts: Vec<Part<'_>>, only: Option<&Names>) -> Option<Merged> {
    let mut taken = Vec::with_capacity(parts.len());
    let mut newest = None;
    // One segment for each packed span, as servers cut there.
    let mut merged: BTreeMap<(ContainerId, Resolution, u64), Vec<Segment>> = BTreeMap::new();
    for (batch, done) in parts {
        let before: usize = merged.values().map(Vec::len).sum();
        for segment in batch.segments {
            let name = name_of(&segment.key.container);
            if done.contains(name) || only.is_some_and(|only| !only.contains(name)) {
                continue;
            }
            let key = &segment.key;
            let span = key.resolution.packed_start(key.start);
            let key = (key.container.clone(), key.resolution, span);
            merged.entry(key).or_default().push(segment);
        }
        let after: usize = merged.values().map(Vec::len).sum();
        taken.push((after - before) as u32);
        newest = Some((batch.source, batch.agent));
    }
    let (source, agent) = newest?;
    let batch = Batch {
        source,
        agent,
        segments: merged.into_values().flat_map(unite).collect(),
    };
    Some(Merged { batch, taken })
}

/// Merges the segments of one container and span. Those that do not fit together stay as they are.
fn unite(mut segments: Vec<Segment>) -> Vec<Segment> {
    if segments.len() < 2 {
        return segments;
    }
    let Ok(mut whole) = Segment::merge(&segments) else {
        return segments;
    };
    segments.sort_by_key(Segment::end);
    whole.facts = latest_facts(&segments);
    vec![without_leading_gap(whole)]
}

/// The facts of the latest life, each with its latest value, as a server has them that took the
/// segments one by one. `segments` are in order of time.
fn latest_facts(segments: &[Segment]) -> Facts {
    let start = |all: &Facts| -> Option<u64> { all.get(facts::STARTED)?.parse().ok() };
    let mut latest = Facts::new();
    for segment in segments {
        let (before, now) = (start(&latest), start(&segment.facts));
        if before.is_some() && now > before {
            latest.clear();
        }
        if now.is_none() || now >= before {
            let facts = segment.facts.iter();
            latest.extend(facts.map(|(name, value)| (name.clone(), value.clone())));
        }
    }
    latest
}

/// Cuts the gap before the first second, so that a segment's key names a second that it has.
fn without_leading_gap(segment: Segment) -> Segment {
    let first = segment.coverage.iter().position(|slot| !slot.is_gap());
    let Some(first) = first.filter(|first| *first > 0) else {
        return segment;
    };
    let start = segment.key.start + first as u64 * segment.key.resolution.seconds();
    segment.slice(start..segment.end()).unwrap_or(segment)
}

#[cfg(test)]
mod tests {
    use bubble_common::batch::{AgentReport, Batch};
    use bubble_common::segment::builder::Builder;
    use bubble_common::segment::process::{Cpu, Process, ProcessId};
    use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId};

    use super::{Merged, merge};
    use crate::attention::Names;

    /// Start of a minute.
    const START: u64 = 1_200_000;

    fn segment(container: &str, second: u64, facts: &[(&str, &str)]) -> Segment {
        let key = Key {
            container: ContainerId::new(container).unwrap(),
            resolution: Resolution::Second,
            start: second,
            source: SourceId([1; 16]),
        };
        let mut builder = Builder::new(key, 1);
        builder.cover(0, Coverage::SECOND);
        let id = ProcessId {
            pid: 7,
            start: 5,
            exec: 0,
        };
        let process = builder.process(Process::new(id, "p"));
        builder.cpu(process, 0, 0, Cpu { ns: 10 });
        for (name, value) in facts {
            builder.fact(*name, *value);
        }
        builder.build()
    }

    fn batch(segments: Vec<Segment>, sent_at: u64) -> Batch {
        Batch {
            source: SourceId([1; 16]),
            agent: AgentReport {
                sent_at,
                ..AgentReport::default()
            },
            segments,
        }
    }

    fn merged(batches: Vec<Batch>, only: Option<&Names>) -> Merged {
        let done = Names::new();
        let parts = batches.into_iter().map(|batch| (batch, &done)).collect();
        merge(parts, only).unwrap()
    }

    #[test]
    fn seconds_of_a_container_become_one_segment_a_minute() {
        let all = (START + 55..START + 65).map(|second| {
            let segments = vec![segment("a", second, &[]), segment("b", second, &[])];
            batch(segments, second)
        });
        let Merged { batch, taken } = merged(all.collect(), None);
        assert_eq!(taken, [2; 10]);
        assert_eq!(batch.agent.sent_at, START + 64);
        let segments = batch.segments.iter();
        let spans: Vec<_> = segments
            .map(|s| (s.key.container.as_str(), s.key.start - START, s.slots()))
            .collect();
        assert_eq!(
            spans,
            [("a", 55, 5), ("a", 60, 5), ("b", 55, 5), ("b", 60, 5)]
        );
        for segment in &batch.segments {
            assert_eq!(segment.processes.len(), 1);
            assert_eq!(segment.cpu.iter().map(|c| c.value.ns).sum::<u64>(), 50);
        }
    }

    #[test]
    fn what_the_server_has_is_left_out() {
        let names = |name: &str| Names::from([name.to_owned()]);
        let parts = |done| {
            let second = |n| vec![segment("a", START + n, &[]), segment("b", START + n, &[])];
            vec![(batch(second(0), 0), done), (batch(second(1), 1), done)]
        };
        let (none, a) = (Names::new(), names("a"));
        let of_b = merge(parts(&a), None).unwrap();
        assert_eq!(of_b.taken, [1, 1]);
        assert_eq!(of_b.batch.segments.len(), 1);
        assert_eq!(
            of_b.batch,
            merge(parts(&none), Some(&names("b"))).unwrap().batch
        );
        let nothing = merge(parts(&a), Some(&a)).unwrap();
        assert_eq!(
            (nothing.taken, nothing.batch.segments.len()),
            (vec![0, 0], 0)
        );
    }

    #[test]
    fn the_latest_facts_of_the_latest_life_stay() {
        let facts = |all: Vec<Segment>| {
            let batches = all.into_iter().map(|segment| batch(vec![segment], 0));
            let merged = merged(batches.collect(), None).batch;
            let facts = merged.segments[0].facts.clone();
            facts.into_iter().collect::<Vec<_>>()
        };
        let text = |pairs: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            pairs.iter().map(owned).collect::<Vec<_>>()
        };
        let renamed = facts(vec![
            segment("a", START, &[("name", "zeta"), ("started", "9")]),
            segment("a", START + 1, &[("name", "alpha"), ("started", "9")]),
            segment("a", START + 2, &[]),
        ]);
        assert_eq!(renamed, text(&[("name", "alpha"), ("started", "9")]));
        let restarted = facts(vec![
            segment("a", START, &[("ended", "9"), ("started", "8")]),
            segment("a", START + 1, &[("started", "10")]),
            segment("a", START + 2, &[("ended", "9"), ("started", "8")]),
        ]);
        assert_eq!(restarted, text(&[("started", "10")]));
    }

    #[test]
    fn a_gap_at_the_start_is_cut() {
        let mut empty = segment("a", START, &[("name", "n")]);
        empty.coverage[0] = Coverage::NONE;
        let second = segment("a", START + 1, &[]);
        let merged = merged(vec![batch(vec![empty], 0), batch(vec![second], 1)], None);
        let whole = &merged.batch.segments[0];
        assert_eq!((whole.key.start, whole.slots()), (START + 1, 1));
        assert_eq!(whole.facts.get("name").map(String::as_str), Some("n"));
    }
}
