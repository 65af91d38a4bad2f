//! Agent and server killed with signal 9, again and again, at random, under load. What was
//! counted may be lost with an agent that has not yet spooled it; what was spooled may not, and
//! nothing may be stored twice.

use std::collections::HashSet;
use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use bubble_suite::bench::{Bench, containers, find, now};
use bubble_suite::container::{Finished, Running, Spec};
use bubble_suite::{pulse, settings, spool};
use bubble_workload::truth::Pulse;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

/// What an agent may hold that is in no spool yet: the second that it counts in, and the one that
/// it is just writing down. Longer where the machine is slow.
const UNSPOOLED: Duration = Duration::from_millis(2500);

/// From an agent's death to the life of the next, seconds since 1970.
#[derive(Debug)]
struct Death {
    from: f64,
    to: f64,
}

fn pause(random: &mut StdRng, most_ms: u64) {
    sleep(Duration::from_millis(random.random_range(0..most_ms)));
}

#[test]
fn what_was_spooled_is_stored_once() {
    let kills = settings::number("BUBBLE_KILLS", 20).expect("a number of kills");
    let since = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .expect("it is after 1970");
    let seed = settings::number("BUBBLE_SEED", u64::from(since.subsec_nanos())).expect("a seed");
    println!("the same again with BUBBLE_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let mut bench = Bench::new("kill").expect("the bench comes up");
    let runner = containers().expect("containers can be run");
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
            runner.start(&spec).expect("a container starts")
        })
        .collect();
    let mut deaths = Vec::new();
    let mut spooled = HashSet::new();
    for _ in 0..kills {
        pause(&mut random, 4000);
        let server_first = random.random_bool(0.5);
        if server_first {
            bench.server.kill().expect("the server was running");
            pause(&mut random, 3000);
        }
        bench.agent.kill().expect("the agent was running");
        let from = now();
        spooled.extend(spool::written(&bench.agent.spool()).expect("the spool can be read"));
        pause(&mut random, 1000);
        if !server_first {
            bench.server.kill().expect("the server was running");
        }
        if random.random_bool(0.5) {
            bench.agent.resume().expect("the agent starts again");
            pause(&mut random, 3000);
            bench.server.resume().expect("the server comes up again");
        } else {
            bench.server.resume().expect("the server comes up again");
            bench.agent.resume().expect("the agent starts again");
        }
        bench
            .agent
            .heard(&bench.server)
            .expect("the agent reports again");
        deaths.push(Death { from, to: now() });
    }
    sleep(Duration::from_secs(3));
    fs::write(here.join(until), "").expect("the workloads can be told to end");
    let all: Vec<Finished> = running
        .into_iter()
        .map(|running| running.wait().expect("the workload does its work"))
        .collect();
    fs::remove_file(here.join(until)).expect("the sign can be taken away");
    for finished in &all {
        examine(&bench, finished, &deaths, &spooled);
    }
}

fn examine(bench: &Bench, of: &Finished, deaths: &[Death], spooled: &HashSet<(String, String)>) {
    let api = bench.server.api();
    let id = find(api, &of.name, Some("ended"))
        .expect("the server knows it")
        .id;
    let deadline = Instant::now() + settings::patience(Duration::from_secs(20));
    let unspooled = settings::patience(UNSPOOLED).as_secs_f64();
    let excused = |pulse: &Pulse| {
        let at = pulse::time(pulse);
        let during = |death: &Death| (death.from - unspooled..death.to).contains(&at);
        deaths.iter().any(during) && !spooled.contains(&(id.clone(), pulse.path.clone()))
    };
    let (missing, lost) = loop {
        let missing = pulse::missing(api, &id, of).expect("nothing is stored twice");
        let lost: Vec<&Pulse> = missing.iter().filter(|pulse| !excused(pulse)).collect();
        let lost: Vec<Pulse> = lost.into_iter().cloned().collect();
        if lost.is_empty() || Instant::now() > deadline {
            break (missing, lost);
        }
        sleep(Duration::from_millis(500));
    };
    let (all, missing) = (of.truth.pulses.len(), missing.len());
    println!(
        "{} killed agents: of {all} writes {missing} fell to their unwritten seconds",
        deaths.len()
    );
    assert!(
        lost.is_empty(),
        "{} writes are lost that should be stored: {lost:?}; there was no agent {deaths:?}; the last said:\n{}",
        lost.len(),
        bench.agent.said()
    );
    assert!(missing < all, "nothing is stored at all");
}
