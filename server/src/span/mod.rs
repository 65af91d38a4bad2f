//! The rules of packed spans, which every stage shares and no stage owns.
//!
//! How rows become one segment, what a segment adds to the index, how long a resolution
//! lives, which container an id means, and what a shared link shows. It does no I/O and imports only
//! `common` and the metrics, so that `store` and all above it can use it.

pub mod activity;
pub mod complete;
pub mod extent;
pub mod id;
pub mod retention;
pub mod row;
pub mod seal;
pub mod unite;
