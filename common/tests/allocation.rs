//! Decoding hostile bytes stays within the documented memory limit.
//!
//! It is a single test in its own binary, as the allocator counts for the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::codec::{DecodeError, Effort, memory_limit};
use bubble_common::segment::{Segment, SourceId};
use bubble_testing::container::{Container, Size};

/// Counts the allocated bytes, and their maximum since [`peak_of`] began.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call is forwarded to the system's allocator with the same arguments.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let now = NOW.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(now, Ordering::Relaxed);
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        NOW.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the pointer came from `alloc` above, with this layout.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The peak memory of `work`, and its result.
fn peak_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    (PEAK.load(Ordering::Relaxed) - before, result)
}

/// A segment's frame around `body`, not compressed.
fn framed(body: &[u8]) -> Vec<u8> {
    let mut head = Container::new(1, 1_790_000_000, Size::QUIET)
        .seconds(60)
        .encode(Effort::Raw);
    // Magic, version, id of 12 bytes after its length, resolution, start in 5,
    // source, number of slots, one run of coverage; then the flags.
    head.truncate(4 + 1 + 13 + 1 + 5 + 16 + 1 + 2 + 1);
    head.extend_from_slice(body);
    head
}

/// A varint.
fn varint(mut number: u64) -> Vec<u8> {
    let mut bytes = Vec::new();
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
    bytes
}

/// A body with no facts, `processes` processes in columns that take no bytes, and then `rest`.
fn processes(processes: u64, rest: &[&[u8]]) -> Vec<u8> {
    let facts = [0; 5];
    // All ids are equal, so the reader refuses more than one process, but only at the end.
    let columns = [0; 10 + 3 * 2];
    [
        &facts[..],
        &varint(processes),
        &[13],
        &columns,
        &rest.concat(),
    ]
    .concat()
}

/// A compressed body of `length` zeros after `magic`.
fn bomb(magic: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.push(1);
    bytes.extend(varint(length as u64));
    bytes.extend(zstd::bulk::compress(&vec![0; length], 19).expect("zstd compresses"));
    bytes
}

const BATCH_MAGIC: &[u8] = &[0xbc, b'B', b'A', b'T', 1];

/// A body with one process, no files, connections, events, totals or losses. Then CPU cells of a
/// million cores, each in all 60 slots, in columns of no bytes.
fn cells_without_bytes() -> Vec<u8> {
    let table = |rows: u64, slots: &[u8]| {
        let body = [&varint(rows)[..], &[0], &[0], slots].concat();
        [varint(body.len() as u64), body].concat()
    };
    let nothing = [0; 4 + 11 + 6];
    let no_tables = [0; 2];
    let cells = table(1 << 20, &[0, 0, 1, 59, 0]);
    framed(&processes(1, &[&nothing, &no_tables, &cells]))
}

/// Short bytes that would decode to much memory.
fn hostile() -> Vec<(&'static str, Vec<u8>)> {
    let head = framed(&[]);
    let result = Segment::decode_head(&head);
    assert!(
        result.is_ok(),
        "the test cuts the frame wrongly: {result:?}"
    );
    let segment_bomb = |length| [&head[..head.len() - 1], &bomb(&[], length)[..]].concat();
    vec![
        ("facts beyond number", framed(&varint(1 << 40))),
        (
            "facts without bytes",
            framed(&[&varint(1 << 20)[..], &[0; 8]].concat()),
        ),
        ("processes beyond number", framed(&processes(u64::MAX, &[]))),
        (
            "processes without bytes",
            framed(&processes(1 << 17, &[&[0; 2]])),
        ),
        (
            "processes without columns",
            framed(&[&[0; 5][..], &varint(1 << 17), &[0]].concat()),
        ),
        ("cells without bytes", cells_without_bytes()),
        ("a bomb", segment_bomb(1 << 30)),
        ("a bomb within the limit", segment_bomb(15 << 20)),
        ("a batch that is a bomb", bomb(BATCH_MAGIC, 1 << 30)),
        (
            "a bomb within the limit for a batch",
            bomb(BATCH_MAGIC, 15 << 20),
        ),
    ]
}

fn hostile_bytes_stay_within_the_limit() {
    let cells = cells_without_bytes();
    let limit = memory_limit(cells.len());
    assert_eq!(
        Segment::decode(&cells),
        Err(DecodeError::TooLarge { limit }),
        "the cells are crafted wrong"
    );
    for (name, bytes) in hostile() {
        let (peak, result) = peak_of(|| match Segment::decode(&bytes) {
            Err(DecodeError::Unrecognised { .. }) => Batch::decode(&bytes).map(drop),
            result => result.map(drop),
        });
        assert!(result.is_err(), "{name} was accepted");
        assert!(peak <= memory_limit(bytes.len()), "{name}: {peak} bytes");
    }
}

fn real_bytes_stay_far_below_the_limit(minute: &Segment) {
    let bytes = minute.encode(Effort::Small);
    let (peak, result) = peak_of(|| Segment::decode(&bytes));
    assert_eq!(result.as_ref(), Ok(minute));
    assert!(
        peak <= memory_limit(bytes.len()) / 10,
        "a busy minute: {peak} bytes"
    );
}

fn damaged_bytes_stay_within_the_limit(originals: [&[u8]; 3]) {
    let mut state = 1_u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize
    };
    for _ in 0..500 {
        for original in originals {
            let mut bytes = original.to_vec();
            for _ in 0..1 + random() % 4 {
                let offset = random() % bytes.len();
                bytes[offset] = random() as u8;
            }
            let (peak, _) = peak_of(|| {
                (
                    Segment::decode(&bytes).is_ok(),
                    Batch::decode(&bytes).is_ok(),
                )
            });
            assert!(peak <= memory_limit(bytes.len()), "damaged: {peak} bytes");
        }
    }
}

#[test]
fn decoding_stays_within_its_limit() {
    let mut container = Container::new(7, 1_790_000_000, Size::BUSY);
    let minute = container.seconds(60);
    let batch = Batch {
        source: SourceId([3; 16]),
        agent: AgentReport::default(),
        segments: (0..20).map(|_| container.seconds(1)).collect(),
    };
    hostile_bytes_stay_within_the_limit();
    real_bytes_stay_far_below_the_limit(&minute);
    damaged_bytes_stay_within_the_limit([
        &minute.encode(Effort::Raw),
        &minute.encode(Effort::Small),
        &batch.encode(),
    ]);
}
