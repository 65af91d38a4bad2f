//! What an observer adds to one operation. Two ways to know it:
//! - in QEMU, where the clock counts instructions: the same to a few instructions from run to run.
//!   Each variant gets a boot of its own, since a program that was detached goes on costing for a
//!   while.
//! - on this host, in ns: the variants take turns, and the middle of what each round says counts, since
//!   the machine does other things too.

mod guest;
mod host;

use anyhow::{Context as _, Result};
use clap::{Parser, ValueEnum};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Report, row::Row};
use crate::build::{self, Profile};

/// An operation (of `bubble-workload loop`), and how many of them make a round.
type Case = (&'static str, u64);

/// All of them.
const CASES: &[Case] = &[
    ("getpid", 100_000),
    ("pread", 100_000),
    ("open-close", 20_000),
    ("tcp-pingpong", 5_000),
    ("fork-exec-exit", 300),
];

/// The variant that the others are compared with.
const NONE: &str = "none";

/// Attaches programs that do nothing to where hooks `syscall` are: what the kernel takes to call anyone there.
const EMPTY: &str = "empty_hooks";
/// Its name as a variant.
const EMPTY_VARIANT: &str = "empty-syscall";

/// What `bubble-workload loop` prints, as far as it is needed here.
#[derive(Deserialize)]
struct Loop {
    case: String,
    median_ns: f64,
    min_ns: f64,
}

/// What the agent adds to an operation
#[derive(Debug, Parser)]
struct Flags {
    /// Only there: in QEMU, in instructions, or on this host, in ns, which wants an idle machine
    #[arg(long = "where")]
    place: Option<Place>,
    /// Only this operation; may be given several times
    #[arg(long = "case", value_name = "CASE", value_parser = CASES.iter().map(|(case, _)| *case).collect::<Vec<_>>())]
    cases: Vec<String>,
    /// How often each variant has its turn on this host
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Place {
    Qemu,
    Host,
}

pub(super) fn run(report: &mut Report<'_>, arguments: &[String]) -> Result<()> {
    let flags: Flags = super::flags("overhead", arguments);
    let mut programs = build::programs(Profile::Release)?;
    programs.push(build::example("bubble-agent", EMPTY, Profile::Release)?);
    let wanted = |case: &&Case| flags.cases.is_empty() || flags.cases.iter().any(|c| c == case.0);
    let cases: Vec<Case> = CASES.iter().filter(wanted).copied().collect();
    if flags.place != Some(Place::Host) {
        guest::run(&programs, &cases, report)?;
    }
    if flags.place != Some(Place::Qemu) {
        host::run(&programs, &cases, flags.rounds, report)?;
    }
    Ok(())
}

/// What an operation of one case took with one variant.
struct Measured {
    case: String,
    variant: String,
    /// In each turn that the variant had.
    turns: Vec<f64>,
    /// The least that it took at all.
    best: f64,
}

/// A row each, by case. What is added is the middle of what each turn took more than the one of the
/// same round without anyone: a machine that is slower for a minute is so for both. Where there are
/// several turns the row says how sure that is: between which values half of the rounds were, and what
/// the best pass of all took more than the best one without anyone, as what else the machine does only
/// ever adds.
fn report_all(
    place: &str,
    unit: &str,
    cases: &[Case],
    measured: &[Measured],
    report: &mut Report<'_>,
) -> Result<()> {
    for (case, _) in cases {
        let of_case = || measured.iter().filter(|row| row.case == *case);
        let alone = of_case()
            .find(|row| row.variant == NONE)
            .with_context(|| format!("{case} was not measured alone"))?;
        for row in of_case() {
            let pairs = row.turns.iter().zip(&alone.turns);
            let mut added: Vec<f64> = pairs.map(|(turn, alone)| turn - alone).collect();
            added.sort_by(f64::total_cmp);
            let quarter = |n: usize| added.get(added.len() * n / 4).copied().context("no rounds");
            let mut more = Map::new();
            more.insert("added".to_owned(), tenths(quarter(2)?));
            if added.len() > 1 {
                let quartiles = [quarter(1)?, quarter(3)?].map(tenths).to_vec();
                more.insert("quartiles".to_owned(), quartiles.into());
                more.insert("at_best".to_owned(), tenths(row.best - alone.best));
            }
            more.insert("where".to_owned(), place.into());
            report(Row {
                bench: "overhead".to_owned(),
                case: row.case.clone(),
                variant: row.variant.clone(),
                value: median(row.turns.clone()).context("no rounds")?,
                unit: unit.to_owned(),
                more,
            })?;
        }
    }
    Ok(())
}

fn tenths(value: f64) -> Value {
    Value::from((value * 10.0).round() / 10.0)
}

fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn median_is_the_middle_one() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
