//! In what two containers differ, over their whole lives: as a whole, command by command, file by
//! file and peer by peer. Rows are sorted by what differs most before they are cut.

use std::collections::{BTreeMap, BTreeSet};

use bubble_common::segment::total::Metric;
use serde::Serialize;

use super::io::{remote, service_port};
use super::item::ContainerItem;
use super::ledger::Ledger;
use super::process::ExitInfo;
use super::range::Plan;

/// Two containers and their differences.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Comparison {
    /// The container.
    pub own: Side,
    /// The one that it is compared with.
    pub other: Side,
    /// Differences by name of the command.
    pub commands: Differences,
    /// Differences by path.
    pub files: Differences,
    /// Differences by peer: `PROTOCOL REMOTE:PORT`.
    pub peers: Differences,
}

/// A container and what it did in its whole life.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Side {
    /// The container.
    pub container: ContainerItem,
    /// Seconds between the first and the last that was seen of it.
    pub seconds: f64,
    /// Seconds of them that are known. The others are missing in all sums.
    pub known_seconds: f64,
    /// Time that its CPU limit held it back, added up over the cores, ns; null if that was not measured.
    pub throttled_ns: Option<u64>,
    /// All that it used.
    pub usage: Usage,
}

/// What a container, a command, a file or a peer used. Fields without a meaning for it are 0.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Usage {
    /// Processes.
    pub processes: u64,
    /// Whether there may be more processes: some of them are in folded rows whose number is a lower bound.
    pub processes_at_least: bool,
    /// Processes that failed: a code other than 0, or a signal.
    pub failed: u64,
    /// Processes in folded rows: how these ended is not known.
    pub failed_unknown: u64,
    /// CPU time, ns.
    pub cpu_ns: u64,
    /// Highest memory, bytes: of a container by its cgroup, of a command the highest resident set of
    /// one process. Null if it was never measured.
    pub memory_max: Option<u64>,
    /// Bytes read from files.
    pub bytes_in: u64,
    /// Bytes written to files.
    pub bytes_out: u64,
    /// Bytes received.
    pub received: u64,
    /// Bytes sent.
    pub sent: u64,
    /// Connections that failed.
    pub failures: u64,
}

/// Rows that differ, those that differ most first.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Differences {
    /// The first rows.
    pub rows: Vec<Difference>,
    /// How many rows there are in all.
    pub total: u64,
    /// How many of them are equal in all figures.
    pub equal: u64,
    /// Sums of the rows that are left out, of the container.
    pub rest_own: Usage,
    /// The same of the other one.
    pub rest_other: Usage,
}

/// A command, a file or a peer in both containers.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Difference {
    /// Its name, path or address.
    pub name: String,
    /// In the container; null if it does not occur there.
    pub own: Option<Usage>,
    /// In the other one; null if it does not occur there.
    pub other: Option<Usage>,
    /// Its largest difference in one figure, as a part (0 to 1) of what the container that used more
    /// of it used in all.
    pub share: f64,
}

/// What one container did in its whole life.
pub struct Run {
    side: Side,
    commands: BTreeMap<String, Usage>,
    files: BTreeMap<String, Usage>,
    peers: BTreeMap<String, Usage>,
}

impl Usage {
    fn add(&mut self, other: &Self) {
        for (sum, n) in [
            (&mut self.processes, other.processes),
            (&mut self.failed, other.failed),
            (&mut self.failed_unknown, other.failed_unknown),
            (&mut self.cpu_ns, other.cpu_ns),
            (&mut self.bytes_in, other.bytes_in),
            (&mut self.bytes_out, other.bytes_out),
            (&mut self.received, other.received),
            (&mut self.sent, other.sent),
            (&mut self.failures, other.failures),
        ] {
            *sum = sum.saturating_add(n);
        }
        self.processes_at_least |= other.processes_at_least;
        self.memory_max = self.memory_max.max(other.memory_max);
    }

    /// The figures that differences are measured by.
    fn figures(&self) -> [u64; 9] {
        [
            self.cpu_ns,
            self.memory_max.unwrap_or(0),
            self.bytes_in,
            self.bytes_out,
            self.received,
            self.sent,
            self.failures,
            self.failed,
            self.processes,
        ]
    }
}

impl Run {
    /// The sums of `ledger`, which is about the whole life of `container`.
    pub fn new(container: ContainerItem, plan: &Plan, ledger: &Ledger<'_>) -> Self {
        let commands = commands(ledger);
        let mut usage = Usage::default();
        commands.values().for_each(|command| usage.add(command));
        usage.failures =
            (ledger.network_series.iter()).fold(0, |sum, io| u64::saturating_add(sum, io.failures));
        // A process that ran several programs counts once.
        usage.processes = ledger.distinct(0..ledger.processes.len());
        usage.memory_max = container.memory_peak.filter(|bytes| *bytes > 0);
        let throttled = ledger.totals.get(&Metric::CPU_THROTTLED.0);
        let known: u64 = ledger.covered.iter().sum();
        let span = (plan.span.end - plan.span.start) as f64;
        let seconds = (container.last_seen - container.first_seen).clamp(0.0, span);
        Self {
            side: Side {
                seconds,
                known_seconds: (known as f64).min(seconds),
                throttled_ns: throttled.map(|sums| sums.total),
                usage,
                container,
            },
            commands,
            files: files(ledger),
            peers: peers(ledger),
        }
    }
}

impl Comparison {
    /// The differences, at most `limit` rows of each kind.
    pub fn new(own: Run, other: Run, limit: usize) -> Self {
        let (a, b) = (own.side.usage.figures(), other.side.usage.figures());
        let mut most = [0; 9];
        for (most, (a, b)) in most.iter_mut().zip(a.into_iter().zip(b)) {
            *most = a.max(b);
        }
        Self {
            commands: Differences::new(&own.commands, &other.commands, most, limit),
            files: Differences::new(&own.files, &other.files, most, limit),
            peers: Differences::new(&own.peers, &other.peers, most, limit),
            own: own.side,
            other: other.side,
        }
    }
}

impl Differences {
    /// `most`: the highest of both containers, by figure.
    fn new(
        own: &BTreeMap<String, Usage>,
        other: &BTreeMap<String, Usage>,
        most: [u64; 9],
        limit: usize,
    ) -> Self {
        let names: BTreeSet<&String> = own.keys().chain(other.keys()).collect();
        let mut rows: Vec<Difference> = names
            .into_iter()
            .map(|name| {
                let (own, other) = (own.get(name).copied(), other.get(name).copied());
                Difference {
                    name: name.clone(),
                    share: share(&own.unwrap_or_default(), &other.unwrap_or_default(), most),
                    own,
                    other,
                }
            })
            .collect();
        // The order of names decides ties.
        rows.sort_by(|a, b| b.share.total_cmp(&a.share));
        let total = rows.len() as u64;
        let equal = rows.iter().filter(|row| row.own == row.other).count() as u64;
        let left = rows.split_off(limit.min(rows.len()));
        let (mut rest_own, mut rest_other) = (Usage::default(), Usage::default());
        for row in &left {
            rest_own.add(&row.own.unwrap_or_default());
            rest_other.add(&row.other.unwrap_or_default());
        }
        Self {
            rows,
            total,
            equal,
            rest_own,
            rest_other,
        }
    }
}

/// The largest difference in one figure, as a part of `most`.
fn share(own: &Usage, other: &Usage, most: [u64; 9]) -> f64 {
    let pairs = own.figures().into_iter().zip(other.figures());
    pairs
        .zip(most)
        .filter(|(_, most)| *most > 0)
        .map(|((a, b), most)| (a.abs_diff(b) as f64 / most as f64).min(1.0))
        .fold(0.0, f64::max)
}

fn commands(ledger: &Ledger<'_>) -> BTreeMap<String, Usage> {
    let mut rows: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (index, row) in ledger.processes.iter().enumerate() {
        rows.entry(&row.process.name).or_default().push(index);
    }
    rows.into_iter()
        .map(|(name, indices)| {
            let mut usage = Usage::default();
            for row in indices.iter().map(|index| &ledger.processes[*index]) {
                let exit = row.process.exit.map(ExitInfo::from);
                usage.add(&Usage {
                    processes: 0,
                    processes_at_least: !row.is_count_exact,
                    failed_unknown: match row.process.is_folded() {
                        true => row.process.count.into(),
                        false => 0,
                    },
                    failed: exit.is_some_and(ExitInfo::is_failure).into(),
                    cpu_ns: row.cpu_ns,
                    memory_max: Some(row.memory.rss).filter(|rss| *rss > 0),
                    bytes_in: row.files.bytes_in,
                    bytes_out: row.files.bytes_out,
                    received: row.network.bytes_in,
                    sent: row.network.bytes_out,
                    failures: row.network.failures,
                });
            }
            usage.processes = ledger.distinct(indices.into_iter());
            (name.to_owned(), usage)
        })
        .collect()
}

fn files(ledger: &Ledger<'_>) -> BTreeMap<String, Usage> {
    let mut files: BTreeMap<String, Usage> = BTreeMap::new();
    for row in &ledger.files {
        let usage = files.entry(row.entry.path.clone()).or_default();
        usage.add(&Usage {
            bytes_in: row.sum.bytes_in,
            bytes_out: row.sum.bytes_out,
            ..Usage::default()
        });
    }
    files
}

fn peers(ledger: &Ledger<'_>) -> BTreeMap<String, Usage> {
    let mut peers: BTreeMap<String, Usage> = BTreeMap::new();
    for row in &ledger.connections {
        let (protocol, remote) = (row.entry.protocol.name(), remote(row.entry));
        let name = match service_port(row.entry) {
            Some(port) => format!("{protocol} {remote}:{port}"),
            None => format!("{protocol} {remote}"),
        };
        peers.entry(name).or_default().add(&Usage {
            received: row.sum.bytes_in,
            sent: row.sum.bytes_out,
            failures: row.sum.failures,
            ..Usage::default()
        });
    }
    peers
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::{Differences, Usage};

    fn cpu(ns: u64) -> Usage {
        Usage {
            cpu_ns: ns,
            ..Usage::default()
        }
    }

    fn named(rows: &[(&str, Usage)]) -> BTreeMap<String, Usage> {
        let rows = rows.iter();
        rows.map(|(name, usage)| ((*name).to_owned(), *usage))
            .collect()
    }

    #[test]
    fn a_sum_with_a_lower_bound_is_a_lower_bound() {
        let mut sum = cpu(1);
        sum.add(&Usage {
            processes_at_least: true,
            failed_unknown: 40,
            ..cpu(2)
        });
        sum.add(&cpu(3));
        assert_eq!((sum.processes_at_least, sum.failed_unknown), (true, 40));
    }

    #[test]
    fn what_differs_most_comes_first_and_the_rest_is_summed() {
        let own = named(&[
            ("a", cpu(50)),
            ("b", cpu(30)),
            ("c", cpu(7)),
            ("only", cpu(3)),
        ]);
        let other = named(&[("a", cpu(40)), ("b", cpu(55)), ("c", cpu(7))]);
        let most = cpu(102).figures();
        let rows = Differences::new(&own, &other, most, 2);
        let names: Vec<&str> = rows.rows.iter().map(|row| row.name.as_str()).collect();
        assert_eq!(names, ["b", "a"]);
        assert_eq!((rows.total, rows.equal), (4, 1));
        assert_eq!((rows.rest_own, rows.rest_other), (cpu(10), cpu(7)));
        assert_eq!(rows.rows[0].share, 25.0 / 102.0);
        let all = Differences::new(&own, &other, most, usize::MAX);
        assert_eq!(all.rows[2].other, None, "absent is not zero");
    }
}
