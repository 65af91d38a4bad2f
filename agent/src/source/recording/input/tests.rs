use std::io::{self, Cursor, Read, Write};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Input, PIECE};
use crate::source::recording::Error;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn content() -> Vec<u8> {
    (0..3 * PIECE as u32 / 4)
        .flat_map(|n| n.wrapping_mul(0x9e37_79b9).to_le_bytes())
        .collect()
}

/// All of an input, `keep` bytes of which are left unconsumed at each step; and how it ended.
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
fn gives_what_is_there_whatever_is_left_over() {
    let content = content();
    for stored in [content.clone(), gzip(&content)] {
        for keep in [0, 7, 100_000, 2 * PIECE] {
            let total = Some(stored.len() as u64);
            let mut input = Input::new(Cursor::new(stored.clone()), total).unwrap();
            let (read, end) = all(&mut input, keep);
            assert!(end.is_ok() && read == content, "{keep} left over");
            assert_eq!(input.progress(), (stored.len() as u64, total));
        }
    }
}

#[test]
fn goes_on_with_the_next_member_of_gzip() {
    let stored = [gzip(b"one "), gzip(b"two")].concat();
    let mut input = Input::new(Cursor::new(stored), None).unwrap();
    let (read, end) = all(&mut input, 0);
    assert!(end.is_ok());
    assert_eq!(read, b"one two");
}

#[test]
fn keeps_what_comes_before_a_cut() {
    let content = content();
    let mut stored = gzip(&content);
    stored.truncate(stored.len() / 2);
    let mut input = Input::new(Cursor::new(stored), None).unwrap();
    let (read, end) = all(&mut input, 0);
    assert!(matches!(end, Err(Error::Cut { at, .. }) if at == read.len() as u64));
    assert!(read.len() > content.len() / 3 && content.starts_with(&read));
}

#[test]
fn says_that_compressed_data_is_damaged() {
    let mut stored = gzip(&content());
    let middle = stored.len() / 2;
    stored[middle..middle + 64].fill(0xff);
    let mut input = Input::new(Cursor::new(stored), None).unwrap();
    assert!(matches!(all(&mut input, 0).1, Err(Error::Damaged { .. })));
}

#[test]
fn does_not_hold_a_live_stream_back() {
    /// Gives a few bytes, and what comes after them never.
    struct Live(Option<&'static [u8]>);

    impl Read for Live {
        fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
            match self.0.take() {
                Some(bytes) => {
                    room[..bytes.len()].copy_from_slice(bytes);
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
