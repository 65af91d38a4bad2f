//! Compares what is stored of each process with what the witness says about it (docs/witness.md).

use std::collections::HashMap;
use std::fmt;

use bubble_workload::witnessed::{Bytes, Witnessed, WitnessedProcess};

use crate::api::{Ledger, Process};

/// Maximum difference between the two times of one start, ns. The witness knows it to a tick of 10 ms.
const MAX_START_DIFFERENCE_NS: u64 = 1_000_000_000;
/// Maximum number of differences to print.
const MAX_LINES: usize = 30;

/// The result for one container, or for several after [`Reconciled::add`].
#[derive(Clone, Debug, Default)]
pub struct Reconciled {
    /// Number of processes of the witness.
    pub processes: usize,
    /// The kernel's own sums.
    pub io: Bytes,
    /// The part of them that was read to execute programs.
    pub exec_read: u64,
    /// Results of calls with messages.
    pub messages: Bytes,
    /// Results of `splice` and similar calls.
    pub spliced: Bytes,
    /// Sum of the stored files and connections.
    pub stored: Bytes,
    /// The part of `stored` in rows that stand for several processes.
    pub folded: Bytes,
    /// Sum of the absolute differences of all processes, bytes.
    pub unexplained: u64,
    /// One sentence for each process with a difference.
    pub differences: Vec<String>,
    /// The stored losses, as `COUNT × REASON`.
    pub losses: Vec<String>,
}

impl Reconciled {
    /// Adds another result.
    pub fn add(&mut self, other: Self) {
        self.processes += other.processes;
        self.io += other.io;
        self.exec_read += other.exec_read;
        self.messages += other.messages;
        self.spliced += other.spliced;
        self.stored += other.stored;
        self.folded += other.folded;
        self.unexplained += other.unexplained;
        self.differences.extend(other.differences);
        self.losses.extend(other.losses);
    }

    /// What the processes moved according to the witness, bytes.
    pub fn witnessed(&self) -> u64 {
        let sums = [self.io, self.messages, self.spliced];
        let all: u64 = sums.iter().map(|sum| sum.read + sum.written).sum();
        all - self.exec_read
    }

    /// The unexplained bytes per byte that was moved.
    pub fn unexplained_share(&self) -> f64 {
        self.unexplained as f64 / (self.witnessed() as f64).max(1.0)
    }
}

impl fmt::Display for Reconciled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut row = |name: &str, sign: &str, bytes: Bytes| {
            writeln!(
                f,
                "  {name:34} {sign} {:>16} {:>16}",
                bytes.read, bytes.written
            )
        };
        let exec = Bytes {
            read: self.exec_read,
            written: 0,
        };
        row("rchar, wchar of the kernel", " ", self.io)?;
        row("read to execute programs", "-", exec)?;
        row("send, recv", "+", self.messages)?;
        row("splice, tee, vmsplice", "+", self.spliced)?;
        row("stored: files and connections", "=", self.stored)?;
        if self.folded != Bytes::default() {
            row("of it in rows of several processes", " ", self.folded)?;
        }
        writeln!(
            f,
            "  {} processes, unexplained: {} bytes, {:.4} %",
            self.processes,
            self.unexplained,
            self.unexplained_share() * 100.0
        )?;
        for line in self.differences.iter().take(MAX_LINES) {
            writeln!(f, "  unexplained: {line}")?;
        }
        if let Some(more) = self.differences.len().checked_sub(MAX_LINES + 1) {
            writeln!(f, "  and {} more", more + 1)?;
        }
        for loss in &self.losses {
            writeln!(f, "  lost: {loss}")?;
        }
        Ok(())
    }
}

/// The stored sums of one process over all its programs.
struct Life {
    pid: u32,
    start_ns: u64,
    name: String,
    is_folded: bool,
    moved: Bytes,
}

/// `PID-START-EXEC` as pid and start.
fn parse(process: &Process) -> (u32, u64) {
    let mut numbers = process.key.split('-');
    let pid = numbers.next().and_then(|pid| pid.parse().ok());
    let start = numbers.next().and_then(|start| start.parse().ok());
    (pid.unwrap_or(0), start.unwrap_or(0))
}

/// The stored sums by life. Folded rows are one life each, with pid 0.
fn lives(ledger: &Ledger) -> Vec<Life> {
    let mut lives: HashMap<&str, Life> = HashMap::new();
    let mut life_of: HashMap<&str, &str> = HashMap::new();
    for row in &ledger.processes {
        let (pid, start_ns) = parse(row);
        let life = if pid == 0 {
            row.key.as_str()
        } else {
            row.life()
        };
        life_of.insert(&row.key, life);
        lives.entry(life).or_insert_with(|| Life {
            pid,
            start_ns,
            name: row.name.clone(),
            is_folded: pid == 0,
            moved: Bytes::default(),
        });
    }
    let files = ledger.files.iter();
    let files = files.map(|row| (&row.process, row.bytes_in, row.bytes_out));
    let connections = ledger.connections.iter();
    let connections = connections.map(|row| (&row.process, row.bytes_in, row.bytes_out));
    for (process, read, written) in files.chain(connections) {
        let key = process.as_str();
        let life = life_of.get(key).copied().unwrap_or(key);
        let life = lives.entry(life).or_insert_with(|| Life {
            pid: 0,
            start_ns: 0,
            name: format!("{process}, which is in no row of processes"),
            is_folded: false,
            moved: Bytes::default(),
        });
        life.moved += Bytes { read, written };
    }
    lives.into_values().collect()
}

/// Compares all processes. Rows that stand for several processes are compared with all that the rows of
/// single processes lack.
pub fn reconcile(witnessed: &Witnessed, ledger: &Ledger) -> Reconciled {
    let mut result = Reconciled {
        processes: witnessed.processes.len(),
        losses: ledger
            .summary
            .losses
            .iter()
            // The sums of neighbouring seconds are exact.
            .filter(|loss| loss.reason != "partial")
            .map(|loss| format!("{} × {}", loss.count, loss.reason))
            .collect(),
        ..Reconciled::default()
    };
    let mut by_pid: HashMap<u32, Vec<Life>> = HashMap::new();
    for life in lives(ledger) {
        result.stored += life.moved;
        if life.is_folded {
            result.folded += life.moved;
        } else {
            by_pid.entry(life.pid).or_default().push(life);
        }
    }
    let some_are_folded = result.folded != Bytes::default();
    let mut lacking = Bytes::default();
    for process in &witnessed.processes {
        result.io += process.io;
        result.exec_read += process.exec_read;
        result.messages += process.messages;
        result.spliced += process.spliced;
        let life = take(&mut by_pid, process);
        let stored = life.map_or_else(Bytes::default, |life| life.moved);
        let moved = process.moved();
        if some_are_folded && stored.read <= moved.read && stored.written <= moved.written {
            lacking += Bytes {
                read: moved.read - stored.read,
                written: moved.written - stored.written,
            };
        } else {
            result.compare(&describe(process), stored, moved);
        }
    }
    let folded = result.folded;
    result.compare("rows of several processes", folded, lacking);
    // What is left belongs to no process of the witness.
    for life in by_pid.into_values().flatten() {
        let what = format!("process {} {}, unknown to the witness", life.pid, life.name);
        result.compare(&what, life.moved, Bytes::default());
    }
    result
}

/// Removes the life of the process. A pid may have had several.
fn take(by_pid: &mut HashMap<u32, Vec<Life>>, process: &WitnessedProcess) -> Option<Life> {
    let lives = by_pid.get_mut(&process.pid)?;
    let difference = |life: &Life| life.start_ns.abs_diff(process.start_ns);
    let (index, nearest) = lives
        .iter()
        .enumerate()
        .min_by_key(|(_, life)| difference(life))?;
    (difference(nearest) <= MAX_START_DIFFERENCE_NS).then(|| lives.swap_remove(index))
}

fn describe(process: &WitnessedProcess) -> String {
    let args: String = process.args.join(" ").chars().take(80).collect();
    let asynchronous = match process.submissions {
        0 => String::new(),
        count => format!(", with {count} calls that submit asynchronous requests"),
    };
    format!("process {} {args:?}{asynchronous}", process.pid)
}

impl Reconciled {
    fn compare(&mut self, what: &str, stored: Bytes, witnessed: Bytes) {
        let difference =
            stored.read.abs_diff(witnessed.read) + stored.written.abs_diff(witnessed.written);
        if difference == 0 {
            return;
        }
        self.unexplained += difference;
        self.differences.push(format!(
            "{what}: stored {} read and {} written, expected {} and {}",
            stored.read, stored.written, witnessed.read, witnessed.written
        ));
    }
}
