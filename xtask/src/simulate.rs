//! `simulate`: the way from spool to store over a simulated disk, network and clocks, from seeds, on all
//! processors.

use std::num::NonZero;
use std::process::{Child, ExitCode};
use std::thread;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, ensure};

use crate::build::{self, Profile, workspace_cargo};
use crate::command::{run as run_command, say, shown};
use crate::flags;

/// The program that runs seeds.
const PROGRAM: &str = "bubble-simulation";

/// Seeds that failed once.
const FORMER_FAILURES: [u64; 3] = [10_251, 20_484, 700_171];
/// Number of other seeds that [`test`] runs.
const TEST_SEEDS: u64 = 60;

/// Runs the seeds that failed once, and some others. They are the same each time.
pub(crate) fn test() -> Result<()> {
    let flags = flags::Simulate::default();
    let failed = FORMER_FAILURES.map(|seed| simulate(seed, 1, &flags));
    simulate(0, TEST_SEEDS, &flags)?;
    failed.into_iter().collect()
}

pub(crate) fn run(flags: &flags::Simulate) -> Result<ExitCode> {
    let first = flags.seed.map_or_else(first_seed, Ok)?;
    let seeds = match flags.seed {
        Some(_) => flags.seeds.unwrap_or(1),
        None => flags.seeds.unwrap_or(1_000),
    };
    simulate(first, seeds, flags)?;
    Ok(ExitCode::SUCCESS)
}

/// A seed that was hardly run before.
fn first_seed() -> Result<u64> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    Ok(now.context("the clock is before 1970")?.as_secs() * 1_000)
}

/// Runs seeds from `first` on.
fn simulate(first: u64, seeds: u64, flags: &flags::Simulate) -> Result<()> {
    run_command(workspace_cargo("build").args(["--bin", PROGRAM]))?;
    let processors = thread::available_parallelism().map_or(1, NonZero::get) as u64;
    let processes = processors.min(seeds).max(1);
    let start = |process: u64| -> Result<Child> {
        let mut command = std::process::Command::new(build::folder(Profile::Dev).join(PROGRAM));
        command
            .arg(format!("--seed={}", first + process))
            .arg(format!("--seeds={}", seeds - process))
            .arg(format!("--every={processes}"));
        if let Some(seconds) = flags.seconds {
            command.arg(format!("--seconds={seconds}"));
        }
        if flags.verbose {
            command.arg("--verbose");
        }
        say(shown(&command));
        command
            .spawn()
            .with_context(|| format!("cannot start {PROGRAM}"))
    };
    let running = (0..processes).map(start).collect::<Result<Vec<_>>>()?;
    let mut failed = false;
    for mut child in running {
        let status = child
            .wait()
            .with_context(|| format!("cannot wait for {PROGRAM}"))?;
        failed |= !status.success();
    }
    ensure!(!failed, "seeds failed: see above");
    Ok(())
}
