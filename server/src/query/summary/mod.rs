//! The answer to one request of the page: everything about one range.

mod cpu;
mod event;
mod exit;
mod file;
mod memory;
mod network;
mod rows;
mod series;

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashSet};

use bubble_common::segment::event::EventKind;
use bubble_common::segment::loss::Reason;
use bubble_common::segment::total::Metric;
use cpu::CpuPanel;
use event::EventInfo;
use exit::FailedProcesses;
use file::FilePanel;
use memory::MemoryPanel;
use network::NetworkPanel;
use serde::Serialize;
use series::MAX_SERIES;

use super::bound::Bound;
use super::gaps::{Gaps, metric};
use super::item::ContainerItem;
use super::ledger::{Ledger, ProcessRow};
use super::process::ProcessInfo;
use super::range::{Plan, RangeInfo};
use super::wait::TimePanel;
use crate::memory::MemoryError;

/// Processes that were killed, and are in an answer beside the busiest, at most.
const MAX_KILLED: usize = 100;

/// Everything about a container in one range. Series have a value for each slot;
/// null is a gap: nothing is known of that slot.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Summary {
    /// The container.
    pub container: ContainerItem,
    /// The slots.
    pub range: RangeInfo,
    /// The known part of each slot, 0 to 1.
    pub covered: Vec<f64>,
    /// The part of each slot whose seconds were observed in part, 0 to 1: the first and last second
    /// of a run of the agent, and seconds that it read late. Their values are too low or too high, so
    /// averages should leave them out.
    pub partial: Vec<f64>,
    /// CPU.
    pub cpu: CpuPanel,
    /// Where the time of all threads went.
    pub time: TimePanel,
    /// Memory.
    pub memory: MemoryPanel,
    /// Files.
    pub files: FilePanel,
    /// Network.
    pub network: NetworkPanel,
    /// Processes that lived or did something, busiest first. Those that were killed because memory
    /// ran out are always there.
    pub processes: Vec<ProcessInfo>,
    /// How many processes there are, those left out of `processes` included.
    pub total_processes: u64,
    /// How many processes that are, if the programs of one process count once, and a folded row as
    /// many as are in it.
    pub distinct_processes: u64,
    /// Whether there may be more: the number of some folded rows is a lower bound.
    pub distinct_at_least: bool,
    /// Processes that failed, by name and exit, the most frequent first.
    pub failed: Vec<FailedProcesses>,
    /// How many processes failed: a code other than 0, or a signal.
    pub total_failed: u64,
    /// How many processes are in folded rows: how these ended is not known.
    pub failed_unknown: u64,
    /// Bytes of block devices by slot.
    pub block: InOut,
    /// Tasks (threads) by slot.
    pub tasks: Vec<Option<u64>>,
    /// Pressure: percentage of time in which some task waited.
    pub pressure: Pressure,
    /// The container's own figures over the range, by name: sums, or the highest.
    pub totals: BTreeMap<String, u64>,
    /// Events, in order of time: all starts, ends and out-of-memory kills, and the first 1,000 of the
    /// others.
    pub events: Vec<EventInfo>,
    /// How many events there are, those left out of `events` included.
    pub total_events: u64,
    /// Number of events by kind, those left out of `events` included. Of `folded` the number of
    /// events that were folded; connections that failed are counted exactly by `network.failures`.
    pub event_counts: BTreeMap<&'static str, u64>,
    /// What could not be counted.
    pub losses: Vec<LossInfo>,
    /// Processes compared with the cgroup.
    pub accounting: Accounting,
}

/// Bytes in and out by slot.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct InOut {
    /// In.
    pub r#in: Vec<Option<u64>>,
    /// Out.
    pub out: Vec<Option<u64>>,
}

/// Pressure: percentage of time in which some task waited.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Pressure {
    /// For a core.
    pub cpu: Vec<Option<f64>>,
    /// For memory.
    pub memory: Vec<Option<f64>>,
    /// For I/O.
    pub io: Vec<Option<f64>>,
}

/// Something that could not be counted.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct LossInfo {
    /// Why.
    pub reason: &'static str,
    /// How many times.
    pub count: u64,
    /// How many bytes, where that is known.
    pub bytes: u64,
}

/// Sums that can be compared with the kernel's.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Accounting {
    /// CPU time of all processes, ns.
    pub process_cpu_ns: u64,
    /// The cgroup's own count, ns; null when it was not read.
    pub cgroup_cpu_ns: Option<u64>,
    /// The part of the cgroup's count that no process accounts for, in percent.
    pub difference_percent: Option<f64>,
    /// Family of hooks that counted.
    pub hooks: String,
    /// Number of losses. Seconds that were observed in part are none.
    pub lost: u64,
}

impl Summary {
    /// Makes the answer from `ledger`, with at most `top` rows a table, and `max_series` names in
    /// the stacks.
    pub(super) fn new(
        container: ContainerItem,
        plan: &Plan,
        ledger: &Ledger<'_>,
        top: usize,
        max_series: Option<usize>,
        bound: &Bound,
    ) -> Result<Self, MemoryError> {
        let gaps = Gaps::new(plan, ledger);
        let max_series = max_series.unwrap_or(MAX_SERIES);
        let (processes, total_processes) = processes(ledger, top, bound)?;
        let (failed, total_failed) = exit::failed(ledger, top);
        let failed_unknown = exit::unknown(ledger);
        Ok(Self {
            range: RangeInfo::new(plan),
            covered: gaps.covered(),
            partial: gaps.partial(),
            cpu: CpuPanel::new(ledger, &gaps, max_series),
            time: TimePanel::new(ledger, &gaps),
            memory: MemoryPanel::new(ledger, &gaps, max_series),
            files: FilePanel::new(ledger, &gaps, top, bound)?,
            network: NetworkPanel::new(ledger, &gaps, top, bound)?,
            processes,
            total_processes,
            distinct_processes: ledger.distinct(present(ledger)),
            distinct_at_least: present(ledger).any(|row| !ledger.processes[row].is_count_exact),
            failed,
            total_failed,
            failed_unknown,
            block: InOut {
                r#in: metric(ledger, Metric::BLOCK_IN),
                out: metric(ledger, Metric::BLOCK_OUT),
            },
            tasks: metric(ledger, Metric::TASKS),
            pressure: Pressure {
                cpu: gaps.percent_of(ledger, Metric::PRESSURE_CPU_SOME),
                memory: gaps.percent_of(ledger, Metric::PRESSURE_MEMORY_SOME),
                io: gaps.percent_of(ledger, Metric::PRESSURE_IO_SOME),
            },
            totals: ledger
                .totals
                .iter()
                .map(|(metric, sums)| (Metric(*metric).name().to_owned(), sums.total))
                .collect(),
            events: event::events(ledger),
            total_events: ledger.events.len() as u64,
            event_counts: event::counts(ledger),
            losses: losses(ledger),
            accounting: Accounting::new(&container, ledger),
            container,
        })
    }
}

impl Accounting {
    fn new(container: &ContainerItem, ledger: &Ledger<'_>) -> Self {
        let sum = |sum: u64, n: u64| sum.saturating_add(n);
        let process_cpu_ns = ledger.cpu.iter().copied().fold(0, sum);
        let cgroup_cpu_ns = [Metric::CPU_USER, Metric::CPU_SYSTEM]
            .iter()
            .filter_map(|metric| ledger.totals.get(&metric.0))
            .map(|sums| sums.total)
            .reduce(sum);
        let difference = |cgroup: u64| {
            let missing = cgroup as f64 - process_cpu_ns as f64;
            (missing / cgroup as f64 * 10_000.0).round() / 100.0
        };
        Self {
            process_cpu_ns,
            cgroup_cpu_ns,
            difference_percent: cgroup_cpu_ns.filter(|ns| *ns > 0).map(difference),
            hooks: container.hooks.clone(),
            lost: ledger
                .losses
                .iter()
                .filter(|(reason, _)| **reason != Reason::PARTIAL.0)
                .map(|(_, loss)| loss.count)
                .fold(0, sum),
        }
    }
}

/// The `top` busiest processes and those that were killed, and the number of all.
fn processes(
    ledger: &Ledger<'_>,
    top: usize,
    bound: &Bound,
) -> Result<(Vec<ProcessInfo>, u64), MemoryError> {
    let mut rows: Vec<&ProcessRow> = ledger.processes.iter().filter(|row| row.present).collect();
    let total = rows.len() as u64;
    rows.sort_by_key(|row| {
        let busy = (row.cpu_ns, row.memory.rss, row.files.bytes_out);
        (Reverse(busy), row.process.id)
    });
    let cut = rows.split_off(top.min(rows.len()));
    let events = ledger.events.iter();
    let killed: HashSet<u32> = events
        .filter(|(event, _)| event.kind == EventKind::OOM_KILL)
        .filter_map(|(_, process)| *process)
        .collect();
    let is_killed = |row: &&ProcessRow| {
        let mut rows = killed
            .iter()
            .map(|index| &ledger.processes[*index as usize]);
        rows.any(|killed| killed.process.id == row.process.id)
    };
    rows.extend(cut.into_iter().filter(is_killed).take(MAX_KILLED));
    bound.take(rows.iter().map(|row| ProcessInfo::size(row)).sum())?;
    Ok((rows.into_iter().map(ProcessInfo::new).collect(), total))
}

/// Indices of the processes that lived or did something.
fn present<'l>(ledger: &'l Ledger<'_>) -> impl Iterator<Item = usize> + 'l {
    let rows = ledger.processes.iter().enumerate();
    rows.filter(|(_, row)| row.present).map(|(index, _)| index)
}

fn losses(ledger: &Ledger<'_>) -> Vec<LossInfo> {
    ledger
        .losses
        .iter()
        .map(|(reason, loss)| LossInfo {
            reason: match Reason(*reason).name() {
                "" => "unknown",
                name => name,
            },
            count: loss.count,
            bytes: loss.bytes,
        })
        .collect()
}
