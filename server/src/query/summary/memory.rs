//! Memory of a range, in total and by process.

use bubble_common::segment::total::Metric;
use serde::Serialize;

use super::series::Label;
use crate::query::gaps::{Gaps, metric};
use crate::query::ledger::Ledger;

/// Memory of the processes of one name by slot.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ProcessBytes {
    /// Key of the process, if only one has this name.
    pub process: Option<String>,
    /// The name, or `(other)`.
    pub name: String,
    /// How many processes there are.
    pub count: u64,
    /// Values by slot.
    pub values: Vec<Option<u64>>,
}

/// Memory in bytes, the highest within a slot. The cgroup's figures are read once a second.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct MemoryPanel {
    /// In use, by the cgroup; null when scoped to a process.
    pub current: Vec<Option<u64>>,
    /// Page cache, which is part of it.
    pub file: Vec<Option<u64>>,
    /// Anonymous memory.
    pub anon: Vec<Option<u64>>,
    /// Swap in use.
    pub swap: Vec<Option<u64>>,
    /// The limit.
    pub limit: Vec<Option<u64>>,
    /// What `processes` are: `resident`, or `virtual` if no resident set was measured, as by a
    /// chisel.
    pub measure: &'static str,
    /// Processes by name: the names that held most, and `(other)`, without `shared`. Of each what its
    /// processes held at one time, at most what the cgroup had. Their sum may be more than there was:
    /// the names may have held it at different times, and where `shared` is null each process counts
    /// the pages that it shares.
    pub processes: Vec<ProcessBytes>,
    /// Resident pages of files and shared memory, once for all processes: those of the process with
    /// most, at most what the cgroup had. Null where they are not told apart from private memory.
    pub shared: Vec<Option<u64>>,
    /// Highest sum of all processes at one time, with `shared` once. Above `current` they share
    /// pages that are not told apart. A folded row counts as if its processes lived all the time.
    pub at_one_time: Vec<Option<u64>>,
}

impl MemoryPanel {
    pub(super) fn new(ledger: &Ledger<'_>, gaps: &Gaps<'_>, max_series: usize) -> Self {
        let by_name = ledger.memory_by_name(max_series);
        let series = by_name.series.into_iter();
        Self {
            current: metric(ledger, Metric::MEMORY_CURRENT),
            file: metric(ledger, Metric::MEMORY_FILE),
            anon: metric(ledger, Metric::MEMORY_ANON),
            swap: metric(ledger, Metric::MEMORY_SWAP),
            limit: metric(ledger, Metric::MEMORY_LIMIT),
            measure: match by_name.is_virtual {
                true => "virtual",
                false => "resident",
            },
            shared: (gaps.sums(by_name.shared.into_iter()).into_iter())
                .map(|value| value.filter(|bytes| *bytes > 0))
                .collect(),
            at_one_time: gaps.sums(by_name.at_one_time.into_iter()),
            processes: series
                .map(|series| {
                    let label = Label::new(ledger, &series);
                    ProcessBytes {
                        process: label.process,
                        name: label.name,
                        count: label.count,
                        values: gaps.sums(series.values.into_iter()),
                    }
                })
                .collect(),
        }
    }
}
