//! A mixed load for minutes, while agent and server are killed again and again. The kernel goes on
//! counting, so every write is stored, once.

use std::thread::sleep;
use std::time::{Duration, Instant};

use bubble_suite::bench::Bench;
use bubble_suite::container::Finished;
use bubble_suite::settings;
use rand::RngExt;
use rand::rngs::StdRng;

use crate::writers::{Writers, check, random};

/// Length of a round, after which its writes are compared with the store.
const ROUND: Duration = Duration::from_secs(45);
/// What an agent logs that continues.
const ADOPTED: &str = "the kernel has gone on counting";

/// Kills so far.
#[derive(Debug, Default)]
struct Kills {
    agent: u64,
    server: u64,
}

#[test]
#[ignore = "takes minutes: cargo xtask soak"]
fn every_write_is_stored_once_whatever_is_killed() {
    let minutes = settings::number("BUBBLE_SOAK_MINUTES", 1).expect("a number of minutes");
    let mut random = random();
    let mut bench = Bench::pinned("soak").expect("a running bench");
    let end = Instant::now() + Duration::from_secs(60 * minutes);
    let mut kills = Kills::default();
    let (mut all, mut rounds): (Vec<Finished>, u64) = (Vec::new(), 0);
    while Instant::now() < end {
        rounds += 1;
        let writers = Writers::start(
            &format!("soak-{rounds}-is-over"),
            &["41", "170", "370", "1300"],
        );
        let round_ends = Instant::now() + ROUND;
        while Instant::now() < round_ends {
            sleep(Duration::from_millis(random.random_range(0..3_000)));
            kill_one(&mut bench, &mut random, &mut kills);
        }
        let finished = writers.stop();
        check(&bench, &finished);
        all.extend(finished);
        println!("{rounds} rounds, {kills:?}");
    }
    // What was stored first is packed by now.
    check(&bench, &all);
    let writes: usize = all.iter().map(|finished| finished.truth.pulses.len()).sum();
    println!("{rounds} rounds, {kills:?}: {writes} writes are stored, each once");
}

fn kill_one(bench: &mut Bench, random: &mut StdRng, kills: &mut Kills) {
    if random.random_bool(0.4) {
        bench.server.kill().expect("a running server");
        kills.server += 1;
        sleep(Duration::from_millis(random.random_range(0..4_000)));
        bench.server.resume().expect("a restarted server");
        return;
    }
    let adopted = bench.agent.log().expect("a log").matches(ADOPTED).count() + 1;
    bench.agent.kill().expect("a running agent");
    kills.agent += 1;
    sleep(Duration::from_millis(random.random_range(0..1_000)));
    bench.agent.resume().expect("a restarted agent");
    // Some are killed before they count.
    if random.random_bool(0.8) {
        let counting = bench.agent.wait_for_log(ADOPTED, adopted);
        counting.expect("an agent that goes on counting");
    }
}
