//! The containers themselves, before anything is held against the agent: does the runner put the
//! workload into a cgroup of its own, limit it, and report how it ended?

use bubble_suite::bench::run;
use bubble_suite::compare::SUM_PERCENT;
use bubble_suite::container::Spec;

#[test]
fn the_cgroup_counts_what_the_kernel_told_the_parent() {
    let finished =
        run(&Spec::new(&["burn", "--seconds", "1"])).expect("the workload does its work");
    let child = finished.truth.processes[1]
        .cpu_ns
        .expect("the child's CPU is known");
    let cgroup = finished.cpu_ns.expect("the cgroup has a count");
    // The first process has used something as well, and so has what made it a container: little, but
    // an exec takes 0.1 s where the machine is emulated.
    let least = child as f64 * (1.0 - SUM_PERCENT / 100.0);
    assert!(
        (least..child as f64 * 1.5).contains(&(cgroup as f64)),
        "{cgroup} for {child}"
    );
}

#[test]
fn the_limit_holds() {
    let spec = Spec {
        memory: Some(64 << 20),
        ..Spec::new(&["out-of-memory"])
    };
    let finished = run(&spec).expect("the workload does its work");
    let child = &finished.truth.processes[1];
    assert_eq!((child.signal, finished.exit_code), (Some(9), 0));
    assert!(child.max_rss_bytes <= Some(70 << 20), "{child:?}");
}

#[test]
fn the_end_is_known() {
    let finished = run(&Spec::new(&["exit", "--after-ms", "10", "--code", "3"]))
        .expect("the workload does its work");
    assert_eq!(finished.exit_code, 3);
}
