//! The types of the JSON object that the workload prints about itself.
//!
//! They are a library, so that the tests decode the same types that the program encodes. The cases
//! themselves are in the program.

pub mod truth;
pub mod witnessed;
