//! Any bytes as a body of the legacy wire: its segments can be encoded and decoded.

#![no_main]

use bubble_common::legacy;
use bubble_common::segment::Segment;
use bubble_common::segment::codec::Effort;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Ok(event) = legacy::read(data) else {
        return;
    };
    for segment in event.segments {
        let bytes = segment.encode(Effort::Raw);
        assert_eq!(Segment::decode(&bytes).as_ref(), Ok(&segment));
    }
});
