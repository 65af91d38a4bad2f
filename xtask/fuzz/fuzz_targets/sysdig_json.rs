//! Any bytes as what `sysdig -pc` prints, read as Json.

#![no_main]

use std::io::Cursor;

use bubble_agent::source::recording::input::Input;
use bubble_agent::source::sysdig::{Syntax, Sysdig};
use bubble_common::segment::ContainerId;
use bubble_fuzz::read;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let input = Input::new(Cursor::new(data.to_vec()), None).expect("a thread can be started");
    let host = ContainerId::new("host")
        .ok()
        .filter(|_| data.len().is_multiple_of(2));
    read(Sysdig::new(input, Syntax::Json, host));
});
