//! Kills and stops an agent again and again while the kernel goes on counting: nothing is lost, and
//! nothing is stored twice.

use std::thread::sleep;
use std::time::Duration;

use bubble_suite::bench::Bench;
use bubble_suite::settings;
use rand::RngExt;

use crate::writers::{Writers, check, random};

/// Number of kills, unless `BUBBLE_PIN_KILLS` says another. Few, as CI has little time.
const KILLS: u64 = 6;

/// What an agent logs that continues.
const ADOPTED: &str = "the kernel has gone on counting";

#[test]
fn a_killed_agent_loses_nothing() {
    let kills = settings::number("BUBBLE_PIN_KILLS", KILLS).expect("a number of kills");
    let mut random = random();
    let mut bench = Bench::pinned("pins-kill").expect("a running bench");
    // Several seconds may pass before an agent drains, and are posted as one: a second names 200 files.
    let writers = Writers::start("pins-kill-is-over", &["150", "370"]);
    let adoptions = |bench: &Bench| bench.agent.log().expect("a log").matches(ADOPTED).count();
    for _ in 0..kills {
        sleep(Duration::from_millis(random.random_range(0..1200)));
        bench.agent.kill().expect("a running agent");
        sleep(Duration::from_millis(random.random_range(0..400)));
        let next = adoptions(&bench) + 1;
        bench.agent.resume().expect("a restarted agent");
        // Some are killed before they count.
        if random.random_bool(0.8) {
            let adopted = bench.agent.wait_for_log(ADOPTED, next);
            adopted.expect("an agent that goes on counting");
        }
    }
    let adoptions = adoptions(&bench);
    println!("{kills} kills; {adoptions} agents went on counting before the next one");
    let finished = writers.stop();
    check(&bench, &finished);
}

#[test]
fn a_stopped_agent_leaves_nothing_unless_it_is_told_to() {
    let mut bench = Bench::pinned("pins-stop").expect("a running bench");
    assert!(bench.agent.is_pinned(), "the agent has pinned nothing");
    bench.agent.stop().expect("an agent that ends well");
    assert!(!bench.agent.is_pinned(), "a stopped agent is still pinned");
    bench.agent.add_arg("--keep-counting");
    bench.agent.resume().expect("a restarted agent");
    bench
        .agent
        .wait_for_report(&bench.server)
        .expect("a report of the agent");
    let writers = Writers::start("pins-stop-is-over", &["50"]);
    sleep(Duration::from_millis(500));
    bench.agent.stop().expect("an agent that ends well");
    assert!(
        bench.agent.is_pinned(),
        "the kernel does not go on counting"
    );
    // The container ends while no agent runs.
    let finished = writers.stop();
    bench.agent.resume().expect("a restarted agent");
    check(&bench, &finished);
}

#[test]
fn another_version_starts_anew() {
    let mut bench = Bench::pinned("pins-version").expect("a running bench");
    bench.agent.kill().expect("a running agent");
    // The settings of the programs have another hash.
    bench.agent.add_env("BUBBLE_LOG", "debug");
    bench.agent.resume().expect("a restarted agent");
    bench
        .agent
        .wait_for_report(&bench.server)
        .expect("a report of the agent");
    let log = bench.agent.log().expect("a readable log");
    assert!(
        log.contains("are of another version or other settings"),
        "the agent does not say that it starts anew: {log}"
    );
    let writers = Writers::start("pins-version-is-over", &["50"]);
    sleep(Duration::from_millis(500));
    let finished = writers.stop();
    check(&bench, &finished);
}
