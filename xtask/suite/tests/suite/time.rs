//! The time budget: what processes wait for, and for how long, also while they still wait.

use bubble_suite::api::{Ledger, Process};
use bubble_suite::bench::{Bench, ledger, run, span};
use bubble_suite::container::Spec;
use bubble_suite::settings;
use bubble_workload::truth::WaitTruth;

use crate::mounts::on_disk;

/// Maximum deviation of a wait, percent of what the process measured around its call.
const PERCENT: f64 = 3.0;
/// Deviation that does not count, ns: what the process does between its clock and its call. On an
/// emulated machine that is much.
const SLACK_NS: f64 = 30e6;

/// The sum of a kind of wait over the rows of a name.
fn stored(processes: &[Process], truth: &WaitTruth) -> f64 {
    let rows = processes.iter().filter(|row| row.name == truth.name);
    rows.filter_map(|row| row.waits.get(&truth.kind))
        .sum::<u64>() as f64
}

/// Time that the process waited for the file or the peer of `truth`. `None`: it is not said which.
fn stored_by_subject(ledger: &Ledger, truth: &WaitTruth) -> Option<f64> {
    let rows = ledger.processes.iter().filter(|row| row.name == truth.name);
    let keys: Vec<&str> = rows.map(|row| row.key.as_str()).collect();
    let ns: u64 = if let Some(path) = &truth.file {
        let files = ledger.files.iter();
        let files = files.filter(|row| keys.contains(&row.process.as_str()) && row.path == *path);
        files.map(|row| row.waited_ns).sum()
    } else {
        let peer = truth.peer.as_ref()?;
        let rows = ledger.connections.iter();
        let rows = rows.filter(|row| keys.contains(&row.process.as_str()) && row.peer == *peer);
        rows.map(|row| row.waited_ns).sum()
    };
    Some(ns as f64)
}

/// No process waited longer for its files than for disks, or for its connections than for the network.
fn waits_for_subjects_are_part_of_the_waits(ledger: &Ledger) {
    for process in &ledger.processes {
        let wait = |kind: &str| process.waits.get(kind).copied().unwrap_or(0);
        let files = ledger.files.iter();
        let files = files.filter(|row| row.process == process.key);
        let files: u64 = files.map(|row| row.waited_ns).sum();
        let connections = ledger.connections.iter();
        let connections = connections.filter(|row| row.process == process.key);
        let connections: u64 = connections.map(|row| row.waited_ns).sum();
        for (what, part, whole) in [
            ("files", files, wait("disk")),
            ("connections", connections, wait("network")),
        ] {
            // Whole seconds are stored for what is close to them, and tenths of a millisecond.
            let most = whole + whole / 500 + 1_000_000;
            let name = &process.name;
            assert!(part <= most, "{name}, {what}: {part} of {whole}");
        }
    }
}

#[test]
fn budget() {
    let api = Bench::shared()
        .lock()
        .expect("the bench")
        .server
        .api()
        .clone();
    let mut finished = None;
    on_disk("budget", |at| {
        let spec = Spec::new(&["budget", "--directory", at.as_str()]);
        finished = Some(run(&spec).expect("a successful workload"));
    });
    let finished = finished.expect("a run");
    let ledger = ledger(&finished).expect("the stored data");
    assert_eq!(finished.truth.waits.len(), 10);
    let mut wrong = Vec::new();
    for truth in &finished.truth.waits {
        let seen = stored(&ledger.processes, truth);
        let (min, max) = (truth.min_ns as f64, truth.max_ns as f64);
        eprintln!(
            "{} {}: stored {seen}, measured {min} to {max}",
            truth.name, truth.kind
        );
        let slack = max * PERCENT / 100.0 + SLACK_NS;
        // Interrupts that end a wait for a disk are in no CPU time, and in no wait. On an emulated processor they
        // take long, and a kernel that counts in ticks does not see them.
        let is_uncertain = truth.kind == "disk" && settings::is_slow();
        let least = if is_uncertain { min / 2.0 } else { min };
        let is_within = |seen: f64| seen >= least - slack && seen <= max + slack;
        // Each waits for at least half a second.
        if min < 3e8 || !is_within(seen) {
            let rows = ledger.processes.iter().filter(|row| row.name == truth.name);
            let all: Vec<_> = rows.map(|row| &row.waits).collect();
            wrong.push(format!("{truth:?}: stored {seen}, of all {all:?}"));
        }
        if let Some(of_subject) = stored_by_subject(&ledger, truth) {
            eprintln!("{} by file or peer: stored {of_subject}", truth.name);
            if !is_within(of_subject) {
                wrong.push(format!("{truth:?}: stored {of_subject} by file or peer"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}, {:?}", ledger.summary.losses);
    let subjects = finished.truth.waits.iter();
    let subjects = subjects.filter(|truth| truth.file.is_some() || truth.peer.is_some());
    assert_eq!(subjects.count(), 2, "a file and a peer");
    waits_for_subjects_are_part_of_the_waits(&ledger);

    // The one that waits longest is seen while it waits, second by second.
    let row = ledger.processes.iter().find(|row| row.name == "b-sleep");
    let row = row.expect("the process that sleeps");
    let of_it = api
        .summary_of(&ledger.summary.container.id, span(&finished), row.life())
        .expect("the answer about one process");
    let states = of_it["time"]["states"].as_array().expect("states");
    let sleep = states.iter().find(|state| state["state"] == "sleep");
    let values = sleep.expect("the sleep")["values"]
        .as_array()
        .expect("values");
    let whole = values.iter().filter_map(|value| value.as_f64());
    let whole: Vec<f64> = whole.filter(|percent| *percent > 0.0).collect();
    eprintln!("sleep by second: {whole:?}");
    // A second that the agent read late has a part of its neighbour, and says so.
    let mut losses = ledger.summary.losses.iter();
    let is_late = losses.any(|loss| ["late", "partial"].contains(&loss.reason.as_str()));
    // 4.2 s are at least three whole seconds, and none is longer than a second.
    let full = whole.iter().filter(|percent| **percent > 70.0).count();
    assert!(full >= if is_late { 2 } else { 3 }, "{whole:?}");
    let longest = if is_late { 250.0 } else { 150.0 };
    assert!(whole.iter().all(|percent| *percent < longest), "{whole:?}");
}
