//! The ledger: records what the kernel returned to each call of a case.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bubble_workload::truth::{EventTruth, FileTruth, Flow, LossTruth, ProcessTruth, Pulse, Truth};

use crate::sys;

/// UTC, ns since 1970.
pub(crate) fn now_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

/// Collects the truth of this process.
pub(crate) struct Ledger {
    truth: Truth,
    files: BTreeMap<String, FileTruth>,
    pid: u32,
}

impl Ledger {
    /// Starts a ledger, and the clock of `case`.
    pub(crate) fn new(case: impl Into<String>) -> Self {
        let pid = sys::getpid();
        let this = ProcessTruth {
            pid,
            parent: sys::getppid(),
            args: std::env::args().collect(),
            names: Vec::new(),
            exe: None,
            uid: None,
            gid: None,
            exit_code: Some(0),
            signal: None,
            cpu_ns: None,
            max_rss_bytes: None,
        };
        let truth = Truth {
            case: case.into(),
            start_ns: now_ns(),
            processes: vec![this],
            operations_are_exact: true,
            ..Truth::default()
        };
        Self {
            truth,
            files: BTreeMap::new(),
            pid,
        }
    }

    /// Id of this process in its pid namespace.
    pub(crate) fn pid(&self) -> u32 {
        self.pid
    }

    fn file(&mut self, path: &str) -> &mut FileTruth {
        let pid = self.pid;
        self.files
            .entry(path.to_owned())
            .or_insert_with(|| FileTruth {
                path: path.to_owned(),
                pid,
                read: Flow::default(),
                written: Flow::default(),
                opens: 0,
                mapped_pages: None,
            })
    }

    /// Records a successful open of `path`.
    pub(crate) fn opened(&mut self, path: &Path) {
        self.file(&path.to_string_lossy()).opens += 1;
        self.truth.opens += 1;
    }

    /// Records pages of `path` that page faults brought in.
    pub(crate) fn mapped(&mut self, path: &Path, pages: u64) {
        let mapped = &mut self.file(&path.to_string_lossy()).mapped_pages;
        *mapped = Some(mapped.unwrap_or(0) + pages);
    }

    /// Records successful opens of too many files to list.
    pub(crate) fn opened_unlisted(&mut self, opens: u64) {
        self.truth.opens += opens;
    }

    /// Records a call that read `bytes` from `path`. A call that only finds the end is not recorded.
    pub(crate) fn read(&mut self, path: &str, bytes: u64) {
        self.file(path).read.add(bytes);
    }

    /// Records a call that wrote `bytes` to `path`.
    pub(crate) fn written(&mut self, path: &str, bytes: u64) {
        self.file(path).written.add(bytes);
    }

    /// Records operations that are a loss of this reason.
    pub(crate) fn lost(&mut self, reason: &str, count: u64) {
        let losses = &mut self.truth.losses;
        match losses.iter_mut().find(|loss| loss.reason == reason) {
            Some(loss) => loss.count += count,
            None => losses.push(LossTruth {
                reason: reason.to_owned(),
                count,
            }),
        }
    }

    /// Records that one system call of this case may be several operations in the kernel.
    pub(crate) fn operations_differ(&mut self) {
        self.truth.operations_are_exact = false;
    }

    /// Records why the kernel refused the case.
    pub(crate) fn unsupported(&mut self, call: &str, error: &io::Error) {
        self.truth.unsupported = Some(format!("{call}: {error}"));
    }

    /// Records a finished child.
    pub(crate) fn ended(&mut self, pid: u32, args: Vec<String>, ended: sys::Ended) {
        self.truth.processes.push(ProcessTruth {
            pid,
            parent: self.pid,
            args,
            names: Vec::new(),
            exe: None,
            uid: None,
            gid: None,
            exit_code: ended.exit_code,
            signal: ended.signal,
            cpu_ns: Some(ended.cpu_ns),
            max_rss_bytes: Some(ended.max_rss_bytes),
        });
    }

    /// Records the names of the last child that was recorded by [`Self::ended`].
    pub(crate) fn named(&mut self, names: &[&str]) {
        if let Some(child) = self.truth.processes.last_mut() {
            child.names = names.iter().map(|name| (*name).to_owned()).collect();
        }
    }

    /// Records the last user, group and program of the last child that was recorded by
    /// [`Self::ended`].
    pub(crate) fn identified(&mut self, uid: u32, gid: u32, exe: String) {
        if let Some(child) = self.truth.processes.last_mut() {
            (child.uid, child.gid, child.exe) = (Some(uid), Some(gid), Some(exe));
        }
    }

    /// Adds the counts of a child.
    pub(crate) fn unite(&mut self, child: Truth) {
        self.truth.connections.extend(child.connections);
        self.truth.files.extend(child.files);
        self.truth.opens += child.opens;
    }

    /// Records a connection at its end.
    pub(crate) fn connection(&mut self, connection: bubble_workload::truth::ConnectionTruth) {
        self.truth.connections.push(connection);
    }

    /// Records an event.
    pub(crate) fn event(&mut self, event: EventTruth) {
        self.truth.events.push(event);
    }

    /// Records a pulse.
    pub(crate) fn pulse(&mut self, pulse: Pulse) {
        self.truth.pulses.push(pulse);
    }

    /// Records the exit code with which this process will exit.
    pub(crate) fn exit_code(&mut self, code: i32) {
        self.truth.processes[0].exit_code = Some(code);
    }

    /// Stops the clock and returns the truth.
    pub(crate) fn close(mut self) -> Truth {
        self.truth.end_ns = now_ns();
        self.truth.files.extend(self.files.into_values());
        self.truth
    }
}
