//! Values by slot, with gaps: `null` means that nothing is known of the slot.

use bubble_common::segment::total::Metric;

use super::ledger::Ledger;
use super::range::Plan;

/// Numbers by slot; null where nothing is known. Fields of answers spell the type out: in the
/// API's description an alias would lose the nulls.
pub(super) type Series<T> = Vec<Option<T>>;

/// Known seconds of each slot: turns sums into values.
pub(super) struct Gaps<'a> {
    covered: &'a [u64],
    partial: &'a [u64],
    step: u64,
}

impl<'a> Gaps<'a> {
    pub(super) fn new(plan: &Plan, ledger: &'a Ledger<'_>) -> Self {
        Self {
            covered: &ledger.covered,
            partial: &ledger.partial,
            step: plan.step,
        }
    }

    /// The known part of each slot, 0 to 1.
    pub(super) fn covered(&self) -> Vec<f64> {
        self.shares(self.covered)
    }

    /// The part of each slot that was observed in part, 0 to 1.
    pub(super) fn partial(&self) -> Vec<f64> {
        self.shares(self.partial)
    }

    fn shares(&self, seconds: &[u64]) -> Vec<f64> {
        let part = |seconds: &u64| *seconds as f64 / self.step as f64;
        seconds
            .iter()
            .map(|seconds| (part(seconds) * 1_000.0).round() / 1_000.0)
            .collect()
    }

    /// The values unchanged, null in gaps.
    pub(super) fn sums(&self, values: impl Iterator<Item = u64>) -> Series<u64> {
        let known = self.covered.iter().map(|seconds| *seconds > 0);
        values
            .zip(known)
            .map(|(value, known)| known.then_some(value))
            .collect()
    }

    /// Time in ns as percent of the known seconds.
    pub(super) fn percent(&self, values: &[u64]) -> Series<f64> {
        percent_of_known(values, self.covered)
    }

    /// The same for a metric of the container; null also where it was not measured.
    pub(super) fn percent_of(&self, ledger: &Ledger<'_>, metric: Metric) -> Series<f64> {
        let Some(sums) = ledger.totals.get(&metric.0) else {
            return vec![None; self.covered.len()];
        };
        let slots = sums.series.iter().zip(self.covered);
        slots
            .map(|(ns, seconds)| percent((*ns)?, *seconds))
            .collect()
    }
}

/// Time in ns by slot as percent of the known seconds of the slot; null where there are none.
pub(super) fn percent_of_known(values: &[u64], known: &[u64]) -> Series<f64> {
    let slots = values.iter().zip(known);
    slots.map(|(ns, seconds)| percent(*ns, *seconds)).collect()
}

/// `ns` in percent of `seconds`, in steps of a hundredth; `None` in a gap.
fn percent(ns: u64, seconds: u64) -> Option<f64> {
    (seconds > 0).then(|| (ns as f64 / (seconds as f64 * 1e7) * 100.0).round() / 100.0)
}

/// A metric of the container; null where it was not measured.
pub(super) fn metric(ledger: &Ledger<'_>, metric: Metric) -> Series<u64> {
    match ledger.totals.get(&metric.0) {
        Some(sums) => sums.series.clone(),
        None => vec![None; ledger.covered.len()],
    }
}
