//! The agent: counts what the containers of a host do, and posts it.
//!
//! Data goes one way. A source calls a [`sink::Sink`]. The [`window`] is the sink that makes segments
//! of the calls. The [`batcher`] spools them, and [`send`] posts them to the server. [`run`] connects
//! the parts; [`collect`] is the loop. [`launch`] does the same for one command.

pub mod analyse;
pub mod attention;
pub mod batcher;
pub mod cli;
pub mod clock;
pub mod collect;
pub mod config;
pub mod container;
pub mod doctor;
pub mod fd_budget;
pub mod host_lock;
pub mod journal;
pub mod launch;
pub mod live;
pub mod metrics;
mod printable;
pub mod proc;
pub mod report;
pub mod run;
pub mod send;
pub mod source;
pub mod spool;
mod step;
pub mod undelivered;

pub use bubble_capture::{sink, window};
