//! An outage of the server: the agent spools what it counts, and no gap remains afterwards.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bubble_suite::bench::{Bench, containers, find, span};
use bubble_suite::container::Spec;
use bubble_suite::{pulse, settings};

/// Maximum length of a gap that an overloaded host explains.
const MAX_OVERLOADED_SECONDS: usize = 2;

#[test]
fn no_gap_remains_after_an_outage() {
    let away = settings::number("BUBBLE_AWAY_SECONDS", 120).expect("a number of seconds");
    let mut bench = Bench::new("away").expect("a running bench");
    let runner = containers().expect("a container runner");
    let (here, there) = runner.shared();
    let until = "away-is-over";
    let args = [
        "pulse",
        "--count",
        "1000000",
        "--interval-ms",
        "500",
        "--until",
    ];
    let mut spec = Spec::new(&args);
    spec.args.push(format!("{there}/{until}"));
    let running = runner.start(&spec).expect("a started container");
    sleep(Duration::from_secs(3));
    bench.server.kill().expect("a running server");
    sleep(Duration::from_secs(away));
    bench.server.resume().expect("a restarted server");
    sleep(Duration::from_secs(3));
    fs::write(here.join(until), "").expect("a writable shared folder");
    let finished = running.wait().expect("a successful workload");
    fs::remove_file(here.join(until)).expect("a removable file");

    let api = bench.server.api();
    let id = find(api, &finished.name, Some("ended"))
        .expect("a known container")
        .id;
    let deadline = Instant::now() + settings::timeout(Duration::from_secs(30));
    let missing = loop {
        let missing = pulse::missing(api, &id, &finished).expect("no pulse stored twice");
        if missing.is_empty() || Instant::now() > deadline {
            break missing;
        }
        sleep(Duration::from_millis(500));
    };
    let all = finished.truth.pulses.len();
    assert!(
        missing.is_empty(),
        "of {all} writes {} are missing: {missing:?}",
        missing.len()
    );
    assert!(all as u64 > away, "only {all} writes in more than {away} s");

    let span = span(&finished);
    let covered = api
        .summary(&id, span)
        .expect("an answer of the server")
        .covered;
    // The first and the last second of a container are covered partly.
    let slot = |ns: u64| (ns as f64 / 1e9 - span.from) as usize;
    let life = slot(finished.truth.start_ns) + 1..slot(finished.truth.end_ns);
    let gaps: Vec<usize> = life.filter(|slot| covered[*slot] < 1.0).collect();
    // On an overloaded host the agent reads a second with the next one, at any time. What an outage
    // leaves out is longer.
    let is_long = |gap: &[usize]| gap[MAX_OVERLOADED_SECONDS] - gap[0] == MAX_OVERLOADED_SECONDS;
    assert!(
        !gaps.windows(MAX_OVERLOADED_SECONDS + 1).any(is_long),
        "gaps at the seconds {gaps:?} of {covered:?}"
    );
}
