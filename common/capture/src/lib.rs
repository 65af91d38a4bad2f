//! Makes segments of what happened, on a host or in a recording.
//!
//! A source calls a [`sink::Sink`]; the [`window`] is the sink that makes segments of the calls. The
//! sources of this crate are recordings: [`scap`] reads captures, [`sysdig`] the output of sysdig. The
//! sources that count on a host are the agent's.

pub mod container;
pub mod foreign;
pub mod format;
pub mod name_cache;
pub mod open;
pub mod recording;
pub mod scap;
pub mod sink;
mod slab;
pub mod source_id;
pub mod sysdig;
pub mod tables;
pub mod time;
pub mod window;
