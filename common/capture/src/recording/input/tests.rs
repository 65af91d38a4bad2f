use std::io::{self, Cursor, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Input, MAX_PIECE};
use crate::recording::Error;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn content() -> Vec<u8> {
    (0..3 * MAX_PIECE as u32 / 4)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect()
}

/// All bytes of an input, and how it ended; `keep` bytes are left unconsumed at each step.
fn all(input: &mut Input, keep: usize) -> (Vec<u8>, Result<(), Error>) {
    let mut all = Vec::new();
    let end = loop {
        match input.more() {
            Ok(true) => {}
            Ok(false) => break Ok(()),
            Err(error) => break Err(error),
        }
        let count = input.data().len().saturating_sub(keep);
        assert_eq!(input.offset(), all.len() as u64);
        all.extend_from_slice(&input.data()[..count]);
        input.consume(count);
    };
    all.extend_from_slice(input.data());
    (all, end)
}

#[test]
fn all_bytes_come_however_many_are_left_over() {
    let content = content();
    let zstd = zstd::encode_all(&content[..], 1).unwrap();
    for stored in [content.clone(), gzip(&content), zstd] {
        for keep in [0, 7, 100_000, 2 * MAX_PIECE] {
            let total = Some(stored.len() as u64);
            let mut input = Input::new(Cursor::new(stored.clone()), total).unwrap();
            let (read, end) = all(&mut input, keep);
            assert!(end.is_ok() && read == content, "{keep} left over");
            assert_eq!(input.progress(), (stored.len() as u64, total));
        }
    }
}

#[test]
fn a_second_gzip_member_is_read() {
    let stored = [gzip(b"one "), gzip(b"two")].concat();
    let mut input = Input::new(Cursor::new(stored), None).unwrap();
    let (read, end) = all(&mut input, 0);
    assert!(end.is_ok());
    assert_eq!(read, b"one two");
}

#[test]
fn bytes_before_a_cut_are_kept() {
    let content = content();
    let mut stored = gzip(&content);
    stored.truncate(stored.len() / 2);
    let mut input = Input::new(Cursor::new(stored), None).unwrap();
    let (read, end) = all(&mut input, 0);
    assert!(matches!(end, Err(Error::Truncated { at, .. }) if at == read.len() as u64));
    assert!(read.len() > content.len() / 3 && content.starts_with(&read));
}

#[test]
fn frames_of_zstd_are_read_up_to_a_cut() {
    let frame = |bytes: &[u8]| zstd::encode_all(bytes, 1).unwrap();
    let mut stored = [frame(b"one "), frame(b"two"), frame(&content())].concat();
    stored.truncate(stored.len() - 9);
    let mut input = Input::new(Cursor::new(stored), None).unwrap();
    let (read, end) = all(&mut input, 0);
    assert!(read.starts_with(b"one two"));
    assert!(matches!(end, Err(Error::Truncated { .. })), "{end:?}");
    let mut stored = frame(&content());
    let middle = stored.len() / 2;
    stored[middle..middle + 64].fill(0xff);
    let mut input = Input::new(Cursor::new(stored), None).unwrap();
    // Random content is stored as it is: only its checksum can show damage, and ours has none.
    let (read, end) = all(&mut input, 0);
    assert!(end.is_err() || read != content());
}

#[test]
fn damaged_gzip_is_an_error() {
    let mut stored = gzip(&content());
    let middle = stored.len() / 2;
    stored[middle..middle + 64].fill(0xff);
    let mut input = Input::new(Cursor::new(stored), None).unwrap();
    assert!(matches!(all(&mut input, 0).1, Err(Error::Damaged { .. })));
}

#[test]
fn a_live_stream_is_not_held_back() {
    /// Gives a few bytes, and then blocks for ever.
    struct Live(Option<&'static [u8]>);

    impl Read for Live {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.take() {
                Some(bytes) => {
                    buffer[..bytes.len()].copy_from_slice(bytes);
                    Ok(bytes.len())
                }
                None => loop {
                    std::thread::park();
                },
            }
        }
    }

    let mut input = Input::new(Live(Some(b"a line\n")), None).unwrap();
    assert!(input.more().unwrap());
    assert_eq!(input.data(), b"a line\n");
}
