//! The chisels, run by a real sysdig over real captures, against a small server of the tests' own
//! or a real one. The captures are others', so they are not in this project: see
//! `bubble_common::testing`.

mod collector;
mod real_server;
mod server_away;
mod sysdig;
mod tls;
mod variant;
mod wire;
