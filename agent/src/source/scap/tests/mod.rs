//! What single events do, in captures made for it; whole real ones are read by `tests/captures.rs`.

mod build;
mod descriptor;
mod form;
mod time;
