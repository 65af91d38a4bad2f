//! Counts what the containers of a host do.
fn main() {}
