//! Tests of the chisels: a real sysdig runs them over real captures, against a test server or a real
//! server. The captures are not part of this repository: see [`bubble_testing::captures`].

mod collector;
mod outage;
mod real_server;
mod rewritten;
mod sysdig;
mod tls;
mod variant;
mod wire;
