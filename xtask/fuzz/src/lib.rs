//! The common part of the targets: read a recording to its end, into the agent's window, and close
//! all seconds.

use std::io::Cursor;

use bubble_agent::source::recording::input::Input;
use bubble_agent::source::recording::{Recording, Step};
use bubble_agent::source::sysdig::{Syntax, Sysdig};
use bubble_agent::window::Window;
use bubble_common::segment::codec::Effort;
use bubble_common::segment::{ContainerId, Segment, SourceId};

/// Reads a recording, and checks its promises: it ends, it stays ended, and its position only
/// grows.
pub fn read(mut recording: impl Recording) {
    let mut window = Window::new(SourceId([1; 16]), 0);
    let mut before = recording.position();
    while let Ok(Step::More) = recording.step(&mut window) {
        window.take_closed();
        let now = recording.position();
        assert!(now.events >= before.events && now.bytes >= before.bytes);
        before = now;
    }
    assert!(matches!(recording.step(&mut window), Ok(Step::End)));
    window.close_all();
    for segment in window.take_closed() {
        // Each segment can be encoded and decoded.
        let bytes = segment.encode(Effort::Fast);
        assert_eq!(Segment::decode(&bytes).as_ref(), Ok(&segment));
    }
}

/// Reads any bytes as output of `sysdig -pc`; half of them with the host's own processes.
pub fn read_sysdig(data: &[u8], syntax: Syntax) {
    let input = Input::new(Cursor::new(data.to_vec()), None).expect("a thread can be started");
    let host = ContainerId::new("host")
        .ok()
        .filter(|_| data.len().is_multiple_of(2));
    read(Sysdig::new(input, syntax, host));
}
