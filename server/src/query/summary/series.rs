//! Names of the series in a stacked chart.

use bubble_common::segment::process::OTHER;

use crate::query::ledger::Ledger;
use crate::query::ledger::series::NameSeries;
use crate::query::process::key_of;

/// Names that get a series of their own.
pub(super) const MAX_SERIES: usize = 12;

/// What a series is of.
pub(super) struct Label {
    /// Key of the process, if there is one only.
    pub(super) process: Option<String>,
    pub(super) name: String,
    pub(super) count: u64,
}

impl Label {
    pub(super) fn new(ledger: &Ledger<'_>, series: &NameSeries) -> Self {
        let count = series.count(ledger);
        let first = series.rows.first().filter(|_| count == 1);
        let process = first.map(|row| key_of(&ledger.processes[*row as usize].process));
        Self {
            process: process.filter(|_| series.name.is_some()),
            name: series.name.clone().unwrap_or_else(|| OTHER.to_owned()),
            count,
        }
    }
}
