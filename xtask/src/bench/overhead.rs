//! What an observer adds to one operation. Two ways to know it:
//! - in QEMU, where the clock counts instructions: the same to a few instructions from run to run.
//!   Each variant gets a boot of its own, since a program that was detached goes on costing for a
//!   while.
//! - on this host, in ns: the variants take turns, and the middle of all rounds counts, since the
//!   machine does other things too.

mod guest;
mod host;

use anyhow::Result;
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

/// Of one case and variant: what an operation takes, and what of it the variant adds.
struct Found {
    case: String,
    variant: String,
    value: f64,
    added: f64,
    /// Where there are rounds.
    spread: Option<Spread>,
}

/// How sure what a variant adds is.
struct Spread {
    /// Half of the rounds said that it adds something between these.
    quartiles: [f64; 2],
    /// What the best pass of all rounds took more than the best one without anyone: what else the
    /// machine does only ever adds.
    at_best: f64,
}

/// A row each, by case.
fn report_all(place: &str, unit: &str, found: &[Found], report: &mut Report<'_>) -> Result<()> {
    for (case, _) in CASES {
        for found in found.iter().filter(|found| found.case == *case) {
            let mut more = Map::new();
            more.insert("added".to_owned(), tenths(found.added));
            if let Some(spread) = &found.spread {
                let quartiles = spread.quartiles.map(tenths).to_vec();
                more.insert("quartiles".to_owned(), quartiles.into());
                more.insert("at_best".to_owned(), tenths(spread.at_best));
            }
            more.insert("where".to_owned(), place.into());
            report(Row {
                bench: "overhead".to_owned(),
                case: found.case.clone(),
                variant: found.variant.clone(),
                value: found.value,
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
