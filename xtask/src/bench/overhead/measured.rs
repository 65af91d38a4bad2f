//! The measurements of a host or a guest, and the rows made from them.

use anyhow::{Context as _, Result};
use serde::Deserialize;
use serde_json::{Map, Value};

use crate::bench::example::Report;
use crate::bench::row::Row;

/// An operation of `bubble-workload loop`, and the number of operations per round.
pub(super) type Case = (&'static str, u64);

/// The variant without an observer, which the others are compared with.
pub(super) const UNOBSERVED: &str = "none";

/// The example that attaches empty programs where the hooks of family `syscall` are: it costs what
/// the kernel takes to call any program there.
pub(super) const EMPTY_HOOKS: &str = "empty_hooks";
/// Its name as a variant.
pub(super) const EMPTY_VARIANT: &str = "empty-syscall";

/// The part of the output of `bubble-workload loop` that is used here.
#[derive(Deserialize)]
pub(super) struct LoopResult {
    pub(super) case: String,
    pub(super) median_ns: f64,
    pub(super) min_ns: f64,
}

/// The cost of one operation with one variant.
pub(super) struct Measured {
    pub(super) case: String,
    pub(super) variant: String,
    /// Median of each round.
    pub(super) rounds: Vec<f64>,
    /// Minimum of all passes.
    pub(super) min: f64,
}

/// Reports a row per case and variant.
///
/// `added` is the median of the differences to the unobserved variant in the same round: a machine
/// that is slower for a minute is slower for both. With several rounds, `quartiles` shows the
/// spread, and `at_best` is the difference of the minima, because other work on the machine only
/// ever adds.
pub(super) fn report_all(
    location: &str,
    unit: &str,
    cases: &[Case],
    measured: &[Measured],
    report: &mut Report<'_>,
) -> Result<()> {
    for (case, _) in cases {
        let rows = || measured.iter().filter(|row| row.case == *case);
        let unobserved = rows()
            .find(|row| row.variant == UNOBSERVED)
            .with_context(|| format!("{case} was not measured without an observer"))?;
        for row in rows() {
            let pairs = row.rounds.iter().zip(&unobserved.rounds);
            let mut added: Vec<f64> = pairs
                .map(|(round, unobserved)| round - unobserved)
                .collect();
            added.sort_by(f64::total_cmp);
            let quarter = |n: usize| added.get(added.len() * n / 4).copied().context("no rounds");
            let mut extra = Map::new();
            extra.insert("added".to_owned(), tenths(quarter(2)?));
            if added.len() > 1 {
                let quartiles = [quarter(1)?, quarter(3)?].map(tenths).to_vec();
                extra.insert("quartiles".to_owned(), quartiles.into());
                extra.insert("at_best".to_owned(), tenths(row.min - unobserved.min));
            }
            extra.insert("where".to_owned(), location.into());
            report(Row {
                bench: "overhead".to_owned(),
                case: row.case.clone(),
                variant: row.variant.clone(),
                value: median(row.rounds.clone()).context("no rounds")?,
                unit: unit.to_owned(),
                extra,
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
    fn the_median_is_the_middle_value() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(Vec::new()), None);
    }
}
