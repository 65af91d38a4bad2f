//! The way of a second from the agent's spool to the server's rows, over a simulated disk, network and
//! clock, from a seed, with faults at every step.
//!
//! Invariant of each run: what was counted is stored or told as lost, once (`truth`).
//!
//! | part | real | simulated |
//! |---|---|---|
//! | agent | spool, coarsening, merging, delivery, receipts | kernel: seconds of known size |
//! | disk of the agent | – | turmoil's file system, which forgets what is not synced |
//! | network | HTTP/1 by hyper | turmoil's TCP |
//! | server | ingest, SQLite, roll-up | – |
//! | clocks | – | turmoil's; the two hosts' times of day are set forward and back |
//!
//! One fault is left out, as the system does not bear it: a disk that fails to cut off what a failed write
//! left (`disk`). Bits that flip on the disk, a power failure of the server and several agents are tested
//! elsewhere.
//!
//! A run is single-threaded, except that the server works on threads of its own while the simulation
//! waits. So a seed gives the same run each time.

mod agent;
mod disk;
mod faults;
mod network;
mod server;
mod simulation;
mod truth;

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Result;
use clap::Parser;

use crate::faults::Counts;
use crate::server::Template;

/// Run seconds from spool to store over simulated disk, network and clocks, with faults from a seed.
#[derive(Debug, Parser)]
struct Arguments {
    /// First seed.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Number of seeds.
    #[arg(long, default_value_t = 1)]
    seeds: u64,
    /// Every how many seeds to run: as many processes share a range.
    #[arg(long, default_value_t = 1)]
    every: u64,
    /// Seconds after which no further seed begins.
    #[arg(long)]
    seconds: Option<u64>,
    /// Print each fault and each step.
    #[arg(long)]
    verbose: bool,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let template = Arc::new(Template::new()?);
    let (began, mut done, mut counts) = (Instant::now(), 0, Counts::default());
    let (mut simulated, mut failed) = (Duration::ZERO, 0);
    let limit = arguments.seconds.map(Duration::from_secs);
    for seed in (arguments.seed..arguments.seed + arguments.seeds).step_by(arguments.every as usize)
    {
        if limit.is_some_and(|limit| began.elapsed() >= limit) {
            break;
        }
        match simulation::run(seed, &template, arguments.verbose) {
            Ok(run) => {
                counts.add(&run.counts);
                simulated += run.elapsed;
            }
            Err(error) => {
                failed += 1;
                println!(
                    "FAILED: seed {seed}: {error:#}\nrepeat it with: cargo xtask simulate --seed {seed} --verbose"
                );
            }
        }
        done += 1;
    }
    println!(
        "{done} seeds, {failed} failed, {:.1} h of simulated time in {:.0} s; {counts}",
        simulated.as_secs_f64() / 3_600.0,
        began.elapsed().as_secs_f64(),
    );
    Ok(match failed {
        0 => ExitCode::SUCCESS,
        _ => ExitCode::FAILURE,
    })
}
