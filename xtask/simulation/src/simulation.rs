//! One run: hosts, faults from outside of them, and the check at the end.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Result, anyhow, ensure};
use turmoil::{Builder, Sim};

use crate::agent::Agent;
use crate::faults::{Counts, Fault, Faults};
use crate::network::listen;
use crate::server::{START, Server, Template};

const AGENT: &str = "agent";
const SERVER: &str = "server";
/// Simulated time that the hosts run without a look at the faults from outside.
const TICK: Duration = Duration::from_millis(100);
/// Simulated time without faults in which everything must be delivered.
const MAX_DELIVERY: Duration = Duration::from_secs(7_200);
/// Interval of roll-ups.
const ROLL_UP_INTERVAL: Duration = Duration::from_secs(25);
/// By how much a host's clock is ahead at most, in seconds.
const MAX_SKEW: i64 = 10_000;
/// Time after the end by which everything is rolled up to hours, in seconds.
const ROLL_UP_TIME: u64 = 26 * 3_600;

/// A run that held the invariant.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) counts: Counts,
    /// Simulated time.
    pub(crate) elapsed: Duration,
}

/// Faults that a host does not notice.
struct Outside {
    faults: Arc<Faults>,
    agent: Rc<Agent>,
    server: Rc<Server>,
    /// When the agent's host starts again after a power failure.
    boots_at: Option<Duration>,
    is_partitioned: bool,
    next_spell: Duration,
}

/// Runs a seed.
pub(crate) fn run(seed: u64, template: &Arc<Template>, verbose: bool) -> Result<Run> {
    let faults = Arc::new(Faults::new(seed, verbose));
    let mut sim = hosts(seed, &faults);
    let server = Rc::new(Server::new(Arc::clone(template), Arc::clone(&faults))?);
    let agent = Rc::new(Agent::new(Arc::clone(&faults)));
    server.start()?;
    // The server's clock is right when it starts for the first time.
    server.roll_up();
    let (own, own_faults) = (Rc::clone(&server), Arc::clone(&faults));
    sim.host(SERVER, move || {
        let (server, faults) = (Rc::clone(&own), Arc::clone(&own_faults));
        async move {
            tokio::select! {
                biased;
                ended = listen(Rc::clone(&server), Arc::clone(&faults)) => match ended? {},
                ended = keep(server, faults) => ended,
            }
        }
    });
    let own = Rc::clone(&agent);
    sim.host(AGENT, move || Rc::clone(&own).supervise());
    let mut outside = Outside {
        boots_at: None,
        is_partitioned: false,
        next_spell: Duration::ZERO,
        agent: Rc::clone(&agent),
        server: Rc::clone(&server),
        faults: Arc::clone(&faults),
    };
    let trouble = Duration::from_secs(faults.one_of(&[40, 100, 200]));
    let mut next = Duration::ZERO;
    while !agent.is_done.get() {
        sim.step()
            .map_err(|error| anyhow!("a host failed: {error}"))?;
        let elapsed = sim.elapsed();
        if elapsed < next {
            continue;
        }
        next = elapsed + Duration::from_secs(1);
        if elapsed < trouble {
            outside.strike(&mut sim, elapsed);
        } else if !agent.is_over.get() {
            outside.calm(&mut sim);
        }
        ensure!(
            elapsed < trouble + MAX_DELIVERY,
            "not everything is delivered {MAX_DELIVERY:?} after the last fault"
        );
    }
    let elapsed = sim.elapsed();
    // Posts that are late arrive after all others.
    while sim.elapsed() < elapsed + Duration::from_secs(90) {
        sim.step()
            .map_err(|error| anyhow!("a host failed: {error}"))?;
    }
    let end = START + elapsed.as_secs() + MAX_SKEW as u64 + ROLL_UP_TIME;
    server.check(&agent.truth.borrow(), end)?;
    Ok(Run {
        counts: faults.counts(),
        elapsed: sim.elapsed(),
    })
}

/// The world of a seed.
fn hosts<'a>(seed: u64, faults: &Faults) -> Sim<'a> {
    let mut builder = Builder::new();
    builder
        .rng_seed(seed)
        .tick_duration(TICK)
        .simulation_duration(Duration::from_secs(86_400))
        .min_message_latency(Duration::from_millis(1))
        .max_message_latency(Duration::from_millis(faults.one_of(&[20, 200, 4_000])));
    let disk = builder.fs();
    disk.sync_probability(faults.one_of(&[0.0, 0.0, 0.2, 0.7]));
    if faults.below(2) == 0 {
        disk.block_size(512);
    }
    builder.build()
}

/// Starts the server again after a kill, and rolls up.
async fn keep(server: Rc<Server>, faults: Arc<Faults>) -> turmoil::Result {
    let mut waited = Duration::ZERO;
    loop {
        tokio::time::sleep(Duration::from_secs(1)).await;
        waited += Duration::from_secs(1);
        if server.is_dead() {
            faults.say(|| "the server is killed".to_owned());
            server.bury();
            tokio::time::sleep(Duration::from_secs(faults.below(20))).await;
            server.start()?;
        }
        if waited >= ROLL_UP_INTERVAL {
            waited = Duration::ZERO;
            server.roll_up();
        }
    }
}

impl Outside {
    /// Once a second while there are faults.
    fn strike(&mut self, sim: &mut Sim<'_>, elapsed: Duration) {
        if elapsed >= self.next_spell {
            self.faults.change_spells();
            self.next_spell = elapsed + Duration::from_secs(5 + self.faults.below(25));
        }
        match self.boots_at {
            Some(at) if elapsed >= at => self.boot(sim),
            None if self.faults.happens(Fault::PowerFailure, 0.1) => {
                sim.crash(AGENT);
                self.boots_at = Some(elapsed + Duration::from_secs(self.faults.below(10)));
            }
            _ => {}
        }
        let cuts = !self.is_partitioned && self.faults.happens(Fault::Partition, 0.5);
        if cuts {
            sim.partition(AGENT, SERVER);
            self.is_partitioned = true;
        } else if self.is_partitioned && self.faults.below(10) == 0 {
            self.join(sim);
        }
        if self.faults.happens(Fault::AgentClock, 0.2) {
            let skews = [-7_200, -60, -3, 0, 5, 600, MAX_SKEW];
            self.agent.skew.set(self.faults.one_of(&skews));
        }
        if self.faults.happens(Fault::ServerClock, 0.2) {
            let skews = [-90_000, -3_600, -10, 0, 30, 7_200, 200 * 86_400];
            let skew = self.faults.one_of(&skews);
            self.server.skew.store(skew, Ordering::SeqCst);
        }
    }

    /// Ends all faults.
    fn calm(&mut self, sim: &mut Sim<'_>) {
        self.faults.end();
        if self.boots_at.is_some() {
            self.boot(sim);
        }
        self.join(sim);
        // No second is in its future any more.
        self.server.skew.store(MAX_SKEW, Ordering::SeqCst);
        self.agent.is_over.set(true);
    }

    fn boot(&mut self, sim: &mut Sim<'_>) {
        sim.bounce(AGENT);
        self.boots_at = None;
    }

    fn join(&mut self, sim: &mut Sim<'_>) {
        sim.repair(AGENT, SERVER);
        self.is_partitioned = false;
    }
}
