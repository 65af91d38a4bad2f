//! Memory: held, and asked for until the kernel kills.

use bubble_suite::container::Spec;

use crate::common::{exact, exact_spec};

#[test]
fn held() {
    exact(&["memory", "--mib", "64", "--seconds", "3"]);
}

#[test]
fn out_of_memory() {
    let spec = Spec {
        memory: Some(64 << 20),
        ..Spec::new(&["out-of-memory"])
    };
    let finished = exact_spec(&spec);
    assert_eq!(
        finished.truth.processes[1].signal,
        Some(9),
        "the kernel did not kill"
    );
}
