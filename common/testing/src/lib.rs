//! What the tests and benchmarks of several crates share.
//!
//! It is a crate of its own, and not a feature of `bubble-common`, so that the
//! tests use the same compiled `bubble-common` as the programs do.

pub mod arbitrary;
pub mod captures;
pub mod container;
