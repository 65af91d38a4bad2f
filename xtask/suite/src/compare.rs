//! Compares the stored data of a container with the truth of its workload.
//!
//! Bytes, operations, opens, arguments and exits must be equal. CPU time must be within
//! [`CPU_PERCENT`] of that in the parent's `wait4`, and the sum of all processes within
//! [`SUM_PERCENT`] of the cgroup's count. The result lists every difference, as their pattern shows
//! what is wrong.

use std::collections::HashSet;
use std::fmt::Debug;

use bubble_workload::truth::{ConnectionTruth, EventTruth, FileTruth, Flow, ProcessTruth};

use crate::api::{Connection, Exit, File, Ledger, Loss, Process};
use crate::container::Finished;
use crate::settings;

/// Maximum deviation of a process's CPU time, percent of that from `wait4`.
pub const CPU_PERCENT: f64 = 2.0;
/// Maximum deviation of the sum of the processes, percent of the cgroup's count.
pub const SUM_PERCENT: f64 = 1.0;
/// Minimum sum of CPU time to compare by percentage, ns.
const MIN_SUM_NS: u64 = 100_000_000;
/// Minimum CPU time of a process to compare by percentage, ns. Shorter processes are compared only as
/// a sum: a process still runs when `wait4` reports its CPU time, some 10 ms on an emulated machine.
const MIN_PROCESS_NS: u64 = 1_000_000_000;
/// The loss with which the stored count of the cgroup is too small.
const CGROUP_GONE: &str = "cgroup_gone";
/// Minimum resident set that must be stored, bytes. It is held for seconds.
const LARGE_RSS: u64 = 32 << 20;

/// All differences, one sentence each.
pub fn differences(finished: &Finished, ledger: &Ledger) -> Vec<String> {
    let truth = &finished.truth;
    let mut compare = Compare {
        ledger,
        exact: truth.operations_are_exact,
        found: Vec::new(),
    };
    for process in &truth.processes {
        compare.process(process);
    }
    for process in &truth.processes {
        let files: Vec<_> = truth
            .files
            .iter()
            .filter(|file| file.pid == process.pid)
            .collect();
        compare.files(process, &files);
        for connection in truth.connections.iter().filter(|c| c.pid == process.pid) {
            compare.connection(process, connection);
        }
    }
    compare.opens(&truth.processes, truth.opens);
    for event in &truth.events {
        compare.event(event);
    }
    compare.cpu(&truth.processes, finished.cpu_ns);
    compare.end(finished);
    // Late events are counted too, but in the next second. A vanished cgroup affects only the cgroup's
    // own count.
    let losses = ledger.summary.losses.iter();
    let expected = |loss: &&Loss| {
        let of_reason = truth.losses.iter().find(|one| one.reason == loss.reason);
        of_reason.is_some_and(|one| one.count == loss.count)
    };
    for lacking in &truth.losses {
        if !losses.clone().any(|loss| loss.reason == lacking.reason) {
            let (count, reason) = (lacking.count, &lacking.reason);
            compare.found.push(format!("no loss {count} × {reason}"));
        }
    }
    let excused = ["late", "partial", CGROUP_GONE];
    for loss in losses.filter(|loss| !excused.contains(&loss.reason.as_str()) && !expected(loss)) {
        compare
            .found
            .push(format!("lost: {} × {}", loss.count, loss.reason));
    }
    compare.found
}

struct Compare<'a> {
    ledger: &'a Ledger,
    /// Whether the numbers of operations must be equal too.
    exact: bool,
    found: Vec<String>,
}

/// Deviation of `seen` from `expected`, percent.
fn percent_off(seen: u64, expected: u64) -> f64 {
    (seen as f64 - expected as f64).abs() * 100.0 / (expected as f64).max(1.0)
}

impl<'a> Compare<'a> {
    fn equal<T: PartialEq + Debug>(&mut self, what: impl FnOnce() -> String, seen: T, true_: T) {
        if seen != true_ {
            self.found
                .push(format!("{}: stored {seen:?}, expected {true_:?}", what()));
        }
    }

    /// The rows of a process with the arguments of its last program.
    fn rows(&self, of: &ProcessTruth) -> impl Iterator<Item = &'a Process> + use<'a> {
        let (pid, args) = (of.pid, of.args.clone());
        let rows = self.ledger.processes.iter();
        rows.filter(move |row| row.container_pid == pid && row.args == args)
    }

    /// All rows of a process, including those of earlier programs.
    fn life(&self, of: &ProcessTruth) -> Vec<&'a Process> {
        let lives: HashSet<&str> = self.rows(of).map(Process::life).collect();
        let rows = self.ledger.processes.iter();
        rows.filter(|row| lives.contains(row.life())).collect()
    }

    fn process(&mut self, truth: &ProcessTruth) {
        let what = || format!("process {} {:?}", truth.pid, truth.args);
        let lives: HashSet<&str> = self.rows(truth).map(Process::life).collect();
        self.equal(
            || format!("{}, number of processes", what()),
            lives.len(),
            1,
        );
        if lives.is_empty() {
            return;
        }
        if !truth.names.is_empty() {
            let mut rows = self.life(truth);
            rows.sort_by_key(|row| row.exec());
            let names: Vec<&str> = rows.iter().map(|row| row.name.as_str()).collect();
            let true_names: Vec<&str> = truth.names.iter().map(String::as_str).collect();
            self.equal(|| format!("{}, names", what()), names, true_names);
        }
        let row = self.rows(truth).max_by_key(|row| row.exec());
        if let (Some(uid), Some(row)) = (truth.uid, row) {
            self.equal(|| format!("{}, user", what()), row.uid, uid);
        }
        if let (Some(gid), Some(row)) = (truth.gid, row) {
            self.equal(|| format!("{}, group", what()), row.gid, Some(gid));
        }
        if let (Some(exe), Some(row)) = (&truth.exe, row) {
            self.equal(|| format!("{}, program", what()), &row.exe, exe);
        }
        let exit = self.rows(truth).find_map(|row| row.exit);
        let true_exit = Exit {
            code: truth.exit_code,
            signal: truth.signal,
        };
        self.equal(|| format!("{}, exit", what()), exit, Some(true_exit));
        if let Some(true_rss) = truth.max_rss_bytes.filter(|bytes| *bytes >= LARGE_RSS)
            && truth.signal.is_none()
        {
            let rss = self
                .rows(truth)
                .filter_map(|row| row.rss_max)
                .max()
                .unwrap_or_default();
            if percent_off(rss, true_rss) > 10.0 {
                let what = what();
                self.found
                    .push(format!("{what}, memory: stored {rss}, expected {true_rss}"));
            }
        }
    }

    fn files_of(&self, process: &ProcessTruth) -> Vec<&'a File> {
        let keys: HashSet<&str> = self.rows(process).map(|row| row.key.as_str()).collect();
        self.ledger
            .files
            .iter()
            .filter(|row| keys.contains(row.process.as_str()))
            .collect()
    }

    fn files(&mut self, process: &ProcessTruth, truth: &[&FileTruth]) {
        let exact = self.exact;
        let rows = self.files_of(process);
        for file in truth {
            let pipe = file.path.starts_with("pipe:");
            let same = |row: &&&File| {
                if pipe {
                    row.kind == "pipe"
                } else {
                    row.path == file.path
                }
            };
            let rows: Vec<&File> = rows.iter().filter(same).copied().collect();
            let sum = |number: fn(&File) -> u64| rows.iter().map(|row| number(row)).sum::<u64>();
            let read = Flow {
                bytes: sum(|r| r.bytes_in),
                operations: sum(|r| r.ops_in),
            };
            let written = Flow {
                bytes: sum(|r| r.bytes_out),
                operations: sum(|r| r.ops_out),
            };
            self.flow(|| format!("{} read", file.path), read, file.read, exact);
            if pipe {
                // At least: the output of the workload goes into another pipe, and pipes share one row.
                let short = written.bytes < file.written.bytes;
                self.equal(
                    || format!("{} has too few written bytes", file.path),
                    short,
                    false,
                );
            } else {
                self.flow(
                    || format!("{} written", file.path),
                    written,
                    file.written,
                    exact,
                );
                self.equal(
                    || format!("{} opens", file.path),
                    sum(|r| r.opens),
                    file.opens,
                );
                if let Some(pages) = file.mapped_pages {
                    self.equal(
                        || format!("{} pages brought in by page faults", file.path),
                        sum(|r| r.mapped_pages),
                        if settings::counts_mapped_pages() {
                            pages
                        } else {
                            0
                        },
                    );
                }
            }
        }
        // No other file: a byte that is also counted under another name would be counted twice.
        let regular: Vec<&&File> = rows.iter().filter(|row| row.kind == "file").collect();
        let named: Vec<_> = truth
            .iter()
            .filter(|file| !file.path.starts_with("pipe:"))
            .collect();
        let seen: [u64; 2] = [
            regular.iter().map(|row| row.bytes_in).sum(),
            regular.iter().map(|row| row.bytes_out).sum(),
        ];
        let expected = [
            named.iter().map(|file| file.read.bytes).sum(),
            named.iter().map(|file| file.written.bytes).sum(),
        ];
        let what = || {
            format!(
                "all regular files of process {}, bytes [in, out]",
                process.pid
            )
        };
        self.equal(what, seen, expected);
    }

    fn flow(&mut self, what: impl Fn() -> String, seen: Flow, truth: Flow, exact: bool) {
        self.equal(|| format!("{}, bytes", what()), seen.bytes, truth.bytes);
        if exact {
            self.equal(
                || format!("{}, operations", what()),
                seen.operations,
                truth.operations,
            );
        } else {
            let (some, expected) = (seen.operations > 0, truth.operations > 0);
            self.equal(|| format!("{}, any operations", what()), some, expected);
        }
    }

    fn connection(&mut self, process: &ProcessTruth, truth: &ConnectionTruth) {
        let exact = self.exact;
        let keys: HashSet<&str> = self.rows(process).map(|row| row.key.as_str()).collect();
        let mine = |row: &&Connection| {
            keys.contains(row.process.as_str())
                && (&row.protocol, &row.local) == (&truth.protocol, &truth.local)
                && (truth.peer == "?" || row.peer == truth.peer)
        };
        let rows: Vec<&Connection> = self.ledger.connections.iter().filter(mine).collect();
        let sum = |number: fn(&Connection) -> u64| rows.iter().map(|row| number(row)).sum::<u64>();
        let received = Flow {
            bytes: sum(|r| r.bytes_in),
            operations: sum(|r| r.ops_in),
        };
        let sent = Flow {
            bytes: sum(|r| r.bytes_out),
            operations: sum(|r| r.ops_out),
        };
        let what = || {
            let ConnectionTruth {
                protocol,
                local,
                peer,
                pid,
                ..
            } = truth;
            format!("{protocol} {local:?} to {peer:?} of process {pid}")
        };
        self.flow(
            || format!("{}, received", what()),
            received,
            truth.received,
            exact,
        );
        self.flow(|| format!("{}, sent", what()), sent, truth.sent, exact);
        if let Some(role) = &truth.role {
            let seen: Vec<_> = rows.iter().map(|row| (&*row.role, row.connects)).collect();
            self.equal(
                || format!("{}, role and connects of its one row", what()),
                seen,
                vec![(&**role, 1)],
            );
        }
        if rows.is_empty() {
            let all = self.ledger.connections.iter();
            let all = all.filter(|row| keys.contains(row.process.as_str()));
            let all = all.map(|r| format!("{} {:?} to {:?}", r.protocol, r.local, r.peer));
            let all: Vec<String> = all.collect();
            self.found.push(format!("{}: not found in {all:?}", what()));
        }
    }

    fn opens(&mut self, processes: &[ProcessTruth], truth: u64) {
        let opens = processes.iter().flat_map(|process| self.files_of(process));
        let opens: u64 = opens.map(|row| row.opens).sum();
        self.equal(|| "opens of all files".to_owned(), opens, truth);
    }

    fn event(&mut self, truth: &EventTruth) {
        let events = &self.ledger.summary.events;
        let process = |pid: u32, key: Option<&String>| {
            let rows = self.ledger.processes.iter();
            let mut mine = rows.filter(|row| row.container_pid == pid);
            mine.any(|row| Some(&row.key) == key)
        };
        let seen = match truth {
            EventTruth::ConnectionRefused { pid, peer } => events.iter().any(|event| {
                event.kind == "connection_failed"
                    && event.detail.contains(peer.as_str())
                    && process(*pid, event.process.as_ref())
            }),
            EventTruth::OutOfMemory { pid } => events
                .iter()
                .any(|event| event.kind == "oom_kill" && process(*pid, event.process.as_ref())),
        };
        if !seen {
            self.found
                .push(format!("{truth:?}: not found in {events:?}"));
        }
    }

    fn cpu(&mut self, processes: &[ProcessTruth], cgroup: Option<u64>) {
        let mut sums = [0, 0];
        for process in processes {
            let Some(true_ns) = process.cpu_ns else {
                continue;
            };
            let ns: u64 = self.life(process).iter().map(|row| row.cpu_ns).sum();
            sums = [sums[0] + ns, sums[1] + true_ns];
            if true_ns >= MIN_PROCESS_NS {
                self.near(
                    format!("CPU of process {}", process.pid),
                    ns,
                    true_ns,
                    CPU_PERCENT,
                );
            }
        }
        if sums[1] >= MIN_SUM_NS {
            self.near(
                "CPU of all children".to_owned(),
                sums[0],
                sums[1],
                CPU_PERCENT,
            );
        }
        let all: u64 = self.ledger.processes.iter().map(|row| row.cpu_ns).sum();
        let mut stored = self.ledger.summary.accounting.cgroup_cpu_ns;
        let mut losses = self.ledger.summary.losses.iter();
        if losses.any(|loss| loss.reason == CGROUP_GONE) {
            println!(
                "a cgroup vanished before the agent read it: its stored count is not compared"
            );
            stored = None;
        }
        for (source, cgroup) in [("read by the suite", cgroup), ("as stored", stored)] {
            // A cgroup with a short life may have no count.
            if let Some(cgroup) = cgroup.filter(|ns| *ns >= 5 * MIN_SUM_NS) {
                let what = format!("sum of processes and the cgroup's own count ({source})");
                println!("{what}: {all} and {cgroup} ns");
                self.near(what, all, cgroup, SUM_PERCENT);
            }
        }
    }

    fn near(&mut self, what: String, seen: u64, truth: u64, percent: f64) {
        let off = percent_off(seen, truth);
        if off > percent {
            self.found.push(format!(
                "{what}: stored {seen}, expected {truth} ({off:.2} % off)"
            ));
        }
    }

    fn end(&mut self, finished: &Finished) {
        let container = &self.ledger.summary.container;
        self.equal(
            || "state of the container".to_owned(),
            container.state.as_str(),
            "ended",
        );
        let code = i64::from(finished.exit_code);
        self.equal(
            || "exit code of the container".to_owned(),
            container.exit_code,
            finished.runtime_reports_exit.then_some(code),
        );
        let killed = |event: &EventTruth| matches!(event, EventTruth::OutOfMemory { .. });
        let oom = finished.runtime_reports_exit && finished.truth.events.iter().any(killed);
        self.equal(|| "out of memory".to_owned(), container.oom_killed, oom);
    }
}
