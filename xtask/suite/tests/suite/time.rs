//! The time budget: what processes wait for, and for how long, also while they still wait.

use bubble_suite::api::Process;
use bubble_suite::bench::{Bench, ledger, run, span};
use bubble_suite::container::Spec;
use bubble_workload::truth::WaitTruth;

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

#[test]
fn budget() {
    let api = Bench::shared()
        .lock()
        .expect("the bench")
        .server
        .api()
        .clone();
    let finished = run(&Spec::new(&["budget"])).expect("a successful workload");
    let ledger = ledger(&finished).expect("the stored data");
    assert_eq!(finished.truth.waits.len(), 9);
    let mut wrong = Vec::new();
    for truth in &finished.truth.waits {
        let seen = stored(&ledger.processes, truth);
        let (min, max) = (truth.min_ns as f64, truth.max_ns as f64);
        eprintln!(
            "{} {}: stored {seen}, measured {min} to {max}",
            truth.name, truth.kind
        );
        let slack = max * PERCENT / 100.0 + SLACK_NS;
        // Each waits for at least half a second.
        if min < 3e8 || seen < min - slack || seen > max + slack {
            wrong.push(format!("{truth:?}: stored {seen}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");

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
