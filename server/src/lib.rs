//! The server: takes the posts of agents, stores them, rolls them up, and answers queries.
//!
//! One folder per stage, in the order of the data: [`ingest`], [`store`], [`rollup`],
//! [`query`], [`http`]. Imports point down: [`command`], [`http`] → [`document`] → [`query`], [`ingest`],
//! [`rollup`], [`copy`], [`capture`] → [`store`] → [`span`]. `main.rs` is thin, so that tests can run all
//! of this in their own process.

#![forbid(unsafe_code)]

mod assets;
pub mod auth;
pub mod capture;
pub mod clock;
pub mod command;
pub mod config;
pub mod consul;
pub mod copy;
pub mod document;
pub mod http;
pub mod ingest;
pub mod memory;
pub mod metrics;
pub mod query;
pub mod rollup;
pub mod span;
pub mod store;

/// Decoding allocates and frees all the time, on many threads: with the C library's allocator
/// that took a quarter of its time (`cargo xtask bench ingest`).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;
