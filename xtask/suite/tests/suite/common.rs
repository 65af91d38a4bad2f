//! One line per workload: run it, compare it.

use std::net::SocketAddr;

use bubble_suite::bench::{Bench, check, run, run_pair};
use bubble_suite::container::{Finished, Spec};

/// Runs one workload and compares; gives what it was.
pub(crate) fn exact(args: &[&str]) -> Finished {
    exact_spec(&Spec::new(args))
}

/// The same with limits.
pub(crate) fn exact_spec(spec: &Spec) -> Finished {
    // The agent must be there before the container is.
    let _ = Bench::shared();
    let finished = run(spec).expect("the workload does its work");
    if let Some(why) = &finished.truth.unsupported {
        panic!("this kernel refuses the workload {:?}: {why}", spec.args);
    }
    if let Err(error) = check(std::slice::from_ref(&finished)) {
        panic!("{error:#}");
    }
    finished
}

/// Runs a server and a client of two containers and compares both.
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
        .expect("both workloads do their work");
    if let Err(error) = check(&both) {
        panic!("{error:#}");
    }
}
