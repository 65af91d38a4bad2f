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

/// The operations (of `bubble-workload loop`), each with how many of them make a round.
const CASES: &[(&str, u64)] = &[
    ("getpid", 100_000),
    ("pread", 100_000),
    ("open-close", 20_000),
    ("tcp-pingpong", 5_000),
    ("fork-exec-exit", 300),
];

/// The variant that the others are compared with.
const NONE: &str = "none";

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
    let programs = build::programs(Profile::Release)?;
    if flags.place != Some(Place::Host) {
        guest::run(&programs, report)?;
    }
    if flags.place != Some(Place::Qemu) {
        host::run(&programs, flags.rounds, report)?;
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
    measured: &[Measured],
    report: &mut Report<'_>,
) -> Result<()> {
    for (case, _) in CASES {
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
