//! Any bytes as a capture, compressed or not.

#![no_main]

use std::io::Cursor;

use bubble_agent::source::recording::input::Input;
use bubble_agent::source::scap::{Capture, Options};
use bubble_fuzz::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let input = Input::new(Cursor::new(data.to_vec()), None).expect("a thread can be started");
    let host = data.len().is_multiple_of(2);
    read(Capture::new(
        input,
        Options {
            host,
            ..Options::default()
        },
    ));
});
