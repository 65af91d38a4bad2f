use std::collections::BTreeMap;
use std::fs;

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::builder::Builder;
use bubble_common::segment::process::{Cpu, Process, ProcessId};
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId};
use proptest::prelude::*;

use super::{Spool, SpoolError, Stored};

const PLENTY: u64 = 1 << 30;
const START: u64 = 1_200_000;

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

/// Takes all that waits, oldest first.
fn drain(spool: &mut Spool) -> Vec<Vec<u8>> {
    let mut all = Vec::new();
    while let Some((id, bytes)) = spool.peek(false).unwrap() {
        spool.done(id);
        all.push(bytes);
    }
    all
}

/// What a server makes of batches: CPU time and covered seconds of each source,
/// each second counted once.
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
fn what_is_appended_comes_out_in_order_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    let batches: Vec<_> = (0..150).map(|n| batch(1, START + n, 2)).collect();
    for batch in &batches {
        append(&mut spool, batch.clone());
    }
    assert_eq!((spool.batches(), spool.segments()), (150, 300));
    let (_, newest) = spool.peek(true).unwrap().unwrap();
    assert_eq!(newest, batches[149].0);
    let expected: Vec<_> = batches.into_iter().map(|(bytes, _)| bytes).collect();
    assert_eq!(drain(&mut spool), expected);
    spool.close();
    assert_eq!((spool.batches(), spool.bytes(), spool.dropped()), (0, 0, 0));
    let files = fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(files, 1, "only the lock is left");
}

#[test]
fn the_next_run_sends_what_this_one_spooled() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    append(&mut spool, batch(1, START, 1));
    append(&mut spool, batch(1, START + 1, 1));
    let first = spool.peek(false).unwrap().unwrap().0;
    spool.done(first);
    // Killed: nothing is closed.
    drop(spool);
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    append(&mut spool, batch(2, START + 2, 1));
    let batches = drain(&mut spool);
    // One that was sent may be sent again; it counts once.
    assert_eq!(batches.last(), Some(&batch(2, START + 2, 1).0));
    assert!(batches.contains(&batch(1, START + 1, 1).0));
    let sums = stored(&batches);
    assert!(sums[&SourceId([1; 16])].0 <= 20);
    assert_eq!(sums[&SourceId([2; 16])], (10, 1));
}

#[test]
fn two_agents_do_not_share_one() {
    let folder = tempfile::tempdir().unwrap();
    let _spool = Spool::open(folder.path(), PLENTY).unwrap();
    assert!(matches!(
        Spool::open(folder.path(), PLENTY),
        Err(SpoolError::InUse(_))
    ));
}

#[test]
fn when_full_the_oldest_becomes_coarser_and_nothing_is_lost() {
    let folder = tempfile::tempdir().unwrap();
    let all: Vec<_> = (0..600).map(|n| batch(1, START + n, 4)).collect();
    let size: u64 = all.iter().map(|(bytes, _)| bytes.len() as u64).sum();
    let mut spool = Spool::open(folder.path(), size / 2).unwrap();
    for batch in all {
        append(&mut spool, batch);
        assert!(spool.bytes() <= size / 2);
    }
    assert_eq!(spool.dropped(), 0);
    // An answer to a batch that has become coarser removes nothing.
    let old = super::BatchId(1, 0);
    let before = spool.batches();
    spool.done(old);
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

#[test]
fn when_all_is_coarse_the_oldest_is_dropped_and_counted() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), 6_000).unwrap();
    for n in 0..600 {
        append(&mut spool, batch(1, START + n, 8));
        assert!(spool.bytes() <= 6_000);
    }
    assert!(spool.dropped() > 0);
    let newest = spool.peek(true).unwrap().unwrap().1;
    assert_eq!(newest, batch(1, START + 599, 8).0);
}

#[test]
fn a_rejected_batch_is_put_aside() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(folder.path(), PLENTY).unwrap();
    for n in 0..50 {
        append(&mut spool, batch(1, START + n, 1));
        let (id, bytes) = spool.peek(false).unwrap().unwrap();
        spool.reject(id, &bytes);
    }
    assert_eq!(spool.batches(), 0);
    let kept = fs::read_dir(folder.path().join("rejected"))
        .unwrap()
        .count();
    assert_eq!(kept, super::REJECTED);
}

#[test]
fn foreign_and_half_made_files() {
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
fn a_disk_that_refuses() {
    let folder = tempfile::tempdir().unwrap();
    let mut spool = Spool::open(&folder.path().join("s"), PLENTY).unwrap();
    // A folder that is gone refuses every new file, for root as well.
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
    assert!(spool.bytes() <= super::MEMORY);
    assert!(spool.dropped() >= 4);
    // The disk takes again.
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
