//! The server's tests, in one binary: each starts what it needs on a port of its own.

mod access;
mod bad_input;
mod common;
mod config;
mod copy;
mod distributed;
mod faults;
mod kill;
mod lease;
mod legacy;
mod live;
mod openapi;
mod page;
mod program;
mod query;
mod recording;
mod rollup;
mod store;
