//! Tests the container runner itself: it must run the workload in its own cgroup, limit it, and report
//! its exit code.

use bubble_suite::bench::run;
use bubble_suite::compare::SUM_PERCENT;
use bubble_suite::container::Spec;

#[test]
fn the_cgroup_counts_the_cpu_time_of_its_processes() {
    let finished = run(&Spec::new(&["burn", "--seconds", "1"])).expect("a successful workload");
    let child = finished.truth.processes[1]
        .cpu_ns
        .expect("the child's CPU time");
    let cgroup = finished.cpu_ns.expect("the cgroup's count");
    // The first process and the runtime use a little CPU time too; an exec takes 0.1 s on an emulated
    // machine.
    let min = child as f64 * (1.0 - SUM_PERCENT / 100.0);
    assert!(
        (min..child as f64 * 1.5).contains(&(cgroup as f64)),
        "{cgroup} for {child}"
    );
}

#[test]
fn the_memory_limit_holds() {
    let spec = Spec {
        memory: Some(64 << 20),
        ..Spec::new(&["out-of-memory"])
    };
    let finished = run(&spec).expect("a successful workload");
    let child = &finished.truth.processes[1];
    assert_eq!((child.signal, finished.exit_code), (Some(9), 0));
    assert!(child.max_rss_bytes <= Some(70 << 20), "{child:?}");
}

#[test]
fn the_exit_code_is_reported() {
    let finished = run(&Spec::new(&["exit", "--after-ms", "10", "--code", "3"]))
        .expect("a successful workload");
    assert_eq!(finished.exit_code, 3);
}
