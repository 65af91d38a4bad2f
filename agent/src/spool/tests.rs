use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::builder::Builder;
use bubble_common::segment::cell::{Cell, Row};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::process::{Cpu, Process, ProcessId};
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId};
use proptest::prelude::*;

use super::{Spool, SpoolError, Stored};
use crate::attention::Names;

const PLENTY: u64 = 1 << 30;
const START: u64 = 1_200_000;
/// The source of most batches.
const SOURCE: SourceId = SourceId([1; 16]);

/// A batch of one second in which each of some containers used 10 ns of CPU time.
fn batch(source: u8, second: u64, containers: u32) -> (Vec<u8>, u32) {
    let source = SourceId([source; 16]);
    let segment = |n: u32| {
        let key = Key {
            container: ContainerId::new(&format!("c{n}")).unwrap(),
            resolution: Resolution::Second,
            start: second,
            source,
        };
        let mut builder = Builder::new(key, 1);
        builder.cover(0, Coverage::SECOND);
        let id = ProcessId {
            pid: 7 + n,
            start: 5,
            exec: 0,
        };
        // Names that do not compress, so that sizes are as on a real host.
        let name = format!("{:x}", second.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let mut process = Process::new(id, "p");
        process.args = name.repeat(3);
        let row = builder.process(process);
        builder.cpu(row, 0, 0, Cpu { ns: 10 });
        builder.build()
    };
    let segments: Vec<Segment> = (0..containers).map(segment).collect();
    let batch = Batch {
        source,
        agent: AgentReport::default(),
        segments,
    };
    (batch.encode(), containers)
}

fn append(spool: &mut Spool, (bytes, segments): (Vec<u8>, u32)) {
    let stored = spool.append(bytes, segments);
    assert!(matches!(stored, Stored::Disk));
}

/// Takes all batches, oldest first.
fn drain(spool: &mut Spool) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some(batch) = spool.peek(false).unwrap() {
        spool.complete(batch.id);
        all.push(batch.payload);
    }
    all
}

/// As a server stores batches: CPU time and number of covered seconds of each source. It counts each
/// second once.
fn stored(batches: &[Vec<u8>]) -> BTreeMap<SourceId, (u64, u64)> {
    let mut minutes: BTreeMap<(SourceId, ContainerId, u64), Segment> = BTreeMap::new();
    for bytes in batches {
        for mut segment in Batch::decode(bytes).unwrap().segments {
            if segment.key.resolution == Resolution::Second {
                segment = segment.coarsen().unwrap();
            }
            let container = segment.key.container.clone();
            let hour = Resolution::Minute.packed_start(segment.key.start);
            let key = (segment.key.source, container, hour);
            let merged = match minutes.get(&key) {
                Some(known) => Segment::merge([known, &segment]).unwrap(),
                None => segment,
            };
            minutes.insert(key, merged);
        }
    }
    let mut sums = BTreeMap::new();
    for ((source, ..), segment) in minutes {
        let sum: &mut (u64, u64) = sums.entry(source).or_default();
        sum.0 += segment.cpu.iter().map(|cell| cell.value.ns).sum::<u64>();
        sum.1 += segment
            .coverage
            .iter()
            .map(|c| u64::from(c.count()))
            .sum::<u64>();
    }
    sums
}

#[test]
fn batches_come_out_in_order_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    let batches: Vec<_> = (0..150).map(|n| batch(1, START + n, 2)).collect();
    for batch in &batches {
        append(&mut spool, batch.clone());
    }
    assert_eq!((spool.batches(), spool.segments()), (150, 300));
    let newest = spool.peek(true).unwrap().unwrap();
    assert_eq!(newest.payload, batches[149].0);
    let expected: Vec<_> = batches.into_iter().map(|(bytes, _)| bytes).collect();
    assert_eq!(drain(&mut spool), expected);
    spool.close();
    assert_eq!((spool.batches(), spool.bytes(), spool.dropped()), (0, 0, 0));
    let files = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 1, "only the lock is left");
}

#[test]
fn the_next_run_finds_the_batches_of_this_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    append(&mut spool, batch(1, START, 1));
    append(&mut spool, batch(1, START + 1, 1));
    let first = spool.peek(false).unwrap().unwrap().id;
    spool.complete(first);
    // Killed: the spool is not closed.
    drop(spool);
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    append(&mut spool, batch(2, START + 2, 1));
    let batches = drain(&mut spool);
    // A batch that was sent may be sent again; it counts once.
    assert_eq!(batches.last(), Some(&batch(2, START + 2, 1).0));
    assert!(batches.contains(&batch(1, START + 1, 1).0));
    let sums = stored(&batches);
    assert!(sums[&SourceId([1; 16])].0 <= 20);
    assert_eq!(sums[&SourceId([2; 16])], (10, 1));
}

#[test]
fn two_agents_cannot_share_a_folder() {
    let folder = tempfile::tempdir().unwrap();
    let _spool = Spool::open(folder.path(), PLENTY).unwrap();
    assert!(matches!(
        Spool::open(folder.path(), PLENTY),
        Err(SpoolError::InUse(_))
    ));
}

#[test]
fn a_full_spool_makes_the_oldest_coarser_and_loses_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<_> = (0..600).map(|n| batch(1, START + n, 4)).collect();
    let size: u64 = all.iter().map(|(bytes, _)| bytes.len() as u64).sum();
    let mut spool = Spool::open(folder.path(), size / 2).unwrap();
    for batch in all {
        append(&mut spool, batch);
        assert!(spool.bytes() <= size / 2);
    }
    assert_eq!(spool.dropped(), 0);
    // An answer to a batch that became coarser meanwhile removes nothing.
    let old = super::BatchId {
        sequence: 1,
        revision: 0,
    };
    let before = spool.batches();
    spool.complete(old);
    assert_eq!(spool.batches(), before);
    drop(spool);
    let mut spool = Spool::open(folder.path(), size / 2).unwrap();
    let batches = drain(&mut spool);
    let resolutions: Vec<_> = batches
        .iter()
        .map(|bytes| Batch::decode(bytes).unwrap().segments[0].key.resolution)
        .collect();
    assert_eq!(resolutions.first(), Some(&Resolution::Minute));
    assert_eq!(resolutions.last(), Some(&Resolution::Second));
    // Each of 4 containers: 10 ns in each of 600 seconds, which are 10 full minutes.
    assert_eq!(
        stored(&batches)[&SourceId([1; 16])],
        (4 * 600 * 10, 4 * 600)
    );
}

/// A batch with segments of version 1, as an agent before version 2 left it.
const VERSION_1: &[u8] = include_bytes!("../../../common/testdata/batch/v1/example.bin");

#[test]
fn batches_of_version_1_are_sent_and_made_coarser() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    let old = Batch::decode(VERSION_1).unwrap();
    assert_ne!(old.encode(), VERSION_1, "today's bytes are others");
    append(&mut spool, (VERSION_1.to_vec(), old.segments.len() as u32));
    drop(spool);
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    let waiting = spool.peek(false).unwrap().unwrap();
    assert_eq!(waiting.payload, VERSION_1, "unchanged");

    // This run's batches fill the file, and a full spool makes it coarser.
    for n in 0..130 {
        append(&mut spool, batch(1, START + n, 2));
    }
    spool.max = spool.bytes() - 1;
    append(&mut spool, batch(1, START + 130, 2));
    assert_eq!(spool.dropped(), 0);
    let is_old = |segment: &Segment| {
        let mut old = old.segments.iter();
        old.any(|old| old.key.container == segment.key.container)
    };
    let coarse = drain(&mut spool);
    let coarse = coarse.iter().flat_map(|bytes| {
        let batch = Batch::decode(bytes).unwrap();
        batch.segments.into_iter().filter(is_old)
    });
    let minutes: Vec<Segment> = coarse.collect();
    let cpu = |segments: &[Segment]| -> u64 {
        let cells = segments.iter().flat_map(|segment| &segment.cpu);
        cells.map(|cell| cell.value.ns).sum()
    };
    assert!(cpu(&minutes) > 0);
    assert_eq!(cpu(&minutes), cpu(&old.segments));
    assert!((minutes.iter()).all(|segment| segment.key.resolution == Resolution::Minute));
}

#[test]
fn a_spool_full_of_coarse_batches_drops_and_counts_the_oldest() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 6_000).unwrap();
    for n in 0..600 {
        append(&mut spool, batch(1, START + n, 8));
        assert!(spool.bytes() <= 6_000);
    }
    assert!(spool.dropped() > 0);
    let newest = spool.peek(true).unwrap().unwrap().payload;
    assert_eq!(newest, batch(1, START + 599, 8).0);
}

#[test]
fn a_rejected_batch_is_set_aside() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    for n in 0..50 {
        append(&mut spool, batch(1, START + n, 1));
        let batch = spool.peek(false).unwrap().unwrap();
        let container = ContainerId::new("c0").unwrap();
        spool.reject(batch.id, &batch.payload, [(Some(&container), 1)]);
        spool.complete(batch.id);
    }
    assert_eq!(spool.batches(), 0);
    let stored = fs::read_dir(folder.path().join("rejected"))
        .unwrap()
        .count();
    assert_eq!(stored, super::rejected::MAX_REJECTED);
}

#[test]
fn rejected_batches_count_into_the_bound_and_go_first() {
    let folder = tempfile::tempdir().unwrap();
    let size: u64 = (0..10).map(|n| batch(1, START + n, 1).0.len() as u64).sum();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    for n in 0..10 {
        append(&mut spool, batch(1, START + n, 1));
        let batch = spool.peek(false).unwrap().unwrap();
        spool.reject(batch.id, &batch.payload, []);
        spool.complete(batch.id);
    }
    spool.close();
    assert_eq!(spool.bytes(), size);
    drop(spool);
    // The next run knows them.
    let max = 2 * size;
    let mut spool = Spool::open(folder.path(), max).unwrap();
    assert_eq!(spool.bytes(), size);
    let rejected = || super::rejected::count(folder.path()).unwrap();
    assert_eq!(rejected(), 10);
    for n in 0..12 {
        append(&mut spool, batch(2, START + n, 1));
        assert!(spool.bytes() <= max);
    }
    assert!(rejected() < 10, "{}", rejected());
    assert_eq!((spool.dropped(), spool.batches()), (0, 12));
}

#[test]
fn two_refusals_of_one_batch_are_both_kept() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    append(&mut spool, batch(1, START, 1));
    let id = spool.peek(false).unwrap().unwrap().id;
    for n in 0..5 {
        spool.reject(id, &batch(1, START + n, 1).0, []);
    }
    assert_eq!(super::rejected::count(folder.path()).unwrap(), 5);
}

#[test]
fn seconds_that_cannot_be_made_coarser_are_lost_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    for n in 0..70 {
        append(&mut spool, batch(1, START + n, 2));
    }
    // Neither the coarser file nor its part can be written.
    fs::create_dir(folder.path().join("0000000000000001.part")).unwrap();
    // One batch of the first file is damaged, which alone loses its two segments.
    let path = folder.path().join("0000000000000001.second");
    let mut bytes = fs::read(&path).unwrap();
    bytes[30] ^= 1;
    fs::write(&path, bytes).unwrap();
    spool.max = spool.bytes() - 1;
    append(&mut spool, batch(1, START + 70, 2));
    // 60 batches of two containers were in it.
    assert_eq!(spool.dropped(), 120);
    let lost = spool.undelivered().take(SOURCE, START, |_| true);
    assert_eq!(lost, [((None, Reason::SPOOL_FULL), 120)]);
    assert_eq!(spool.batches(), 11);
}

#[test]
fn a_coarser_file_that_cannot_be_named_leaves_no_part() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    for n in 0..70 {
        append(&mut spool, batch(1, START + n, 2));
    }
    // A file cannot be renamed to a folder.
    fs::create_dir(folder.path().join("0000000000000001.minute")).unwrap();
    spool.max = spool.bytes() - 1;
    append(&mut spool, batch(1, START + 70, 2));
    assert_eq!(spool.dropped(), 120);
    assert!(!folder.path().join("0000000000000001.part").exists());
}

/// Changes a bit of the first batch of the first file.
fn damage_first_batch(folder: &Path) {
    let path = folder.join("0000000000000001.second");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 4;
    fs::write(&path, bytes).unwrap();
}

#[test]
fn damage_in_a_file_that_cannot_become_coarser_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    for n in 0..70 {
        append(&mut spool, batch(1, START + n, 2));
    }
    damage_first_batch(folder.path());
    // The coarser file can be written, and not named.
    fs::create_dir(folder.path().join("0000000000000001.minute")).unwrap();
    spool.max = spool.bytes() - 1;
    append(&mut spool, batch(1, START + 70, 2));
    let lost = spool.undelivered().take(SOURCE, START, |_| true);
    let expected = [(Reason::SPOOL_FULL, 118), (Reason::SPOOL_DAMAGED, 2)];
    let expected = expected.map(|(reason, seconds)| ((None, reason), seconds));
    assert_eq!(lost, expected);
    assert_eq!((spool.dropped(), spool.batches()), (120, 11));
}

#[test]
fn two_sources_of_one_batch_become_coarser() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    for n in 0..70 {
        let (bytes, segments) = batch(1, START + n, 2);
        let mut mixed = Batch::decode(&bytes).unwrap();
        let (other, _) = batch(2, START + n, 2);
        mixed
            .segments
            .extend(Batch::decode(&other).unwrap().segments);
        append(&mut spool, (mixed.encode(), 2 * segments));
    }
    spool.max = spool.bytes() - 1;
    append(&mut spool, batch(1, START + 70, 2));
    assert!(folder.path().join("0000000000000001.minute").exists());
    assert_eq!(spool.dropped(), 0);
    let all = stored(&drain(&mut spool));
    assert_eq!(all[&SOURCE], (71 * 20, 71 * 2));
    assert_eq!(all[&SourceId([2; 16])], (70 * 20, 70 * 2));
}

#[test]
fn a_dropped_minute_counts_its_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 6_000).unwrap();
    let mut stored_seconds = 0;
    for n in 0..600 {
        append(&mut spool, batch(1, START + n, 8));
    }
    let dropped = spool.dropped();
    let batches = drain(&mut spool);
    stored_seconds += stored(&batches)[&SourceId([1; 16])].1;
    assert_eq!(dropped + stored_seconds, 600 * 8);
}

#[test]
fn a_damaged_minute_counts_its_seconds() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    for n in 0..70 {
        append(&mut spool, batch(1, START + n, 2));
    }
    spool.max = spool.bytes() - 1;
    append(&mut spool, batch(1, START + 70, 2));
    // 60 batches of two containers were in the first file.
    let path = folder.path().join("0000000000000001.minute");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 4;
    fs::write(&path, bytes).unwrap();
    assert!(spool.peek(false).is_err());
    let lost = spool.undelivered().take(SOURCE, START, |_| true);
    assert_eq!(lost, [((None, Reason::SPOOL_DAMAGED), 120)]);
}

#[test]
fn what_the_server_has_stays_out_of_a_coarser_batch() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 4_000).unwrap();
    append(&mut spool, batch(1, START, 2));
    let names = Names::from(["c0".to_owned()]);
    for early in spool.group_of(&names, 60).unwrap() {
        spool.deliver(&early, &names, 1);
    }
    let mut second = 0;
    while spool.peek(false).unwrap().unwrap().id.revision == 0 {
        second += 1;
        append(&mut spool, batch(1, START + second, 2));
    }
    let coarse = spool.peek(false).unwrap().unwrap();
    let segments = Batch::decode(&coarse.payload).unwrap().segments;
    let first_seconds = segments.iter().map(|segment| segment.coverage[0].0 & 1);
    assert_eq!(first_seconds.collect::<Vec<_>>(), [0, 1]);
}

#[test]
fn an_original_that_was_made_coarser_is_not_sent_as_well() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    append(&mut spool, batch(1, START, 1));
    drop(spool);
    // The agent was killed after it had written the coarser file, which has the same number.
    let original = folder.path().join("0000000000000001.second");
    fs::copy(&original, original.with_extension("minute")).unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    assert!(!original.exists());
    assert_eq!(drain(&mut spool).len(), 1);
}

#[test]
fn a_loss_that_is_lost_itself_is_told_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 4_000).unwrap();
    let (bytes, count) = batch(1, START, 1);
    let mut first = Batch::decode(&bytes).unwrap();
    first.segments[0].losses.push(Cell {
        row: Row(Reason::REFUSED.0, 0),
        slot: 0,
        value: Loss { count: 5, bytes: 0 },
    });
    append(&mut spool, (first.encode(), count));
    let mut told = 0;
    // Other minutes, so that coarser batches are not smaller.
    for minute in 1..600 {
        append(&mut spool, batch(1, START + 60 * minute, 1));
        let undelivered = spool.undelivered().take(SOURCE, START, |_| true);
        let refused = undelivered
            .iter()
            .filter(|((_, reason), _)| *reason == Reason::REFUSED);
        told += refused.map(|(_, count)| count).sum::<u64>();
    }
    assert!(spool.dropped() > 0);
    assert_eq!(told, 5);
}

/// A batch of one second that tells that the server has refused `seconds` seconds.
fn telling(second: u64, seconds: u64) -> (Vec<u8>, u32) {
    reporting(Reason::REFUSED, second, seconds)
}

/// A batch of one second that reports a loss.
fn reporting(reason: Reason, second: u64, seconds: u64) -> (Vec<u8>, u32) {
    let (bytes, segments) = batch(1, second, 1);
    let mut batch = Batch::decode(&bytes).unwrap();
    batch.segments[0].losses.push(Cell {
        row: Row(reason.0, 0),
        slot: 0,
        value: Loss {
            count: seconds,
            bytes: 0,
        },
    });
    (batch.encode(), segments)
}

#[test]
fn a_loss_outlives_the_agent_until_a_spooled_second_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    let open = || Spool::open(folder.path(), PLENTY).unwrap();
    let c0 = ContainerId::new("c0").unwrap();
    let refused = [((Some(c0.clone()), Reason::REFUSED), 3)];
    let mut spool = open();
    append(&mut spool, batch(1, START, 1));
    let id = spool.peek(false).unwrap().unwrap().id;
    // The refused batch was to tell of two more.
    spool.reject(id, &telling(START, 2).0, [(Some(&c0), 1)]);
    spool.complete(id);
    for _ in 0..2 {
        drop(spool);
        spool = open();
        // A kill while the second that tells it is not spooled.
        assert_eq!(
            spool.undelivered().take(SOURCE, START + 1, |_| true),
            refused
        );
    }
    append(&mut spool, telling(START + 1, 3));
    drop(spool);
    let mut spool = open();
    assert_eq!(spool.undelivered().take(SOURCE, START, |_| true), []);
    assert_eq!(drain(&mut spool).pop(), Some(telling(START + 1, 3).0));
    spool.close();
    assert!(!folder.path().join("losses").exists());
}

#[test]
fn a_dropped_batch_is_noted_on_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 4_000).unwrap();
    for minute in 0..600 {
        append(&mut spool, batch(1, START + 60 * minute, 1));
    }
    let dropped = spool.dropped();
    drop(spool);
    let lost = Spool::open(folder.path(), 4_000)
        .unwrap()
        .undelivered()
        .take(SOURCE, START, |_| true);
    assert!(dropped > 0);
    assert_eq!(lost, [((None, Reason::SPOOL_FULL), dropped)]);
}

#[test]
fn a_loss_told_in_memory_waits_for_the_disk() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("s");
    let mut spool = Spool::open(&folder, PLENTY).unwrap();
    let c0 = ContainerId::new("c0").unwrap();
    spool.undelivered().add(Some(&c0), Reason::REFUSED, 3);
    assert_eq!(spool.undelivered().take(SOURCE, START, |_| true).len(), 1);
    fs::remove_dir_all(&folder).unwrap();
    let (bytes, segments) = telling(START, 3);
    assert!(matches!(spool.append(bytes, segments), Stored::Memory(_)));
    assert_eq!(spool.undelivered().all().len(), 1);
    fs::create_dir(&folder).unwrap();
    append(&mut spool, batch(1, START + 1, 1));
    assert_eq!(spool.undelivered().all().len(), 0);
    assert!(!spool.undelivered().is_changed());
}

#[test]
fn a_batch_that_cannot_be_read_tells_its_losses_again() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    let undelivered = spool.undelivered();
    let c0 = ContainerId::new("c0").unwrap();
    undelivered.add(Some(&c0), Reason::REFUSED, 3);
    undelivered.take(SOURCE, START, |_| true);
    append(&mut spool, telling(START, 3));
    assert_eq!(undelivered.all().len(), 0);
    let path = folder.path().join("0000000000000001.second");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 4;
    fs::write(&path, bytes).unwrap();
    assert!(spool.peek(false).is_err());
    let lost = undelivered.take(SOURCE, START, |_| true);
    assert_eq!(
        lost,
        [
            ((None, Reason::SPOOL_DAMAGED), 1),
            ((Some(c0), Reason::REFUSED), 3)
        ]
    );
}

#[test]
fn damage_beside_valid_batches_counts_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    for n in 0..5 {
        append(&mut spool, batch(1, START + n, 2));
    }
    drop(spool);
    let path = folder.path().join("0000000000000001.second");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 4;
    fs::write(&path, bytes).unwrap();
    for run in 0..3 {
        let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
        let lost = spool.undelivered().take(SOURCE, START, |_| true);
        assert_eq!(lost, [((None, Reason::SPOOL_DAMAGED), 2)], "{run}");
        assert_eq!(spool.dropped(), if run == 0 { 2 } else { 0 });
        assert_eq!(spool.batches(), 4);
        let first = spool.peek(false).unwrap().unwrap();
        assert_eq!(first.payload, batch(1, START + 1, 2).0);
    }
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    let expected: Vec<_> = (1..5).map(|n| batch(1, START + n, 2).0).collect();
    assert_eq!(drain(&mut spool), expected);
}

#[test]
fn damage_that_a_run_has_told_is_not_told_by_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    for n in 0..5 {
        append(&mut spool, batch(1, START + n, 2));
    }
    damage_first_batch(folder.path());
    // It is found while it is sent. The batches beside it still wait.
    assert!(spool.peek(false).is_err());
    assert_eq!((spool.dropped(), spool.batches()), (2, 4));
    drop(spool);
    for _ in 0..2 {
        let spool = Spool::open(folder.path(), PLENTY).unwrap();
        assert_eq!((spool.dropped(), spool.batches()), (0, 4));
        let lost = spool.undelivered().take(SOURCE, START, |_| true);
        assert_eq!(lost, [((None, Reason::SPOOL_DAMAGED), 2)]);
    }
    // More damage of the same file is another loss.
    damage_first_batch(folder.path());
    let spool = Spool::open(folder.path(), PLENTY).unwrap();
    assert_eq!((spool.dropped(), spool.batches()), (2, 3));
}

#[test]
fn damage_that_is_reported_stays_noted_when_the_spool_is_closed() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    for n in 0..5 {
        append(&mut spool, batch(1, START + n, 2));
    }
    damage_first_batch(folder.path());
    assert!(spool.peek(false).is_err());
    let lost = spool.undelivered().take(SOURCE, START, |_| true);
    assert_eq!(lost, [((None, Reason::SPOOL_DAMAGED), 2)]);
    append(&mut spool, reporting(Reason::SPOOL_DAMAGED, START, 2));
    spool.close();
    drop(spool);
    let spool = Spool::open(folder.path(), PLENTY).unwrap();
    assert_eq!((spool.dropped(), spool.batches()), (0, 5));
    assert_eq!(spool.undelivered().take(SOURCE, START, |_| true), []);
}

#[test]
fn damage_that_cannot_be_removed_is_told_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    for n in 0..5 {
        append(&mut spool, batch(1, START + n, 2));
    }
    drop(spool);
    damage_first_batch(folder.path());
    // The file cannot be written anew.
    fs::create_dir(folder.path().join("0000000000000001.part")).unwrap();
    for run in 0..3 {
        let spool = Spool::open(folder.path(), PLENTY).unwrap();
        let lost = spool.undelivered().take(SOURCE, START, |_| true);
        assert_eq!(lost, [((None, Reason::SPOOL_DAMAGED), 2)], "{run}");
        assert_eq!(spool.batches(), 4);
    }
}

#[test]
fn damage_that_cannot_be_noted_counts_in_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    for n in 0..3 {
        append(&mut spool, batch(1, START + n, 2));
    }
    drop(spool);
    let path = folder.path().join("0000000000000001.second");
    let mut bytes = fs::read(&path).unwrap();
    bytes[40] ^= 4;
    fs::write(&path, bytes).unwrap();
    // Losses cannot be noted.
    let part = folder.path().join("losses.part");
    fs::create_dir(&part).unwrap();
    let spool = Spool::open(folder.path(), PLENTY).unwrap();
    assert_eq!((spool.dropped(), spool.batches()), (2, 2));
    assert!(spool.undelivered().is_changed());
    drop(spool);
    fs::remove_dir(&part).unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    assert_eq!(spool.dropped(), 2, "the next run notes it");
    assert_eq!(drain(&mut spool).len(), 2);
}

#[test]
fn a_batch_in_memory_that_is_half_delivered_leaves_no_note() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("s");
    let mut spool = Spool::open(&folder, PLENTY).unwrap();
    let undelivered = spool.undelivered();
    let id = |name: &str| ContainerId::new(name).unwrap();
    undelivered.add(Some(&id("c0")), Reason::REFUSED, 3);
    undelivered.add(Some(&id("c1")), Reason::REFUSED, 4);
    undelivered.take(SOURCE, START, |_| true);
    fs::remove_dir_all(&folder).unwrap();
    let (bytes, segments) = batch(1, START, 2);
    let mut telling = Batch::decode(&bytes).unwrap();
    for (segment, count) in telling.segments.iter_mut().zip([3, 4]) {
        segment.losses.push(Cell {
            row: Row(Reason::REFUSED.0, 0),
            slot: 0,
            value: Loss { count, bytes: 0 },
        });
    }
    let stored = spool.append(telling.encode(), segments);
    assert!(matches!(stored, Stored::Memory(_)));
    let first = spool.peek(false).unwrap().unwrap();
    spool.deliver(&first, &Names::from(["c0".to_owned()]), 1);
    // Given up: only the loss that the server lacks is noted again.
    spool.max = 0;
    spool.append(Vec::new(), 0);
    assert!(!undelivered.has_taken());
    let lost = undelivered.take(SOURCE, START + 1, |_| true);
    assert_eq!(
        lost,
        [
            ((None, Reason::SPOOL_FULL), 1),
            ((Some(id("c1")), Reason::REFUSED), 4)
        ]
    );
}

#[test]
fn a_damaged_file_of_losses_is_a_loss() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("losses"), "x").unwrap();
    let spool = Spool::open(folder.path(), PLENTY).unwrap();
    let lost = spool.undelivered().take(SOURCE, START, |_| true);
    assert_eq!(lost, [((None, Reason::SPOOL_DAMAGED), 1)]);
    // A folder cannot be read as a file, even by root.
    drop(spool);
    fs::remove_file(folder.path().join("losses")).unwrap();
    fs::create_dir(folder.path().join("losses")).unwrap();
    assert!(Spool::open(folder.path(), PLENTY).is_err());
}

/// A bit that flips on the disk costs one batch, and is noticed: by the run that wrote it, and by the
/// next one.
#[test]
fn a_flipped_bit_costs_one_batch_and_is_told() {
    for restart in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
        for n in 0..5 {
            append(&mut spool, batch(1, START + n, 2));
        }
        let path = folder.path().join("0000000000000001.second");
        let mut bytes = fs::read(&path).unwrap();
        // In the payload of the first record.
        bytes[40] ^= 4;
        fs::write(&path, bytes).unwrap();
        if restart {
            drop(spool);
            spool = Spool::open(folder.path(), PLENTY).unwrap();
        } else {
            assert!(matches!(
                spool.peek(false),
                Err(SpoolError::Damaged { segments: 2, .. })
            ));
        }
        let lost = spool.undelivered().take(SOURCE, START, |_| true);
        assert_eq!(lost, [((None, Reason::SPOOL_DAMAGED), 2)], "{restart}");
        assert_eq!(spool.dropped(), 2);
        let expected: Vec<_> = (1..5).map(|n| batch(1, START + n, 2).0).collect();
        assert_eq!(drain(&mut spool), expected);
    }
}

#[test]
fn a_deferred_batch_is_not_the_next_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    append(&mut spool, batch(1, START, 1));
    append(&mut spool, batch(1, START + 1, 1));
    let first = spool.peek(false).unwrap().unwrap();
    spool.defer(first.id, Duration::from_secs(1_000));
    let second = spool.peek(false).unwrap().unwrap();
    assert_eq!(second.payload, batch(1, START + 1, 1).0);
    spool.defer(second.id, Duration::ZERO);
    assert_eq!(spool.peek(true).unwrap().unwrap(), second);
    spool.complete(second.id);
    assert_eq!(spool.peek(false).unwrap(), None);
    assert_eq!(spool.batches(), 1);
}

#[test]
fn foreign_and_damaged_files_are_ignored() {
    let folder = tempfile::tempdir().unwrap();
    for (name, bytes) in [
        ("readme", &b"x"[..]),
        ("zz.second", b"x"),
        ("ffffffffffffffff.second", b"x"),
        ("0000000000000001.second", b""),
        ("0000000000000002.minute", b"BCSPOOL1"),
        (
            "0000000000000003.minute",
            b"BCSPOOL1\xff\xff\xff\xff\0\0\0\0\0\0\0\0",
        ),
        ("0000000000000004.part", b"BCSPOOL1"),
    ] {
        fs::write(folder.path().join(name), bytes).unwrap();
    }
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    assert_eq!(spool.batches(), 0);
    append(&mut spool, batch(1, START, 1));
    assert_eq!(drain(&mut spool).len(), 1);
}

#[test]
fn what_waits_in_memory_at_the_end_is_spooled_or_told() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("s");
    for is_repaired in [true, false] {
        let mut spool = Spool::open(&folder, PLENTY).unwrap();
        fs::remove_dir_all(&folder).unwrap();
        for n in 0..20 {
            let (bytes, segments) = batch(1, START + n, 2);
            assert!(matches!(spool.append(bytes, segments), Stored::Memory(_)));
        }
        if is_repaired {
            fs::create_dir(&folder).unwrap();
        }
        spool.close();
        let lost = if is_repaired { 0 } else { 40 };
        let told: u64 = spool.undelivered().all().values().sum();
        assert_eq!((spool.dropped(), told), (lost, lost));
        drop(spool);
        let mut next = Spool::open(&folder, PLENTY).unwrap();
        let found = drain(&mut next).len();
        assert_eq!(found, if is_repaired { 20 } else { 0 });
    }
}

#[test]
fn batches_wait_in_memory_while_the_disk_fails() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&folder.path().join("s"), PLENTY).unwrap();
    // In a folder that was removed no file can be created, even by root.
    fs::remove_dir_all(folder.path().join("s")).unwrap();
    let (bytes, segments) = batch(1, START, 1);
    assert!(matches!(
        spool.append(bytes.clone(), segments),
        Stored::Memory(_)
    ));
    assert_eq!((spool.batches(), spool.bytes()), (1, bytes.len() as u64));
    for n in 0..20 {
        let huge = vec![n; 1 << 20];
        assert!(matches!(spool.append(huge, 1), Stored::Memory(_)));
    }
    assert!(spool.bytes() <= super::MAX_MEMORY);
    assert!(spool.dropped() >= 4);
    // The disk works again.
    fs::create_dir(folder.path().join("s")).unwrap();
    append(&mut spool, batch(1, START + 1, 1));
    append(&mut spool, batch(1, START + 2, 1));
    append(&mut spool, batch(1, START + 3, 1));
    assert_eq!(spool.in_memory, 0);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Killed at any moment: the last file may be cut anywhere. All records
    /// before the cut are sent by the next run.
    #[test]
    fn killed_while_writing(count in 1..40_u64, cut in any::<prop::sample::Index>()) {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
        let batches: Vec<_> = (0..count).map(|n| batch(1, START + n, 1)).collect();
        let mut ends = Vec::new();
        for batch in &batches {
            append(&mut spool, batch.clone());
            ends.push(spool.bytes());
        }
        drop(spool);
        let path = folder.path().join("0000000000000001.second");
        let size = fs::metadata(&path).unwrap().len();
        let cut = cut.index(size as usize + 1) as u64;
        fs::OpenOptions::new().write(true).open(&path).unwrap().set_len(cut).unwrap();
        let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
        let whole = ends.iter().filter(|end| **end <= cut).count();
        let expected: Vec<_> = batches[..whole].iter().map(|(bytes, _)| bytes.clone()).collect();
        prop_assert_eq!(drain(&mut spool), expected);
    }
}
