//! The server away for a while: the agent keeps what it counts, and there is no gap afterwards.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use bubble_suite::bench::{Bench, containers, find, span};
use bubble_suite::container::Spec;
use bubble_suite::{pulse, settings};

#[test]
fn nothing_is_missing_afterwards() {
    let away = settings::number("BUBBLE_AWAY_SECONDS", 120).expect("a number of seconds");
    let mut bench = Bench::new("away").expect("the bench comes up");
    let runner = containers().expect("containers can be run");
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
    let running = runner.start(&spec).expect("a container starts");
    sleep(Duration::from_secs(3));
    bench.server.kill().expect("the server was running");
    sleep(Duration::from_secs(away));
    bench.server.resume().expect("the server comes up again");
    sleep(Duration::from_secs(3));
    fs::write(here.join(until), "").expect("the workload can be told to end");
    let finished = running.wait().expect("the workload does its work");
    fs::remove_file(here.join(until)).expect("the sign can be taken away");

    let api = bench.server.api();
    let id = find(api, &finished.name, Some("ended"))
        .expect("the server knows it")
        .id;
    let deadline = Instant::now() + settings::patience(Duration::from_secs(30));
    let missing = loop {
        let missing = pulse::missing(api, &id, &finished).expect("nothing is stored twice");
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
    assert!(all as u64 > away, "{all} writes in more than {away} s");

    let span = span(&finished);
    let covered = api.summary(&id, span).expect("the server answers").covered;
    // The first and the last second of a container are known in part.
    let slot = |ns: u64| (ns as f64 / 1e9 - span.from) as usize;
    let life = slot(finished.truth.start_ns) + 1..slot(finished.truth.end_ns);
    let gaps: Vec<usize> = life.filter(|slot| covered[*slot] < 1.0).collect();
    assert!(
        gaps.is_empty(),
        "gaps at the seconds {gaps:?} of {covered:?}"
    );
}
