//! Memory: held for a while, and allocated until the kernel kills the process.

use std::time::Duration;

use bubble_suite::api::Span;
use bubble_suite::bench::{Bench, find, ledger, run};
use bubble_suite::container::Spec;
use bubble_suite::settings;

use crate::common::{exact, exact_spec};

#[test]
fn held() {
    exact(&["memory", "--mib", "64", "--seconds", "3"]);
}

/// Its memory is known each second, and not only from its highest value at the end.
#[test]
fn held_by_a_process_without_its_first_thread() {
    let finished = exact(&["identity", "dead-leader"]);
    let bench = Bench::shared().lock().expect("an unpoisoned lock");
    let api = bench.server.api();
    let container = find(api, &finished.name, None).expect("a known container");
    let truth = &finished.truth;
    // The seconds in which nothing but the held memory changes.
    let second = |ns: u64| ns as f64 / 1e9;
    let (from, to) = (
        second(truth.start_ns).ceil() + 1.0,
        second(truth.end_ns).floor() - 1.0,
    );
    assert!(from < to);
    let ledger = api
        .ledger(&container.id, Span { from, to })
        .expect("stored data");
    let child = &truth.processes[1];
    let rows = ledger.processes.iter();
    let row = rows.into_iter().find(|row| row.container_pid == child.pid);
    let rss = row.expect("it lives").rss_max.unwrap_or_default();
    assert!(rss >= 64 << 20, "{rss} of {:?}", child.max_rss_bytes);
}

/// Each of the processes that share a mapping has all of it, the container has it once, and so has
/// the stack of its processes.
#[test]
fn shared() {
    const MIB: u64 = 1 << 20;
    let _ = Bench::shared();
    // The first child must hold it until the last one has touched all of it.
    let seconds = settings::pause(Duration::from_secs(3))
        .as_secs()
        .to_string();
    let args = ["shared", "--mib", "40", "--processes", "10", "--seconds"];
    let finished = run(&Spec::new(&[&args[..], &[&seconds]].concat()));
    let ledger = ledger(&finished.expect("a successful workload")).expect("stored data");
    let memory = ledger.summary.memory;
    let container = memory.current.iter().flatten().max().expect("a reading");
    assert!((40 * MIB..80 * MIB).contains(container), "{container}");
    let shared = memory.shared.iter().flatten().max();
    let shared = shared.expect("a reading of a process");
    assert!((40 * MIB..80 * MIB).contains(shared), "{shared}");
    let processes = memory.at_one_time.iter().flatten().max();
    let processes = processes.expect("a reading of a process");
    assert!((40 * MIB..100 * MIB).contains(processes), "{processes}");
    // In a slow guest, the last one may still touch it. Before Linux 6.2, a count also lacks the last
    // 64 pages of each thread (`SPLIT_RSS_COUNTING`).
    let least = if settings::is_slow() { 36 } else { 40 };
    let workers = ledger.processes.iter().filter_map(|row| row.rss_max);
    let workers = workers.filter(|rss| *rss >= least * MIB).count();
    assert!(workers >= 10, "{workers} processes have the mapping");
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
        "the kernel did not kill the child"
    );
}
