//! Any bytes as a batch or a segment: what is decoded can be encoded, folded and coarsened.

#![no_main]

use bubble_common::batch::Batch;
use bubble_common::segment::Segment;
use bubble_common::segment::codec::Effort;
use bubble_common::segment::fold::Caps;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Ok(batch) = Batch::decode(data) {
        assert_eq!(Batch::decode(&batch.encode()).as_ref(), Ok(&batch));
        batch.segments.iter().for_each(check);
    }
    if let Ok(segment) = Segment::decode(data) {
        check(&segment);
    }
});

/// Does what the server does with a posted segment.
fn check(segment: &Segment) {
    let bytes = segment.encode(Effort::Raw);
    assert_eq!(Segment::decode(&bytes).as_ref(), Ok(segment));
    let pieces = [segment.coarsen(), Segment::merge([segment, segment]).ok()];
    for piece in pieces.into_iter().flatten() {
        let folded = piece.fold(&Caps::COARSE);
        let bytes = folded.encode(Effort::Raw);
        assert_eq!(Segment::decode(&bytes).as_ref(), Ok(&folded));
    }
}
