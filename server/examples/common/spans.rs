//! Containers of the generator at any resolution.

use bubble_common::segment::fold::Caps;
use bubble_common::segment::testing::Container;
use bubble_common::segment::{Resolution, Segment};
use bubble_server::store::row::Post;

use crate::fill::post;

/// All of `container` from `start` until `end`, one segment a packed span.
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

/// Minutes, or hours, are the very seconds, told as so many times as long.
fn stretched(mut segment: Segment, resolution: Resolution, start: u64) -> Segment {
    segment.key.start = start;
    if resolution == Resolution::Second {
        return segment;
    }
    segment.key.resolution = resolution;
    for coverage in &mut segment.coverage {
        coverage.0 = (1 << resolution.sub_slots()) - 1;
    }
    // Events say when, in ns: they stay within the span.
    segment.events.clear();
    segment.fold(&Caps::of(resolution))
}
