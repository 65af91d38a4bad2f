//! Processes: each with its arguments, CPU time and exit.

use bubble_suite::bench::{Bench, ledger, run};
use bubble_suite::container::Spec;

use crate::common::exact;

#[test]
fn five_hundred_processes_of_a_millisecond() {
    let finished = exact(&["processes", "--count", "500"]);
    assert_eq!(finished.truth.processes.len(), 501);
}

/// More processes than rows: the rows account for each of them once, and hold what existed.
#[test]
fn six_thousand_processes_are_six_thousand() {
    let _ = Bench::shared();
    let finished = run(&Spec::new(&["forks", "--count", "6000"])).expect("a successful workload");
    let truth = finished.truth.processes.len() as u64;
    let ledger = ledger(&finished).expect("stored data");
    let rows = &ledger.processes;
    // Docker's runtime starts the container from a process in its cgroup. The other runner starts it
    // from the workload's program, which the kernel may report before it executes the workload.
    let own = rows.iter().filter(|row| !row.name.starts_with("runc"));
    let count: u64 = own.map(|row| row.count).sum();
    let starters = u64::from(!finished.runtime_reports_exit);
    let lost = |reason: &str| -> u64 {
        let losses = ledger.summary.losses.iter();
        let losses = losses.filter(|loss| loss.reason == reason);
        losses.map(|loss| loss.count).sum()
    };
    // Each record that did not fit may be that of another process. Where records are read late, as in a
    // slow guest, a folded row says that it has at least so many.
    let is_late = lost("late") + lost("partial") > 0;
    let is_least = is_late && rows.iter().any(|row| row.count_at_least);
    let missing = truth.saturating_sub(count);
    assert!(
        count <= truth + starters && (missing <= lost("ring_full") || is_least),
        "{count} of {truth}, {:?}",
        ledger.summary.losses
    );
    let peak = ledger.summary.totals.get("memory_peak_bytes");
    let folded = rows.iter().filter(|row| row.key.starts_with("0-"));
    for row in folded {
        assert!(
            row.rss_max <= peak.copied(),
            "{row:?}, the cgroup had {peak:?}"
        );
    }
}

#[test]
fn a_process_that_renames_itself() {
    let finished = exact(&["renames"]);
    assert_eq!(finished.truth.processes.len(), 2);
}

/// Names of files, too.
#[test]
fn names_that_hold_any_byte() {
    let finished = exact(&["names"]);
    assert_eq!(finished.truth.processes.len(), 2);
}

#[test]
fn a_process_that_becomes_another_user() {
    exact(&["identity", "user"]);
}

#[test]
fn a_process_that_sets_its_title() {
    exact(&["identity", "title"]);
}

#[test]
fn the_program_is_the_file_that_runs() {
    for of in ["memfd", "proc-self", "deleted", "script", "thread"] {
        exact(&["identity", of]);
    }
}

#[test]
fn a_container_that_exits_with_3_after_300_ms() {
    let finished = exact(&["exit", "--after-ms", "300", "--code", "3"]);
    assert_eq!(finished.exit_code, 3);
}
