//! Segments of the generator, as posts that go straight into a store.

use bubble_common::segment::Segment;
use bubble_common::segment::codec::Effort;
use bubble_server::span::activity::{Sums, activity};
use bubble_server::span::unite::slot_bits;
use bubble_server::store::segments::Post;

/// A segment as an agent posts it.
pub(crate) fn post(segment: &Segment) -> Post {
    Post {
        recording: None,
        repeated: false,
        replaces: None,
        withdrawn: Sums::default(),
        key: segment.key.clone(),
        slots: slot_bits(segment),
        activity: activity(segment),
        bytes: segment.encode(Effort::Fast),
    }
}
