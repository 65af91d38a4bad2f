//! Tests of single events, in captures made for them; `tests/captures.rs` reads whole real ones.

mod accuracy;
mod build;
mod descriptor;
mod form;
mod time;
