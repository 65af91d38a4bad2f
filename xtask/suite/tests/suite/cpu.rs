//! CPU time of tasks that never yield.

use std::thread::sleep;
use std::time::{Duration, Instant};

use bubble_suite::api::Span;
use bubble_suite::bench::{Bench, now};
use bubble_suite::container::run_moved_as_docker;
use bubble_suite::settings;

use crate::common::exact;

/// The longest time between two looks of the kernel at a task that runs: a tick, if there are 100 in a
/// second.
const TICK_NS: u64 = 10_000_000;

#[test]
fn burn() {
    exact(&["burn", "--seconds", "2"]);
}

/// A core that does not switch tasks meanwhile must learn that its task is in another container.
#[test]
fn moved_while_its_threads_run_on_two_cores() {
    let api = {
        let bench = Bench::shared().lock().expect("no test panicked");
        bench.server.api().clone()
    };
    let begin = now() - 1.0;
    let ids: Vec<String> = (0..5)
        .map(|n| format!("{:011x}{n}{:052x}", std::process::id(), 0))
        .collect();
    let args = ["spin-here", "--threads", "2"].map(str::to_owned);
    // Longer than the second after which each core has learned it in any case.
    let stay = settings::pause(Duration::from_millis(1_130));
    let moved = run_moved_as_docker(&ids, &args, stay).expect("a process that is moved");
    let truth = moved.cpu_ns;
    let deadline = Instant::now() + settings::timeout(Duration::from_secs(20));
    let ended = |id: &String| {
        let container = api.container(&id[..12]).expect("an answer");
        container.is_some_and(|container| container.state == "ended")
    };
    while !ids.iter().all(ended) {
        assert!(Instant::now() < deadline, "they have not ended");
        sleep(Duration::from_millis(100));
    }
    sleep(settings::late_time());
    let span = Span {
        from: begin,
        to: now().ceil(),
    };
    let counted: Vec<u64> = ids
        .iter()
        .map(|id| {
            let summary = api.summary(&id[..12], span).expect("stored data");
            summary.accounting.process_cpu_ns
        })
        .collect();
    let moving = u64::try_from(moved.moving.as_nanos()).expect("a short time");
    println!(
        "ns by the kernel: {truth:?}; ns by processes: {counted:?}; ns of the moves: {moving}"
    );
    let total: u64 = truth.iter().sum();
    let all = total.abs_diff(counted.iter().sum());
    // A processor of a virtual machine may stand still in the midst of a move, or of the end, and the other
    // one go on.
    assert!(
        all < total / 1_000,
        "{all} ns are in no container, or in two"
    );
    if settings::is_slow() {
        return;
    }
    let differences = truth.iter().zip(&counted);
    let differences: u64 = differences
        .map(|(truth, counted)| truth.abs_diff(*counted))
        .sum();
    // Seen: 0; and 178 ms if other cores do not learn it. The kernel adds to a cgroup when it looks at a
    // task. If that happens in the midst of a move, the time since the last look is in the other cgroup.
    // One such look in all is allowed, and two threads while the process is between the hierarchies;
    // the difference is in both cgroups.
    let allowed = 2 * (TICK_NS + 2 * moving);
    assert!(differences < allowed, "{differences} ns, {allowed} allowed");
}
