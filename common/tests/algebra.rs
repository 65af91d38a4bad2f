//! Properties of merging, adding, slicing, coarsening and folding.

use std::collections::BTreeMap;

use bubble_common::segment::cell::{Cell, Value};
use bubble_common::segment::fold::Caps;
use bubble_common::segment::process::Memory;
use bubble_common::segment::total::Metric;
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId};
use bubble_testing::arbitrary;
use proptest::collection::vec;
use proptest::prelude::{Strategy, any, prop_assert, prop_assert_eq, proptest};

/// Number of slots of the truth, from which pieces are cut. It spans two minutes.
const SLOTS: u64 = 24;

fn key(source: u8) -> Key {
    Key {
        container: ContainerId::new("0123456789ab").expect("an id"),
        resolution: Resolution::Second,
        start: 1_790_000_040 - SLOTS / 2,
        source: SourceId([source; 16]),
    }
}

/// The whole segment of one source.
fn truth(source: u8) -> impl Strategy<Value = Segment> {
    arbitrary::segment_of(key(source), SLOTS as usize).prop_map(|mut segment| {
        segment.coverage.fill(Coverage::SECOND);
        segment
    })
}

/// The truth, and pieces of it. Some slots are in several pieces, some in none.
fn pieces() -> impl Strategy<Value = (Segment, Vec<Segment>)> {
    (truth(1), vec((0..SLOTS, 1..SLOTS), 1..6)).prop_map(|(truth, cuts)| {
        let cut = |(start, length)| {
            let start = truth.key.start + start;
            let end = truth.end().min(start + length);
            truth.slice(start..end).expect("short")
        };
        let pieces = cuts.into_iter().map(cut).collect();
        (truth, pieces)
    })
}

/// Pieces that do not overlap.
fn disjoint() -> impl Strategy<Value = (Segment, Vec<Segment>)> {
    (truth(1), vec(1..SLOTS, 0..4)).prop_map(|(truth, cuts)| {
        let mut cuts: Vec<u64> = cuts.into_iter().map(|cut| truth.key.start + cut).collect();
        cuts.extend([truth.key.start, truth.end()]);
        cuts.sort_unstable();
        cuts.dedup();
        let pieces = cuts
            .windows(2)
            .map(|cut| truth.slice(cut[0]..cut[1]).expect("short"));
        let pieces = pieces.collect();
        (truth, pieces)
    })
}

type Sums = BTreeMap<(&'static str, u32, u32, usize), u128>;

fn sum<V: Value>(
    sums: &mut Sums,
    table: &'static str,
    cells: &[Cell<V>],
    group: impl Fn(&Cell<V>) -> (u32, u32),
) {
    for cell in cells {
        let (a, b) = group(cell);
        for column in 0..V::COLUMNS {
            *sums.entry((table, a, b, column)).or_default() += u128::from(cell.value.get(column));
        }
    }
    sums.retain(|_, sum| *sum > 0);
}

/// All counts by slot: CPU by core, files, network, losses, and the metrics that add up.
fn counts(segment: &Segment, slot: impl Fn(u32) -> u32) -> Sums {
    let mut sums = Sums::new();
    sum(&mut sums, "cpu", &segment.cpu, |cell| {
        (slot(cell.slot), cell.row.1)
    });
    sum(&mut sums, "file", &segment.file_io, |cell| {
        (slot(cell.slot), 0)
    });
    sum(&mut sums, "network", &segment.network_io, |cell| {
        (slot(cell.slot), 0)
    });
    sum(&mut sums, "waits", &segment.waits, |cell| {
        (slot(cell.slot), 0)
    });
    sum(&mut sums, "loss", &segment.losses, |cell| {
        (slot(cell.slot), cell.row.0)
    });
    let adding: Vec<_> = segment
        .totals
        .iter()
        .copied()
        .filter(|c| Metric(c.row.0).adds())
        .collect();
    sum(&mut sums, "total", &adding, |cell| {
        (slot(cell.slot), cell.row.0)
    });
    sums
}

/// Memory by slot, summed over all processes. The shared part is left out: it is the difference of
/// two maxima.
fn memory(segment: &Segment) -> Sums {
    let mut sums = Sums::new();
    for cell in &segment.memory {
        let Memory {
            vm,
            rss,
            swap,
            private,
        } = cell.value;
        for (column, number) in [vm, rss, swap, private].into_iter().enumerate() {
            *sums.entry(("memory", cell.slot, 0, column)).or_default() += u128::from(number);
        }
    }
    sums.retain(|_, sum| *sum > 0);
    sums
}

/// Number of events, including folded ones.
fn events(segment: &Segment) -> u64 {
    let weight = |event: &bubble_common::segment::event::Event| match event.kind.name() {
        "folded" => event.detail.parse().unwrap_or(1),
        _ => 1_u64,
    };
    segment.events.iter().map(weight).sum()
}

fn merge(pieces: &[&Segment]) -> Segment {
    Segment::merge(pieces.iter().copied()).expect("of one source")
}

fn small_caps() -> impl Strategy<Value = Caps> {
    [2..6_usize, 2..6, 2..6, 2..30, 2..30, 2..6].prop_map(
        |[
            processes,
            files,
            connections,
            file_rows,
            network_rows,
            events,
        ]| Caps {
            processes,
            files,
            connections,
            file_rows,
            network_rows,
            events,
        },
    )
}

proptest! {
    #[test]
    fn merge_is_commutative((_, pieces) in pieces(), turn in any::<usize>()) {
        let straight: Vec<&Segment> = pieces.iter().collect();
        let mut turned = straight.clone();
        turned.rotate_left(turn % straight.len());
        turned.reverse();
        prop_assert_eq!(merge(&straight), merge(&turned));
    }

    #[test]
    fn merge_is_associative((_, pieces) in pieces(), split in any::<usize>()) {
        let all: Vec<&Segment> = pieces.iter().collect();
        let (left, right) = all.split_at(1 + split % all.len());
        if !right.is_empty() {
            prop_assert_eq!(merge(&[&merge(left), &merge(right)]), merge(&all));
        }
    }

    #[test]
    fn merge_is_idempotent((truth, pieces) in pieces()) {
        let all: Vec<&Segment> = pieces.iter().collect();
        let merged = merge(&all);
        let repeated: Vec<&Segment> = all.iter().copied().chain([&merged, &merged]).collect();
        prop_assert_eq!(&merge(&repeated), &merged);
        // A piece adds nothing to the whole that it was cut from.
        let whole: Vec<&Segment> = all.into_iter().chain([&truth]).collect();
        prop_assert_eq!(merge(&whole), truth);
    }

    #[test]
    fn merge_of_all_pieces_is_the_whole((truth, pieces) in disjoint()) {
        let all: Vec<&Segment> = pieces.iter().collect();
        let merged = merge(&all);
        prop_assert_eq!(counts(&merged, |slot| slot), counts(&truth, |slot| slot));
        prop_assert_eq!(memory(&merged), memory(&truth));
        prop_assert_eq!(events(&merged), events(&truth));
        prop_assert_eq!(merged.coverage, truth.coverage);
    }

    #[test]
    fn results_are_canonical((_, pieces) in pieces(), caps in small_caps()) {
        let all: Vec<&Segment> = pieces.iter().collect();
        let merged = merge(&all);
        let results = [merged.coarsen().expect("seconds"), merged.clone().fold(&caps), merged];
        for segment in results {
            let bytes = segment.encode(bubble_common::segment::codec::Effort::Raw);
            prop_assert_eq!(Segment::decode(&bytes), Ok(segment));
        }
    }

    #[test]
    fn adding_keeps_sums(one in truth(1), two in truth(2)) {
        let sum = Segment::add([&one, &two]).expect("of one container");
        prop_assert_eq!(&Segment::add([&two, &one]).expect("of one container"), &sum);
        prop_assert_eq!(sum.key.source, SourceId::SUM);
        let mut both = counts(&one, |slot| slot);
        for (group, number) in counts(&two, |slot| slot) {
            *both.entry(group).or_default() += number;
        }
        prop_assert_eq!(counts(&sum, |slot| slot), both);
    }

    #[test]
    fn a_slice_is_a_part_of_the_whole(truth in truth(1), start in 0..SLOTS, length in 0..SLOTS) {
        let from = truth.key.start + start;
        let slice = truth.slice(from..from + length).expect("short");
        let mut part = truth.clone();
        part.cpu.retain(|cell| (start..start + length).contains(&u64::from(cell.slot)));
        part.file_io.retain(|cell| (start..start + length).contains(&u64::from(cell.slot)));
        part.network_io.retain(|cell| (start..start + length).contains(&u64::from(cell.slot)));
        part.waits.retain(|cell| (start..start + length).contains(&u64::from(cell.slot)));
        part.totals.retain(|cell| (start..start + length).contains(&u64::from(cell.slot)));
        part.losses.retain(|cell| (start..start + length).contains(&u64::from(cell.slot)));
        prop_assert_eq!(counts(&slice, |slot| slot + start as u32), counts(&part, |slot| slot));
        prop_assert_eq!(u64::from(slice.slots()), length);
    }

    #[test]
    fn coarsening_keeps_sums(truth in truth(1)) {
        let coarse = truth.coarsen().expect("seconds");
        let minute = |slot: u32| ((truth.key.start + u64::from(slot) - coarse.key.start) / 60) as u32;
        prop_assert_eq!(counts(&coarse, |slot| slot), counts(&truth, minute));
        prop_assert_eq!(events(&coarse), events(&truth));
    }

    #[test]
    fn coarsening_and_merging_commute((_, pieces) in disjoint()) {
        let all: Vec<&Segment> = pieces.iter().collect();
        let coarse: Vec<Segment> = pieces.iter().filter_map(Segment::coarsen).collect();
        let coarse: Vec<&Segment> = coarse.iter().collect();
        prop_assert_eq!(merge(&coarse), merge(&all).coarsen().expect("seconds"));
    }

    #[test]
    fn folding_keeps_sums(truth in truth(1), caps in small_caps()) {
        let folded = truth.clone().fold(&caps);
        prop_assert_eq!(counts(&folded, |slot| slot), counts(&truth, |slot| slot));
        prop_assert_eq!(events(&folded), events(&truth));
        // Processes that did not live at one time, or share pages, hold less than their sum.
        let (held, separate) = (memory(&folded), memory(&truth));
        prop_assert!(held.iter().all(|(group, sum)| *sum <= separate[group]));
        prop_assert!(held.keys().eq(separate.keys()));
    }

    #[test]
    fn folding_respects_its_caps_and_is_idempotent(truth in truth(1), caps in small_caps()) {
        let folded = truth.fold(&caps);
        let rows = |cap: usize| cap.max(2 * caps.processes);
        prop_assert!(folded.processes.len() <= caps.processes);
        prop_assert!(folded.files.len() <= caps.files);
        prop_assert!(folded.connections.len() <= caps.connections);
        prop_assert!(folded.events.len() <= caps.events);
        let file_rows = folded.file_io.chunk_by(|a, b| a.row == b.row).count();
        prop_assert!(file_rows <= rows(caps.file_rows));
        let network_rows = folded.network_io.chunk_by(|a, b| a.row == b.row).count();
        prop_assert!(network_rows <= rows(caps.network_rows));
        prop_assert_eq!(folded.clone().fold(&caps), folded);
    }

    #[test]
    fn folding_before_or_after_merging_keeps_sums((truth, pieces) in disjoint(), caps in small_caps()) {
        let folded: Vec<Segment> = pieces.iter().map(|piece| piece.clone().fold(&caps)).collect();
        let folded: Vec<&Segment> = folded.iter().collect();
        let merged = merge(&folded);
        prop_assert_eq!(counts(&merged, |slot| slot), counts(&truth, |slot| slot));
        let refolded = merged.fold(&caps);
        prop_assert_eq!(counts(&refolded, |slot| slot), counts(&truth, |slot| slot));
        prop_assert_eq!(events(&refolded), events(&truth));
    }
}
