//! Captures of valid blocks with any content, to reach the code behind the checks of lengths. The
//! input is a list of blocks, each with one byte for its kind and two for its length.

#![no_main]

use std::io::Cursor;

use bubble_agent::source::recording::input::Input;
use bubble_agent::source::scap::{Capture, Options};
use bubble_fuzz::read;
use libfuzzer_sys::fuzz_target;

/// The kinds of blocks, those of events first.
const KINDS: [u32; 24] = [
    0x216,
    0x204,
    0x217,
    0x208,
    0x221,
    0x222,
    0x201,
    0x202,
    0x207,
    0x209,
    0x210,
    0x211,
    0x212,
    0x213,
    0x214,
    0x215,
    0x203,
    0x218,
    0x205,
    0x219,
    0x206,
    0x220,
    0x7777,
    0x0a0d_0d0a,
];
/// A section header: magic number, version 1.2, no length.
const SECTION: [u8; 16] = [
    0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 2, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
];

fn block(into: &mut Vec<u8>, kind: u32, body: &[u8]) {
    let length = (12 + body.len()) as u32;
    into.extend(kind.to_le_bytes());
    into.extend(length.to_le_bytes());
    into.extend(body);
    into.extend(length.to_le_bytes());
}

fuzz_target!(|data: &[u8]| {
    let mut capture = Vec::with_capacity(data.len() * 2 + 64);
    block(&mut capture, 0x0a0d_0d0a, &SECTION);
    let mut rest = data;
    while let Some(([kind, low, high], after)) = rest.split_first_chunk::<3>() {
        let length = usize::from(u16::from_le_bytes([*low, *high])).min(after.len());
        let (body, after) = after.split_at(length);
        rest = after;
        match KINDS[usize::from(*kind) % KINDS.len()] {
            0x0a0d_0d0a => block(&mut capture, 0x0a0d_0d0a, &SECTION),
            kind => block(&mut capture, kind, body),
        }
    }
    let input = Input::new(Cursor::new(capture), None).expect("a thread can be started");
    read(Capture::new(input, Options::default()));
});
