//! What an observer adds to one operation. Two ways to know it:
//! - in QEMU, where the clock counts instructions: the same to a few instructions from run to run.
//!   Each variant gets a boot of its own, since a program that was detached goes on costing for a
//!   while.
//! - on this host, in ns: the variants take turns, and the middle of all rounds counts, since the
//!   machine does other things too.

mod guest;
mod host;

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::Value;

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
}

pub(super) fn run(report: &mut Report<'_>, _: &[String]) -> Result<()> {
    let programs = build::programs(Profile::Release)?;
    guest::run(&programs, report)?;
    host::run(&programs, report)
}

/// The medians of one place and unit, in the order in which they were measured.
struct Results {
    place: String,
    unit: &'static str,
    values: Vec<(String, String, f64)>,
}

impl Results {
    fn add(&mut self, case: &str, variant: &str, value: f64) {
        self.values
            .push((case.to_owned(), variant.to_owned(), value));
    }

    /// A row each, with what is added to the variant `none`.
    fn report(&self, report: &mut Report<'_>) -> Result<()> {
        for (case, _) in CASES {
            let of_case = || self.values.iter().filter(|(name, ..)| name == case);
            let base = of_case().find(|(_, variant, _)| variant == NONE);
            let (.., base) = base.with_context(|| format!("{case} was not measured alone"))?;
            for (_, variant, value) in of_case() {
                let added = (value - base) * 10.0;
                let more = [
                    ("added", Value::from(added.round() / 10.0)),
                    ("where", Value::from(self.place.as_str())),
                ];
                report(Row {
                    bench: "overhead".to_owned(),
                    case: (*case).to_owned(),
                    variant: variant.clone(),
                    value: *value,
                    unit: self.unit.to_owned(),
                    more: more
                        .map(|(name, value)| (name.to_owned(), value))
                        .into_iter()
                        .collect(),
                })?;
            }
        }
        Ok(())
    }
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
