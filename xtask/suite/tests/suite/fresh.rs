//! The delay from a write in a container to the page that shows it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bubble_suite::bench::{Bench, containers, find, now};
use bubble_suite::container::Spec;
use bubble_suite::{pulse, settings};

/// Number of writes.
const PULSES: usize = 20;

/// Each write appears in the live stream while the container still runs. The test prints the delay.
/// `BUBBLE_FRESH_MS` is an optional maximum of the median.
#[test]
fn a_write_appears_in_the_live_stream() {
    let api = Bench::shared()
        .lock()
        .expect("an unpoisoned lock")
        .server
        .api()
        .clone();
    // Not a whole second, so that the writes are at different points of the agent's second.
    let args = [
        "pulse",
        "--count",
        "20",
        "--interval-ms",
        "1037",
        "--linger-ms",
        "15000",
    ];
    let running = containers()
        .and_then(|containers| containers.start(&Spec::new(&args)))
        .expect("a started container");
    let id = find(&api, running.name(), None)
        .expect("a known container")
        .id;
    let mut seen: HashMap<String, f64> = HashMap::new();
    let deadline = Instant::now() + settings::timeout(Duration::from_secs(60));
    api.live(&id, deadline, |summary| {
        let now = now();
        for row in summary.files.rows {
            if row.path.contains("/pulse-") && row.bytes_out > 0 {
                seen.entry(row.path).or_insert(now);
            }
        }
        seen.len() < PULSES
    })
    .expect("a stream of the server");
    let truth = running.wait().expect("a successful workload").truth;
    assert_eq!(truth.pulses.len(), PULSES);
    let delay = |p: &bubble_workload::truth::Pulse| seen.get(&p.path).map(|at| at - pulse::time(p));
    let mut delays: Vec<f64> = truth.pulses.iter().filter_map(delay).collect();
    assert_eq!(
        delays.len(),
        PULSES,
        "not all writes were in the stream: {seen:?}"
    );
    delays.sort_by(f64::total_cmp);
    let (median, worst) = (delays[PULSES / 2], delays[PULSES - 1]);
    println!("freshness: median of {PULSES} {median:.2} s, worst {worst:.2} s");
    let limit = settings::number("BUBBLE_FRESH_MS", 0).expect("BUBBLE_FRESH_MS is a number");
    if limit > 0 {
        assert!(
            median * 1e3 <= limit as f64,
            "median {median} s, more than {limit} ms"
        );
    }
}
