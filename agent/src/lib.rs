//! The agent: counts what the containers of a host do, and posts it.
//!
//! Data goes one way: a source calls a [`sink::Sink`]; the window is the sink
//! that makes segments of the calls; segments go to the spool on disk, and from
//! there to the server. [`run`] puts the parts together, [`collect`] is the loop.

pub mod analyse;
pub mod clock;
pub mod collect;
pub mod config;
pub mod container;
pub mod doctor;
pub mod kept;
pub mod live;
pub mod report;
pub mod run;
pub mod send;
pub mod sink;
mod slab;
pub mod source;
pub mod spool;
pub mod store;
pub mod window;
