//! Row numbers, which the tables use to refer to each other.

use bubble_common::segment::Resolution;

/// A container's row number.
pub(super) type ContainerRow = i64;
/// A source's row number.
pub(super) type SourceRow = i64;
/// Identifies a span: container, resolution, start.
pub(super) type SpanKey = (ContainerRow, Resolution, u64);
