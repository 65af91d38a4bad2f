//! What the rows of a table did over time.

use std::collections::HashSet;
use std::hash::Hash;

use serde::{Deserialize, Serialize};

use super::arrange::{self, Arrangement};
use super::pairs::{connections, files};
use super::row::{FileCell, NetworkCell};
use crate::query::bound::Bound;
use crate::query::error::QueryError;
use crate::query::gaps::Gaps;
use crate::query::ledger::Ledger;
use crate::query::range::{Plan, RangeInfo};

/// Kind of a table that has series.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum SeriesKind {
    /// Of processes and files.
    File,
    /// Of processes and connections.
    Network,
}

/// Sums by slot of the rows of a table that match a filter; null is a gap.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct TableSeries {
    /// The slots.
    pub range: RangeInfo,
    /// The known part of each slot, 0 to 1.
    pub covered: Vec<f64>,
    /// How many rows match: pairs of a process and a file or connection.
    pub rows: u64,
    /// Bytes read or received.
    pub r#in: Vec<Option<u64>>,
    /// Bytes written or sent.
    pub out: Vec<Option<u64>>,
    /// Files: opens. Connections: how many were made or accepted.
    pub opens: Vec<Option<u64>>,
    /// Connections that failed; zeros for files.
    pub failures: Vec<Option<u64>>,
}

/// Sums of a slot.
#[derive(Debug, Clone, Copy, Default)]
struct Sums {
    bytes_in: u64,
    bytes_out: u64,
    opens: u64,
    failures: u64,
}

impl Sums {
    fn add(&mut self, other: Self) {
        let add = |sum: &mut u64, n: u64| *sum = sum.saturating_add(n);
        add(&mut self.bytes_in, other.bytes_in);
        add(&mut self.bytes_out, other.bytes_out);
        add(&mut self.opens, other.opens);
        add(&mut self.failures, other.failures);
    }
}

impl TableSeries {
    /// The series of the rows that match the filter of `by`, over all slots.
    ///
    /// # Errors
    /// When the filter is not valid, or it needs more memory.
    pub(in crate::query) fn new(
        kind: SeriesKind,
        plan: &Plan,
        ledger: &Ledger<'_>,
        by: &Arrangement,
        bound: &Bound,
    ) -> Result<Self, QueryError> {
        let mut slots = vec![Sums::default(); plan.slots()];
        let rows = match kind {
            SeriesKind::File => {
                let matches = arrange::matcher::<FileCell>(by)?;
                let pairs = ledger.file_pairs().into_iter().zip(files(ledger, bound)?);
                let pairs = pairs.filter(|(_, row)| matches(row));
                let pairs: HashSet<_> = pairs
                    .map(|((process, file, _), _)| (process, file))
                    .collect();
                ledger.each_file(|process, file, slot, io| {
                    add(&pairs, (process, file), &mut slots[slot], || Sums {
                        bytes_in: io.bytes_in,
                        bytes_out: io.bytes_out,
                        opens: io.opens,
                        failures: 0,
                    });
                });
                pairs.len()
            }
            SeriesKind::Network => {
                let matches = arrange::matcher::<NetworkCell>(by)?;
                let pairs = ledger
                    .network_pairs()
                    .into_iter()
                    .zip(connections(ledger, bound)?);
                let pairs = pairs.filter(|(_, row)| matches(row));
                let pairs: HashSet<_> = pairs
                    .map(|((process, peer, _), _)| (process, peer))
                    .collect();
                ledger.each_connection(|process, peer, slot, io| {
                    add(&pairs, (process, peer), &mut slots[slot], || Sums {
                        bytes_in: io.bytes_in,
                        bytes_out: io.bytes_out,
                        opens: io.connects,
                        failures: io.failures,
                    });
                });
                pairs.len()
            }
        };
        let gaps = Gaps::new(plan, ledger);
        let series = |value: fn(&Sums) -> u64| gaps.sums(slots.iter().map(value));
        Ok(Self {
            range: RangeInfo::new(plan),
            covered: gaps.covered(),
            rows: rows as u64,
            r#in: series(|sums| sums.bytes_in),
            out: series(|sums| sums.bytes_out),
            opens: series(|sums| sums.opens),
            failures: series(|sums| sums.failures),
        })
    }
}

/// Adds `value` to `slot` if `pair` is one of `pairs`.
fn add<P: Eq + Hash>(pairs: &HashSet<P>, pair: P, slot: &mut Sums, value: impl FnOnce() -> Sums) {
    if pairs.contains(&pair) {
        slot.add(value());
    }
}
