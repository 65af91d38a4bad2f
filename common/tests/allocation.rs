//! However hostile the bytes, decoding takes no more memory than it says.
//!
//! One test in a binary of its own, as the allocator counts for the whole process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::codec::{DecodeError, Effort, memory_limit};
use bubble_common::segment::testing::{Container, Size};
use bubble_common::segment::{Segment, SourceId};

/// Counts what is allocated now, and the most that ever was since [`peak_of`] began.
struct Counting;

static NOW: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes on to the system's allocator with the same arguments.
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

/// Most memory that `work` held at one time, and its result.
fn peak_of<T>(work: impl FnOnce() -> T) -> (usize, T) {
    let before = NOW.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    let result = work();
    (PEAK.load(Ordering::Relaxed) - before, result)
}

/// A segment's frame around `body`, not packed.
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

/// A body with no facts, `processes` of them by columns that take no bytes, and what follows.
fn processes(processes: u64, rest: &[&[u8]]) -> Vec<u8> {
    let facts = [0; 5];
    // Ids ascend by one: not in any mode without bytes, so all but one is refused at the end.
    let columns = [0; 9 + 3 * 2];
    [&facts[..], &varint(processes), &columns, &rest.concat()].concat()
}

/// A packed frame whose body is `length` zeros.
fn bomb(magic: &[u8], length: usize) -> Vec<u8> {
    let mut bytes = magic.to_vec();
    bytes.push(1);
    bytes.extend(varint(length as u64));
    bytes.extend(zstd::bulk::compress(&vec![0; length], 19).expect("zstd packs"));
    bytes
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
    let head = framed(&[]);
    let (_, known) = peak_of(|| Segment::decode_head(&head));
    assert!(
        known.is_ok(),
        "the frame is cut in the wrong place: {known:?}"
    );
    let empty = [0_u8; 2];
    let table = |rows: u64, slots: &[u8]| {
        let body = [&varint(rows)[..], &[0], &[0], slots].concat();
        [varint(body.len() as u64), body].concat()
    };
    // One process, no files, connections, events, totals, losses; then CPU
    // cells of a million cores, each in all 60 slots, in columns of no bytes.
    let nothing = [0; 4 + 11 + 6];
    let tables = [
        [7, 0, 0, 0, 0, 0, 0, 0].as_slice(),
        &[8, 0, 0, 0, 0, 0, 0, 0, 0],
    ]
    .concat();
    let cells = table(1 << 20, &[0, 0, 1, 59, 0]);
    let hostile: Vec<(&str, Vec<u8>)> = vec![
        ("facts beyond number", framed(&varint(1 << 40))),
        (
            "facts without bytes",
            framed(&[&varint(1 << 20)[..], &[0; 8]].concat()),
        ),
        ("processes beyond number", framed(&processes(u64::MAX, &[]))),
        (
            "processes without bytes",
            framed(&processes(1 << 17, &[&empty])),
        ),
        (
            "cells without bytes",
            framed(&processes(1, &[&nothing, &tables, &cells])),
        ),
        (
            "a bomb",
            [&head[..head.len() - 1], &bomb(&[], 1 << 30)[..]].concat(),
        ),
        (
            "a bomb within the limit",
            [&head[..head.len() - 1], &bomb(&[], 15 << 20)[..]].concat(),
        ),
        (
            "a batch that is a bomb",
            bomb(&[0xbc, b'B', b'A', b'T', 1], 1 << 30),
        ),
        (
            "a bomb within the limit for a batch",
            bomb(&[0xbc, b'B', b'A', b'T', 1], 15 << 20),
        ),
    ];
    let cells = &hostile[4].1;
    let refused = DecodeError::TooLarge {
        limit: memory_limit(cells.len()),
    };
    assert_eq!(
        Segment::decode(cells),
        Err(refused),
        "the cells are crafted wrong"
    );
    for (name, bytes) in hostile {
        let (peak, result) = peak_of(|| match Segment::decode(&bytes) {
            Err(DecodeError::Unrecognised { .. }) => Batch::decode(&bytes).map(drop),
            result => result.map(drop),
        });
        assert!(result.is_err(), "{name} was accepted");
        assert!(peak <= memory_limit(bytes.len()), "{name}: {peak} bytes");
    }

    // Real ones stay far below, and damaged ones within.
    let (small, raw, posted) = (
        minute.encode(Effort::Small),
        minute.encode(Effort::Raw),
        batch.encode(),
    );
    let (peak, result) = peak_of(|| Segment::decode(&small));
    assert_eq!(result, Ok(minute));
    assert!(
        peak <= memory_limit(small.len()) / 10,
        "a busy minute: {peak} bytes"
    );
    let mut state = 1_u64;
    let mut random = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 33) as usize
    };
    for _ in 0..500 {
        for bytes in [&raw, &small, &posted] {
            let mut bytes = bytes.clone();
            for _ in 0..1 + random() % 4 {
                let place = random() % bytes.len();
                bytes[place] = random() as u8;
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
