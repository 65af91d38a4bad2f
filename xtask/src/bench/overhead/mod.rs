//! What an observer adds to one operation, measured in two ways:
//! - in QEMU, with a clock that counts instructions. Results of two runs differ by a few instructions.
//!   Each variant is booted anew, because a detached program still costs something for a while.
//! - on this host, in ns. The variants take turns and the median of the rounds counts, because the
//!   machine does other things too.

mod guest;
mod host;
mod measured;

use std::path::PathBuf;

use anyhow::Result;
use clap::{Parser, ValueEnum};

use self::measured::{Case, EMPTY_HOOKS};
use super::example::Report;
use crate::build::{self, Profile};

/// All operations, each with the number of them in a round.
const CASES: &[Case] = &[
    ("getpid", 100_000),
    ("pread", 100_000),
    ("open-close", 20_000),
    ("tcp-pingpong", 5_000),
    ("fork-exec-exit", 300),
];

/// Measure what the agent adds to an operation
#[derive(Debug, Parser)]
struct Flags {
    /// Measure only in QEMU (in instructions) or only on this host (in ns; needs an idle machine)
    #[arg(long = "where")]
    machine: Option<Machine>,
    /// Measure only this operation; may be given several times
    #[arg(long = "case", value_name = "CASE", value_parser = CASES.iter().map(|(case, _)| *case).collect::<Vec<_>>())]
    cases: Vec<String>,
    /// Measure another build of the agent in QEMU as well, in turn with this one
    #[arg(long, value_name = "PROGRAM")]
    against: Option<PathBuf>,
    /// Rounds of each variant on this host
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Machine {
    Qemu,
    Host,
}

pub(super) fn run(report: &mut Report<'_>, arguments: &[String]) -> Result<()> {
    let flags: Flags = super::example::flags("overhead", arguments);
    let mut programs = build::programs(Profile::Release)?;
    programs.push(build::example(EMPTY_HOOKS, Profile::Release)?);
    let wanted = |case: &&Case| flags.cases.is_empty() || flags.cases.iter().any(|c| c == case.0);
    let cases: Vec<Case> = CASES.iter().filter(wanted).copied().collect();
    if flags.machine != Some(Machine::Host) {
        guest::run(&programs, flags.against.as_deref(), &cases, report)?;
    }
    if flags.machine != Some(Machine::Qemu) {
        host::run(&programs, &cases, flags.rounds, report)?;
    }
    Ok(())
}
