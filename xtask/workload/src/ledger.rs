//! The ledger into which the cases write what the kernel told them, call by call.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use bubble_workload::truth::{EventTruth, FileTruth, Flow, ProcessTruth, Pulse, Truth};

use crate::sys;

/// UTC, ns since 1970.
pub(crate) fn now_ns() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos() as u64)
}

/// The truth of this process in the making.
pub(crate) struct Ledger {
    truth: Truth,
    files: BTreeMap<String, FileTruth>,
    pid: u32,
}

impl Ledger {
    /// Starts the clock of `case`.
    pub(crate) fn new(case: impl Into<String>) -> Self {
        let pid = sys::getpid();
        let this = ProcessTruth {
            pid,
            parent: sys::getppid(),
            args: std::env::args().collect(),
            names: Vec::new(),
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

    /// This process's id, as seen inside.
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
            })
    }

    /// One successful open of `path`.
    pub(crate) fn opened(&mut self, path: &Path) {
        self.file(&path.to_string_lossy()).opens += 1;
        self.truth.opens += 1;
    }

    /// Successful opens whose files are too many to list.
    pub(crate) fn opened_unlisted(&mut self, opens: u64) {
        self.truth.opens += opens;
    }

    /// One call that took `bytes` out of `path`. The end of the file moves nothing.
    pub(crate) fn read(&mut self, path: &str, bytes: u64) {
        self.file(path).read.add(bytes);
    }

    /// One call that put `bytes` into `path`.
    pub(crate) fn written(&mut self, path: &str, bytes: u64) {
        self.file(path).written.add(bytes);
    }

    /// One system call here is not one operation in the kernel.
    pub(crate) fn operations_differ(&mut self) {
        self.truth.operations_are_exact = false;
    }

    /// Why the kernel refused the case.
    pub(crate) fn unsupported(&mut self, call: &str, error: &io::Error) {
        self.truth.unsupported = Some(format!("{call}: {error}"));
    }

    /// A child that has ended.
    pub(crate) fn ended(&mut self, pid: u32, args: Vec<String>, ended: sys::Ended) {
        self.truth.processes.push(ProcessTruth {
            pid,
            parent: self.pid,
            args,
            names: Vec::new(),
            exit_code: ended.exit_code,
            signal: ended.signal,
            cpu_ns: Some(ended.cpu_ns),
            max_rss_bytes: Some(ended.max_rss_bytes),
        });
    }

    /// The names that the last child of [`Self::ended`] had.
    pub(crate) fn named(&mut self, names: &[&str]) {
        if let Some(child) = self.truth.processes.last_mut() {
            child.names = names.iter().map(|name| (*name).to_owned()).collect();
        }
    }

    /// What a child counted itself and handed over.
    pub(crate) fn unite(&mut self, child: Truth) {
        self.truth.connections.extend(child.connections);
        self.truth.files.extend(child.files);
        self.truth.opens += child.opens;
    }

    /// A connection that is over.
    pub(crate) fn connection(&mut self, connection: bubble_workload::truth::ConnectionTruth) {
        self.truth.connections.push(connection);
    }

    /// Something rare.
    pub(crate) fn event(&mut self, event: EventTruth) {
        self.truth.events.push(event);
    }

    /// One pulse.
    pub(crate) fn pulse(&mut self, pulse: Pulse) {
        self.truth.pulses.push(pulse);
    }

    /// What this process is going to leave with.
    pub(crate) fn leaves_with(&mut self, code: i32) {
        self.truth.processes[0].exit_code = Some(code);
    }

    /// Stops the clock and hands the truth out.
    pub(crate) fn close(mut self) -> Truth {
        self.truth.end_ns = now_ns();
        self.truth.files.extend(self.files.into_values());
        self.truth
    }
}
