//! Kills agent and server with signal 9 at random times under load. A killed agent may lose only what
//! it has not spooled yet. Nothing may be stored twice.

use std::collections::HashSet;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use bubble_suite::api::Span;
use bubble_suite::bench::{Bench, containers, find, now};
use bubble_suite::container::{Finished, Running, Spec};
use bubble_suite::{pulse, settings, spool};
use bubble_workload::truth::Pulse;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// Maximum time for which an agent holds data outside of its spool: the current second, and the one
/// that it is writing. A slow machine multiplies it.
const MAX_UNSPOOLED: Duration = Duration::from_millis(2500);

/// Maximum time from the noted time of a write to its end.
const MAX_WRITE_DELAY: Duration = Duration::from_millis(250);

/// From the death of an agent to the first report of the next one, seconds since the Unix epoch.
#[derive(Debug)]
struct Downtime {
    from: f64,
    to: f64,
    /// For how long the disk or the host held up the agent before, seconds.
    stalled: f64,
}

/// Measures how long the disk holds up whoever syncs, which the agent does each second.
struct Stalls {
    /// Beginning and length of each sync that was late, seconds.
    late: Arc<Mutex<Vec<(f64, f64)>>>,
    /// The beginning of the latest.
    begun: Arc<Mutex<f64>>,
}

impl Stalls {
    /// Time in which a stall before a kill matters, seconds.
    const MEMORY: f64 = 10.0;

    /// Syncs a file in `folder` until the test ends.
    fn watch(folder: &Path) -> Self {
        let mut file = File::create(folder.join("stalls")).expect("a file");
        let (late, begun) = (Arc::<Mutex<Vec<_>>>::default(), Arc::new(Mutex::new(now())));
        let (shared_late, shared_begun) = (Arc::clone(&late), Arc::clone(&begun));
        std::thread::spawn(move || {
            // The folder is removed at the end.
            while file.write_all(b"x").and_then(|()| file.sync_data()).is_ok() {
                let from = *shared_begun.lock().expect("no panic");
                let length = now() - from;
                shared_late.lock().expect("no panic").push((from, length));
                // Waking up late is a stall too.
                *shared_begun.lock().expect("no panic") = now();
                sleep(Duration::from_millis(50));
            }
        });
        Self { late, begun }
    }

    /// The longest one of late.
    fn longest(&self) -> f64 {
        let now = now();
        let current = now - *self.begun.lock().expect("no panic");
        let late = self.late.lock().expect("no panic");
        let late = late.iter().filter(|(from, _)| now - from < Self::MEMORY);
        late.map(|(_, length)| *length).fold(current, f64::max)
    }
}

fn sleep_randomly(random: &mut StdRng, max_ms: u64) {
    sleep(Duration::from_millis(random.random_range(0..max_ms)));
}

#[test]
fn spooled_data_is_stored_once() {
    let kills = settings::number("BUBBLE_KILLS", 20).expect("a number of kills");
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("a time after 1970");
    let seed = settings::number("BUBBLE_SEED", u64::from(since.subsec_nanos())).expect("a seed");
    println!("reproduce with BUBBLE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut bench = Bench::new("kill").expect("a running bench");
    let runner = containers().expect("a container runner");
    let (here, there) = runner.shared();
    let until = "kill-is-over";
    let running: Vec<Box<dyn Running>> = ["130", "370"]
        .iter()
        .map(|interval| {
            let args = [
                "pulse",
                "--count",
                "1000000",
                "--interval-ms",
                interval,
                "--until",
            ];
            let mut spec = Spec::new(&args);
            spec.args.push(format!("{there}/{until}"));
            runner.start(&spec).expect("a started container")
        })
        .collect();
    let stalls = Stalls::watch(bench.folder());
    let mut downtimes = Vec::new();
    let mut spooled = HashSet::new();
    for _ in 0..kills {
        sleep_randomly(&mut random, 4000);
        let server_first = random.random_bool(0.5);
        if server_first {
            bench.server.kill().expect("a running server");
            sleep_randomly(&mut random, 3000);
        }
        bench.agent.kill().expect("a running agent");
        let (from, stalled) = (now(), stalls.longest());
        spooled.extend(spool::written(&bench.agent.spool()).expect("a readable spool"));
        sleep_randomly(&mut random, 1000);
        if !server_first {
            bench.server.kill().expect("a running server");
        }
        if random.random_bool(0.5) {
            bench.agent.resume().expect("a restarted agent");
            sleep_randomly(&mut random, 3000);
            bench.server.resume().expect("a restarted server");
        } else {
            bench.server.resume().expect("a restarted server");
            bench.agent.resume().expect("a restarted agent");
        }
        bench
            .agent
            .wait_for_report(&bench.server)
            .expect("a report of the agent");
        downtimes.push(Downtime {
            from,
            to: now(),
            stalled,
        });
    }
    sleep(Duration::from_secs(3));
    fs::write(here.join(until), "").expect("a writable shared folder");
    let all: Vec<Finished> = running
        .into_iter()
        .map(|running| running.wait().expect("a successful workload"))
        .collect();
    fs::remove_file(here.join(until)).expect("a removable file");
    for finished in &all {
        check_pulses(&bench, finished, &downtimes, &spooled);
    }
}

fn check_pulses(
    bench: &Bench,
    finished: &Finished,
    downtimes: &[Downtime],
    spooled: &HashSet<(String, String)>,
) {
    let api = bench.server.api();
    let id = find(api, &finished.name, Some("ended"))
        .expect("a known container")
        .id;
    let deadline = Instant::now() + settings::timeout(Duration::from_secs(20));
    let unspooled = settings::pause(MAX_UNSPOOLED).as_secs_f64();
    let excused = |pulse: &Pulse| {
        let at = pulse::time(pulse);
        let during = |downtime: &Downtime| {
            (downtime.from - unspooled - downtime.stalled..downtime.to).contains(&at)
        };
        downtimes.iter().any(during) && !spooled.contains(&(id.clone(), pulse.path.clone()))
    };
    let (missing, lost) = loop {
        let missing = pulse::missing(api, &id, finished).expect("no pulse stored twice");
        let lost: Vec<&Pulse> = missing.iter().filter(|pulse| !excused(pulse)).collect();
        let lost: Vec<Pulse> = lost.into_iter().cloned().collect();
        if lost.is_empty() || Instant::now() > deadline {
            break (missing, lost);
        }
        sleep(Duration::from_millis(500));
    };
    let all = finished.truth.pulses.len();
    println!(
        "{} killed agents: {} of {all} writes were lost with unspooled seconds",
        downtimes.len(),
        missing.len()
    );
    assert!(
        lost.is_empty(),
        "{} writes are lost that should be stored: {lost:?}; downtimes of agents: {downtimes:?}; end of the last agent's log:\n{}",
        lost.len(),
        bench.agent.log_tail()
    );
    assert!(missing.len() < all, "nothing is stored");
    check_seconds(bench, &id, &missing);
}

/// A second that is stored as a whole lacks no write: one that was lost is in a gap, or in a second that
/// is marked as observed in part.
fn check_seconds(bench: &Bench, id: &str, missing: &[Pulse]) {
    let Some(first) = missing.first().map(|pulse| pulse::time(pulse).floor()) else {
        return;
    };
    let span = Span {
        from: first,
        to: now().ceil(),
    };
    let summary = bench.server.api().summary(id, span).expect("a summary");
    let is_whole = |second: usize| {
        let share = |shares: &[f64]| shares.get(second).copied().unwrap_or_default();
        share(&summary.covered) > 0.0 && share(&summary.partial) < share(&summary.covered)
    };
    let untold: Vec<&Pulse> = missing
        .iter()
        .filter(|pulse| {
            let after = pulse::time(pulse) - first;
            // A slow machine may write a little after the time that it noted.
            let seconds = after as usize..=(after + MAX_WRITE_DELAY.as_secs_f64()) as usize;
            seconds.into_iter().all(is_whole)
        })
        .collect();
    assert!(
        untold.is_empty(),
        "these writes are missing in seconds that look complete: {untold:?}; {summary:?}"
    );
}
