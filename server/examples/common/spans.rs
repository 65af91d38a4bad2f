//! Containers of the generator at any resolution.

use bubble_common::segment::fold::Caps;
use bubble_common::segment::{Resolution, Segment};
use bubble_server::store::segments::Post;
use bubble_testing::container::Container;

use crate::fill::post;

/// `container` from `start` to `end`, one segment a packed span.
pub(crate) fn packed_spans(
    container: &mut Container,
    resolution: Resolution,
    start: u64,
    end: u64,
) -> Vec<Post> {
    let mut start = start.next_multiple_of(resolution.packed_seconds());
    let mut posts = Vec::new();
    while start + resolution.packed_seconds() <= end {
        let segment = container.seconds(resolution.packed_slots() as u32);
        posts.push(post(&stretched(segment, resolution, start)));
        start += resolution.packed_seconds();
    }
    posts
}

/// Makes minutes or hours of seconds by declaring each slot to be longer.
fn stretched(mut segment: Segment, resolution: Resolution, start: u64) -> Segment {
    segment.key.start = start;
    if resolution == Resolution::Second {
        return segment;
    }
    segment.key.resolution = resolution;
    for coverage in &mut segment.coverage {
        coverage.0 = (1 << resolution.sub_slots()) - 1;
    }
    // Events have absolute times, which would be outside the longer span's slots.
    segment.events.clear();
    segment.fold(&Caps::for_resolution(resolution))
}
