//! The server's tests, in one binary. Each starts its own server on a free port.

mod access;
mod bad_input;
mod clocks;
mod common;
mod config;
mod connections;
mod copy;
mod data;
mod deletion;
mod distributed;
mod faults;
mod folded;
mod kill;
mod lease;
mod legacy;
mod live;
mod memory;
mod openapi;
mod owner;
mod page;
mod program;
mod query;
mod recording;
mod rollup;
mod security;
mod store;
