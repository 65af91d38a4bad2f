//! CPU of a range, in total, by process and by core.

use bubble_common::segment::total::Metric;
use serde::Serialize;

use super::series::Label;
use crate::query::gaps::{Gaps, metric};
use crate::query::ledger::Ledger;

/// CPU in percent of one core: 100 is one core.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CpuPanel {
    /// Sum of the processes.
    pub total: Vec<Option<f64>>,
    /// In user mode, by the cgroup.
    pub user: Vec<Option<f64>>,
    /// In the kernel, by the cgroup.
    pub system: Vec<Option<f64>>,
    /// Time held back by the limit, added up over the cores: above 100 if it held back several.
    pub throttled: Vec<Option<f64>>,
    /// The limit.
    pub limit: Vec<Option<f64>>,
    /// Processes by name: the names that used most, and `(other)`.
    pub processes: Vec<ProcessPercent>,
    /// By core.
    pub cores: Vec<CoreSeries>,
}

/// CPU of the processes of one name by slot.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ProcessPercent {
    /// Key of the process, if only one has this name.
    pub process: Option<String>,
    /// The name, or `(other)`.
    pub name: String,
    /// How many processes there are.
    pub count: u64,
    /// Values by slot.
    pub values: Vec<Option<f64>>,
}

/// A core's values by slot.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CoreSeries {
    /// Number of the core.
    pub core: u32,
    /// Percent of it that was used.
    pub values: Vec<Option<f64>>,
}

impl CpuPanel {
    pub(super) fn new(ledger: &Ledger<'_>, gaps: &Gaps<'_>, max_series: usize) -> Self {
        // Thousandths of a core to percent of one.
        let percent = |limit: Option<u64>| limit.map(|limit| limit as f64 / 10.0);
        let processes = ledger.cpu_by_name(max_series).into_iter();
        let cores = ledger.cores.iter();
        Self {
            total: gaps.percent(&ledger.cpu),
            user: gaps.percent_of(ledger, Metric::CPU_USER),
            system: gaps.percent_of(ledger, Metric::CPU_SYSTEM),
            throttled: gaps.percent_of(ledger, Metric::CPU_THROTTLED),
            limit: metric(ledger, Metric::CPU_LIMIT)
                .into_iter()
                .map(percent)
                .collect(),
            processes: processes
                .map(|series| {
                    let label = Label::new(ledger, &series);
                    ProcessPercent {
                        process: label.process,
                        name: label.name,
                        count: label.count,
                        values: gaps.percent(&series.values),
                    }
                })
                .collect(),
            cores: cores
                .map(|(core, values)| CoreSeries {
                    core: *core,
                    values: gaps.percent(values),
                })
                .collect(),
        }
    }
}
