//! What one request of the page gets: everything about one range.

use std::collections::BTreeMap;

use bubble_common::segment::cell::Value;
use bubble_common::segment::loss::Reason;
use bubble_common::segment::process::{Exit, OTHER, Process};
use bubble_common::segment::total::Metric;
use serde::Serialize;

use super::io::{ConnectionSums, FileSums};
use super::item::ContainerItem;
use super::ledger::{Ledger, PeerRow, ProcessRow};
use super::range::Plan;

/// Processes that get a series of their own in a stacked chart.
const SERIES: usize = 12;
/// Events in an answer; what is beyond is told by [`Summary::total_events`].
const EVENTS: usize = 1_000;

/// Numbers by slot; null where nothing is known. Fields of answers spell it out: in the API's
/// description an alias would lose the nulls.
pub type Series<T> = Vec<Option<T>>;

/// Everything about a container in one range. Series have a value for each slot;
/// null is a gap: nothing is known of that slot.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Summary {
    /// The container.
    pub container: ContainerItem,
    /// Which slots.
    pub range: RangeInfo,
    /// What part of each slot is known, 0 to 1.
    pub covered: Vec<f64>,
    /// CPU.
    pub cpu: CpuPanel,
    /// Memory.
    pub memory: MemoryPanel,
    /// Files.
    pub files: FilePanel,
    /// Network.
    pub network: NetworkPanel,
    /// Processes that lived or did something, busiest first.
    pub processes: Vec<ProcessInfo>,
    /// How many there are beside those shown.
    pub total_processes: u64,
    /// Block devices: bytes by slot.
    pub block: InOut,
    /// Tasks (threads) by slot.
    pub tasks: Vec<Option<u64>>,
    /// Pressure: part of the time in which some task waited, in percent.
    pub pressure: Pressure,
    /// The container's own figures over the range, by name: sums, or the highest.
    pub totals: BTreeMap<String, u64>,
    /// What happened, in order of time.
    pub events: Vec<EventInfo>,
    /// How many events there are beside those shown.
    pub total_events: u64,
    /// What was lost.
    pub losses: Vec<LossInfo>,
    /// The check sum.
    pub accounting: Accounting,
}

/// Which slots an answer has.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct RangeInfo {
    /// Start of the first slot, seconds since the Unix epoch.
    pub from: f64,
    /// End of the last slot.
    pub to: f64,
    /// Length of a slot in seconds.
    pub step: u64,
    /// Resolution of what was read: `second`, `minute`, `hour`, `day`.
    pub resolution: &'static str,
    /// Number of slots, at most 2,000.
    pub slots: u64,
}

/// CPU in percent of one core: 100 is one core.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CpuPanel {
    /// Sum of the processes.
    pub total: Vec<Option<f64>>,
    /// In user mode, by the cgroup.
    pub user: Vec<Option<f64>>,
    /// In the kernel, by the cgroup.
    pub system: Vec<Option<f64>>,
    /// Held back by the limit.
    pub throttled: Vec<Option<f64>>,
    /// The limit.
    pub limit: Vec<Option<f64>>,
    /// The busiest processes, and `(other)`.
    pub processes: Vec<ProcessPercent>,
    /// By core.
    pub cores: Vec<CoreSeries>,
}

/// A process's CPU by slot.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ProcessPercent {
    /// Key of the process, or `(other)`.
    pub process: String,
    /// Its name.
    pub name: String,
    /// Values by slot.
    pub values: Vec<Option<f64>>,
}

/// A process's memory by slot.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ProcessBytes {
    /// Key of the process, or `(other)`.
    pub process: String,
    /// Its name.
    pub name: String,
    /// Values by slot.
    pub values: Vec<Option<u64>>,
}

/// A core's values by slot.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct CoreSeries {
    /// Number of the core.
    pub core: u32,
    /// Percent of it that was used.
    pub values: Vec<Option<f64>>,
}

/// Memory in bytes, the highest within a slot.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct MemoryPanel {
    /// In use, by the cgroup; when scoped to a process, its rss.
    pub current: Vec<Option<u64>>,
    /// Of it page cache.
    pub file: Vec<Option<u64>>,
    /// Anonymous memory.
    pub anon: Vec<Option<u64>>,
    /// Swap in use.
    pub swap: Vec<Option<u64>>,
    /// The limit.
    pub limit: Vec<Option<u64>>,
    /// Rss of the largest processes, and `(other)`.
    pub processes: Vec<ProcessBytes>,
}

/// Bytes in and out by slot.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct InOut {
    /// In.
    pub r#in: Vec<Option<u64>>,
    /// Out.
    pub out: Vec<Option<u64>>,
}

/// Files.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FilePanel {
    /// Bytes read by slot.
    pub r#in: Vec<Option<u64>>,
    /// Bytes written by slot.
    pub out: Vec<Option<u64>>,
    /// Opens by slot.
    pub opens: Vec<Option<u64>>,
    /// Files, busiest first.
    pub rows: Vec<FileInfo>,
    /// How many there are.
    pub total_rows: u64,
}

/// A file over all processes.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FileInfo {
    /// The file.
    #[serde(flatten)]
    pub file: FileSums,
    /// Keys of the processes.
    pub processes: Vec<String>,
}

/// Network.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct NetworkPanel {
    /// Bytes received by slot.
    pub r#in: Vec<Option<u64>>,
    /// Bytes sent by slot.
    pub out: Vec<Option<u64>>,
    /// Connections, busiest first.
    pub rows: Vec<ConnectionInfo>,
    /// How many there are.
    pub total_rows: u64,
}

/// A connection over all processes.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ConnectionInfo {
    /// The connection.
    #[serde(flatten)]
    pub connection: ConnectionSums,
    /// Keys of the processes.
    pub processes: Vec<String>,
}

/// A process: one program that it ran.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ProcessInfo {
    /// `PID-START_NS-EXEC`; of a folded row `0-0-0-NAME`.
    pub key: String,
    /// Process id on the host; 0 for a folded row.
    pub pid: u32,
    /// When it was forked, seconds since the Unix epoch.
    pub start: f64,
    /// How many times it had called exec or renamed itself when this row began.
    pub exec: u32,
    /// Process id inside the container.
    pub container_pid: u32,
    /// Process id of the parent on the host.
    pub parent: u32,
    /// User id on the host.
    pub uid: u32,
    /// The kernel's name for it.
    pub name: String,
    /// Path of the program.
    pub exe: String,
    /// The command line, word by word.
    pub args: Vec<String>,
    /// When it ended, by exit or by the next exec; null while it runs.
    pub end: Option<f64>,
    /// How it ended; null while it runs and when it went on as another program.
    pub exit: Option<ExitInfo>,
    /// How many processes are folded into this row.
    pub count: u32,
    /// CPU time, ns.
    pub cpu_ns: u64,
    /// Highest resident set, bytes.
    pub rss_max: u64,
    /// Highest virtual size, bytes.
    pub vm_max: u64,
    /// Highest swap, bytes.
    pub swap_max: u64,
    /// Bytes read from files.
    pub bytes_in: u64,
    /// Bytes written to files.
    pub bytes_out: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
}

/// How a process ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExitInfo {
    /// It returned this code.
    Code(u8),
    /// This signal killed it.
    Signal(u8),
}

/// Pressure in percent of the time.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Pressure {
    /// Some task waited for a core.
    pub cpu: Vec<Option<f64>>,
    /// Some task waited for memory.
    pub memory: Vec<Option<f64>>,
    /// Some task waited for I/O.
    pub io: Vec<Option<f64>>,
}

/// Something that happened.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct EventInfo {
    /// When, seconds since the Unix epoch.
    pub at: f64,
    /// `container_start`, `container_end`, `oom_kill`, `connection_failed`, `folded`.
    pub kind: &'static str,
    /// Key of the process.
    pub process: Option<String>,
    /// More about it.
    pub detail: String,
}

/// What was lost.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct LossInfo {
    /// Why.
    pub reason: &'static str,
    /// How many times.
    pub count: u64,
    /// How many bytes, where that is known.
    pub bytes: u64,
}

/// Sums that can be checked.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Accounting {
    /// CPU time of all processes, ns.
    pub process_cpu_ns: u64,
    /// The cgroup's own count, ns; null when it was not read.
    pub cgroup_cpu_ns: Option<u64>,
    /// How much of the cgroup's count no process accounts for, in percent.
    pub difference_percent: Option<f64>,
    /// Family of hooks that counted.
    pub hooks: String,
    /// How many things were lost.
    pub lost: u64,
}

impl RangeInfo {
    /// The slots of `plan`.
    pub fn new(plan: &Plan) -> Self {
        Self {
            from: plan.span.start as f64,
            to: plan.span.end as f64,
            step: plan.step,
            resolution: plan.resolution.name(),
            slots: plan.slots() as u64,
        }
    }
}

impl Summary {
    /// Writes down `ledger`, with at most `top` rows a table.
    pub fn new(container: ContainerItem, plan: &Plan, ledger: &Ledger<'_>, top: usize) -> Self {
        let gap = Gaps::new(plan, ledger);
        let cgroup = [Metric::CPU_USER, Metric::CPU_SYSTEM]
            .iter()
            .filter_map(|metric| ledger.totals.get(&metric.0))
            .map(|sums| sums.total)
            .reduce(u64::saturating_add);
        let process_cpu_ns = ledger
            .cpu
            .iter()
            .fold(0_u64, |sum, ns| sum.saturating_add(*ns));
        let (processes, total_processes) = processes(ledger, top);
        let (files, total_files) = top_rows(&ledger.files, top, |io| {
            (
                io.bytes_in.saturating_add(io.bytes_out),
                io.opens.saturating_add(io.ops_in),
            )
        });
        let (connections, total_connections) = top_rows(&ledger.connections, top, |io| {
            (
                io.bytes_in.saturating_add(io.bytes_out),
                io.connects.saturating_add(io.failures),
            )
        });
        Self {
            range: RangeInfo::new(plan),
            covered: gap.covered(),
            cpu: cpu_panel(ledger, &gap),
            memory: memory_panel(ledger, &gap),
            files: FilePanel {
                r#in: gap.sums(ledger.file_series.iter().map(|io| io.bytes_in)),
                out: gap.sums(ledger.file_series.iter().map(|io| io.bytes_out)),
                opens: gap.sums(ledger.file_series.iter().map(|io| io.opens)),
                rows: files
                    .into_iter()
                    .map(|row| FileInfo {
                        file: FileSums::new(row.entry, &row.sum),
                        processes: keys(ledger, &row.processes),
                    })
                    .collect(),
                total_rows: total_files,
            },
            network: NetworkPanel {
                r#in: gap.sums(ledger.network_series.iter().map(|io| io.bytes_in)),
                out: gap.sums(ledger.network_series.iter().map(|io| io.bytes_out)),
                rows: connections
                    .into_iter()
                    .map(|row| ConnectionInfo {
                        connection: ConnectionSums::new(row.entry, &row.sum),
                        processes: keys(ledger, &row.processes),
                    })
                    .collect(),
                total_rows: total_connections,
            },
            processes,
            total_processes,
            block: InOut {
                r#in: metric(ledger, Metric::BLOCK_IN),
                out: metric(ledger, Metric::BLOCK_OUT),
            },
            tasks: metric(ledger, Metric::TASKS),
            pressure: Pressure {
                cpu: gap.percent_of(ledger, Metric::PRESSURE_CPU_SOME),
                memory: gap.percent_of(ledger, Metric::PRESSURE_MEMORY_SOME),
                io: gap.percent_of(ledger, Metric::PRESSURE_IO_SOME),
            },
            totals: ledger
                .totals
                .iter()
                .map(|(metric, sums)| (Metric(*metric).name().to_owned(), sums.total))
                .collect(),
            events: events(ledger),
            total_events: ledger.events.len() as u64,
            losses: losses(ledger),
            accounting: Accounting {
                process_cpu_ns,
                cgroup_cpu_ns: cgroup,
                difference_percent: cgroup.filter(|ns| *ns > 0).map(|cgroup| {
                    let missing = cgroup as f64 - process_cpu_ns as f64;
                    (missing / cgroup as f64 * 10_000.0).round() / 100.0
                }),
                hooks: container.hooks.clone(),
                lost: ledger
                    .losses
                    .values()
                    .fold(0, |sum, loss| sum.saturating_add(loss.count)),
            },
            container,
        }
    }
}

/// Turns sums into values by what is known of each slot.
pub(super) struct Gaps<'a> {
    covered: &'a [u64],
    step: u64,
}

impl<'a> Gaps<'a> {
    pub(super) fn new(plan: &Plan, ledger: &'a Ledger<'_>) -> Self {
        Self {
            covered: &ledger.covered,
            step: plan.step,
        }
    }

    pub(super) fn covered(&self) -> Vec<f64> {
        let part = |seconds: &u64| *seconds as f64 / self.step as f64;
        self.covered
            .iter()
            .map(|seconds| (part(seconds) * 1_000.0).round() / 1_000.0)
            .collect()
    }

    /// As they are, but null in gaps.
    fn sums(&self, values: impl Iterator<Item = u64>) -> Series<u64> {
        let known = self.covered.iter().map(|seconds| *seconds > 0);
        values
            .zip(known)
            .map(|(value, known)| known.then_some(value))
            .collect()
    }

    /// Time in ns as percent of the seconds that are known.
    pub(super) fn percent(&self, values: &[u64]) -> Series<f64> {
        let percent = |(ns, seconds): (&u64, &u64)| {
            (*seconds > 0).then(|| hundredths(*ns as f64 / (*seconds as f64 * 1e7)))
        };
        values.iter().zip(self.covered).map(percent).collect()
    }

    fn percent_of(&self, ledger: &Ledger<'_>, metric: Metric) -> Series<f64> {
        let Some(sums) = ledger.totals.get(&metric.0) else {
            return vec![None; self.covered.len()];
        };
        let percent = |(ns, seconds): (&Option<u64>, &u64)| {
            let ns = (*ns)?;
            (*seconds > 0).then(|| hundredths(ns as f64 / (*seconds as f64 * 1e7)))
        };
        sums.series.iter().zip(self.covered).map(percent).collect()
    }
}

fn hundredths(value: f64) -> f64 {
    (value * 100.0).round() / 100.0
}

fn metric(ledger: &Ledger<'_>, metric: Metric) -> Series<u64> {
    match ledger.totals.get(&metric.0) {
        Some(sums) => sums.series.clone(),
        None => vec![None; ledger.covered.len()],
    }
}

fn cpu_panel(ledger: &Ledger<'_>, gap: &Gaps<'_>) -> CpuPanel {
    let limit = metric(ledger, Metric::CPU_LIMIT);
    CpuPanel {
        total: gap.percent(&ledger.cpu),
        user: gap.percent_of(ledger, Metric::CPU_USER),
        system: gap.percent_of(ledger, Metric::CPU_SYSTEM),
        throttled: gap.percent_of(ledger, Metric::CPU_THROTTLED),
        // Thousandths of a core to percent of one.
        limit: limit
            .into_iter()
            .map(|limit| limit.map(|limit| limit as f64 / 10.0))
            .collect(),
        processes: ledger
            .cpu_by_process(SERIES)
            .into_iter()
            .map(|(process, values)| {
                let (process, name) = names(ledger, process);
                let values = gap.percent(&values);
                ProcessPercent {
                    process,
                    name,
                    values,
                }
            })
            .collect(),
        cores: ledger
            .cores
            .iter()
            .map(|(core, values)| CoreSeries {
                core: *core,
                values: gap.percent(values),
            })
            .collect(),
    }
}

fn memory_panel(ledger: &Ledger<'_>, gap: &Gaps<'_>) -> MemoryPanel {
    MemoryPanel {
        current: metric(ledger, Metric::MEMORY_CURRENT),
        file: metric(ledger, Metric::MEMORY_FILE),
        anon: metric(ledger, Metric::MEMORY_ANON),
        swap: metric(ledger, Metric::MEMORY_SWAP),
        limit: metric(ledger, Metric::MEMORY_LIMIT),
        processes: ledger
            .rss_by_process(SERIES)
            .into_iter()
            .map(|(process, values)| {
                let (process, name) = names(ledger, process);
                let values = gap.sums(values.into_iter());
                ProcessBytes {
                    process,
                    name,
                    values,
                }
            })
            .collect(),
    }
}

/// Key and name of a series.
fn names(ledger: &Ledger<'_>, process: Option<u32>) -> (String, String) {
    match process.map(|index| &ledger.processes[index as usize].process) {
        Some(process) => (process_key(process), process.name.clone()),
        None => (OTHER.to_owned(), OTHER.to_owned()),
    }
}

/// The key by which an answer names a process.
pub(super) fn process_key(process: &Process) -> String {
    let id = process.id;
    if process.is_folded() {
        format!("0-0-0-{}", process.name)
    } else {
        format!("{}-{}-{}", id.pid, id.start, id.exec)
    }
}

fn processes(ledger: &Ledger<'_>, top: usize) -> (Vec<ProcessInfo>, u64) {
    let mut rows: Vec<&ProcessRow> = ledger.processes.iter().filter(|row| row.present).collect();
    let total = rows.len() as u64;
    rows.sort_by_key(|row| {
        let busy = (row.cpu_ns, row.memory.rss, row.files.bytes_out);
        (std::cmp::Reverse(busy), row.process.id)
    });
    rows.truncate(top);
    (rows.into_iter().map(process_info).collect(), total)
}

pub(super) fn process_info(row: &ProcessRow) -> ProcessInfo {
    let process = &row.process;
    let words = process
        .args
        .split('\0')
        .filter(|_| !process.args.is_empty());
    ProcessInfo {
        key: process_key(process),
        pid: process.id.pid,
        start: process.id.start as f64 / 1e9,
        exec: process.id.exec,
        container_pid: process.container_pid,
        parent: process.parent,
        uid: process.uid,
        name: process.name.clone(),
        exe: process.exe.clone(),
        args: words.map(str::to_owned).collect(),
        end: (process.end > 0).then(|| process.end as f64 / 1e9),
        exit: process.exit.map(|exit| match exit {
            Exit::Code(code) => ExitInfo::Code(code),
            Exit::Signal(signal) => ExitInfo::Signal(signal),
        }),
        count: process.count,
        cpu_ns: row.cpu_ns,
        rss_max: row.memory.rss,
        vm_max: row.memory.vm,
        swap_max: row.memory.swap,
        bytes_in: row.files.bytes_in,
        bytes_out: row.files.bytes_out,
        received: row.network.bytes_in,
        sent: row.network.bytes_out,
    }
}

/// The busiest rows, and how many there are.
fn top_rows<'r, 'a, T: Ord, V: Value>(
    rows: &'r [PeerRow<'a, T, V>],
    top: usize,
    busy: impl Fn(&V) -> (u64, u64),
) -> (Vec<&'r PeerRow<'a, T, V>>, u64) {
    let mut ranked: Vec<_> = rows.iter().collect();
    ranked.sort_by(|a, b| (busy(&b.sum), a.entry).cmp(&(busy(&a.sum), b.entry)));
    ranked.truncate(top);
    (ranked, rows.len() as u64)
}

fn keys(ledger: &Ledger<'_>, processes: &[u32]) -> Vec<String> {
    processes
        .iter()
        .map(|index| process_key(&ledger.processes[*index as usize].process))
        .collect()
}

fn events(ledger: &Ledger<'_>) -> Vec<EventInfo> {
    let key = |index: u32| process_key(&ledger.processes[index as usize].process);
    ledger
        .events
        .iter()
        .filter(|(event, _)| !event.kind.name().is_empty())
        .take(EVENTS)
        .map(|(event, process)| EventInfo {
            at: event.at as f64 / 1e9,
            kind: event.kind.name(),
            process: process.map(key),
            detail: event.detail.clone(),
        })
        .collect()
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
