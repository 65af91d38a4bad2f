//! What all targets do with a recording: read it to its end, whatever that is, into the sink
//! that the agent has, and close what is open.

use std::io::Cursor;

use bubble_agent::source::recording::input::Input;
use bubble_agent::source::recording::{Recording, Step};
use bubble_agent::source::sysdig::{Syntax, Sysdig};
use bubble_agent::window::Window;
use bubble_common::segment::codec::Effort;
use bubble_common::segment::{ContainerId, Segment, SourceId};

/// Reads a recording. What it promises is checked: that it ends, that it stays ended, and that
/// its position goes only forwards.
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
        // What was made of it can be told, and is understood.
        let bytes = segment.encode(Effort::Fast);
        assert_eq!(Segment::decode(&bytes).as_ref(), Ok(&segment));
    }
}

/// Reads any bytes as what `sysdig -pc` prints; half of them with the host's own processes.
pub fn read_sysdig(data: &[u8], syntax: Syntax) {
    let input = Input::new(Cursor::new(data.to_vec()), None).expect("a thread can be started");
    let host = ContainerId::new("host")
        .ok()
        .filter(|_| data.len().is_multiple_of(2));
    read(Sysdig::new(input, syntax, host));
}
