//! The server: takes what agents post, stores it, rolls it up, and answers.
//!
//! A folder for each stage, in the order in which data passes: [`ingest`],
//! [`store`], [`rollup`], [`query`], [`http`]. The program in `main.rs` is thin, so
//! that tests run all of this within their own process.

#![forbid(unsafe_code)]

pub mod auth;
pub mod clock;
pub mod command;
pub mod config;
pub mod consul;
pub mod copy;
pub mod http;
pub mod ingest;
pub mod metrics;
pub mod query;
pub mod rollup;
pub mod store;

/// Decoding asks for memory and gives it back all the time, on many threads at once: with the C
/// library's allocator that was a quarter of its time (`cargo xtask bench ingest`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
