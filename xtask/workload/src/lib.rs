//! What the workload says about itself: the types of the one JSON object it prints.
//!
//! They are a library so that the tests that compare read the very types that were printed; the
//! cases themselves belong to the program alone.

pub mod truth;
