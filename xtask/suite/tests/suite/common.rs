//! Runs a workload and compares the stored data, in one line a test.

use std::net::SocketAddr;

use bubble_suite::bench::{Bench, check, run, run_pair};
use bubble_suite::container::{Finished, Spec};

/// Runs a workload, compares the stored data, and returns the finished container.
pub(crate) fn exact(args: &[&str]) -> Finished {
    exact_spec(&Spec::new(args))
}

/// The same for a container with limits.
pub(crate) fn exact_spec(spec: &Spec) -> Finished {
    // The agent must run before the container starts.
    let _ = Bench::shared();
    let finished = run(spec).expect("a successful workload");
    if let Some(why) = &finished.truth.unsupported {
        panic!("this kernel refuses the workload {:?}: {why}", spec.args);
    }
    if let Err(error) = check(std::slice::from_ref(&finished)) {
        panic!("{error:#}");
    }
    finished
}

/// Runs a server and a client in two containers, and compares both.
pub(crate) fn exact_pair(
    [server, client]: [SocketAddr; 2],
    server_args: &[String],
    client_args: &[String],
) {
    let _ = Bench::shared();
    let spec = |args: &[String], address: SocketAddr| Spec {
        address: Some(address.ip()),
        ..Spec::new(args)
    };
    let both = run_pair(&spec(server_args, server), &spec(client_args, client))
        .expect("two successful workloads");
    if let Err(error) = check(&both) {
        panic!("{error:#}");
    }
}
