//! Threads and processes, as the events so far describe them.

use std::sync::Arc;

use bubble_common::segment::loss::Loss;
use bubble_common::segment::process::{Exit, Memory};

use super::bytes::{MAX_ARGUMENTS, MAX_PATH, text, until_nul};
use super::descriptor::Descriptors;
use super::pending::Pending;
use super::view::Enter;
use crate::sink::{ContainerHandle, ProcessHandle};

/// The name of a thread that nothing named yet, as sysdig shows it.
pub(super) const UNKNOWN_NAME: &str = "<NA>";

/// A thread.
#[derive(Debug)]
pub(super) struct Thread {
    pub(super) tid: i64,
    /// The key of its process.
    pub(super) process: u32,
    pub(super) comm: Box<str>,
    /// When an event made it; 0 if it was there before.
    pub(super) born: u64,
    /// Its own event made it known, not its parent's.
    pub(super) by_itself: bool,
    pub(super) has_ended: bool,
    /// Cached owner of its activity. `None`: look it up.
    pub(super) owner: Option<Owner>,
    /// The call that it is in.
    pub(super) enter: Enter,
    /// The highest memory reported in the current second.
    pub(super) reported_memory: ReportedMemory,
    /// Its latest sample of CPU time.
    pub(super) sample: Option<CpuSample>,
}

/// The row of the sink that an activity is charged to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Owner {
    /// None: the activity is not counted.
    Nobody,
    /// A process in a container, with the key of the container.
    Process {
        key: u32,
        container: ContainerHandle,
        process: ProcessHandle,
    },
}

/// Memory reported to the sink in a second, in KiB.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct ReportedMemory {
    pub(super) second: u64,
    pub(super) vm: u32,
    pub(super) rss: u32,
}

/// The CPU time of a thread that is sampled.
///
/// A filtered capture lacks some of its switches, and those that it has show the same time as the
/// samples. So a sample charges what switches have not shown, and a run that it covers is not
/// charged again.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct CpuSample {
    /// When the latest sample was taken.
    pub(super) at: u64,
    /// The ticks that it had used by then.
    pub(super) ticks: u64,
    /// ns that samples have shown since the first one.
    pub(super) sampled: u64,
    /// ns that were charged since then, by switches too.
    pub(super) charged: u64,
}

/// A process.
#[derive(Debug, Default)]
pub(super) struct Process {
    pub(super) pid: i64,
    pub(super) parent: i64,
    /// Its number in the innermost pid namespace; -1 if not known.
    pub(super) vpid: i64,
    pub(super) uid: u32,
    pub(super) gid: Option<u32>,
    /// Path of the program.
    pub(super) exe: Arc<str>,
    /// The command line, NUL between words.
    pub(super) args: Arc<str>,
    /// Working directory; empty if not known.
    pub(super) cwd: Arc<str>,
    /// When it was made, in ns; the beginning of the capture if it was there before.
    pub(super) start: u64,
    /// The number of rows that it had before its current program.
    pub(super) rows_before: u32,
    /// The key of its container. `None`: it is in none, or that is not known.
    pub(super) container: Option<u32>,
    /// The key of the container that counts it among its processes.
    pub(super) lives_in: Option<u32>,
    /// Some event or list said which container it is in.
    pub(super) is_container_known: bool,
    pub(super) descriptors: Descriptors,
    /// Forks that wait for the child's own event.
    pub(super) forks: Vec<Fork>,
    /// Threads that live.
    pub(super) threads: u32,
    /// Its rows in the sink since it began to run its program, one a thread name.
    pub(super) rows: Vec<Row>,
    /// Activity that waits until its container is known.
    pub(super) pending: Vec<Pending>,
    /// Activity that found no room to wait.
    pub(super) pending_lost: Loss,
    /// Its exit status, by the first of its threads that ended.
    pub(super) exit: Option<Exit>,
    /// Its memory when the capture began.
    pub(super) memory: Option<Memory>,
}

/// A fork in the parent's event, with the descriptors of that moment: the parent may
/// close them before the child's event comes.
#[derive(Debug)]
pub(super) struct Fork {
    pub(super) at: u64,
    /// The child's number in the parent's pid namespace.
    pub(super) child: i64,
    pub(super) descriptors: Descriptors,
}

/// A row of the sink.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) name: Box<str>,
    pub(super) owner: Owner,
    /// Its number among those of its process.
    pub(super) number: u32,
}

impl Thread {
    pub(super) fn new(tid: i64, process: u32, comm: Box<str>) -> Self {
        Self {
            tid,
            process,
            comm,
            born: 0,
            by_itself: false,
            has_ended: false,
            owner: None,
            enter: Enter::default(),
            reported_memory: ReportedMemory::default(),
            sample: None,
        }
    }
}

impl Process {
    /// Takes its number in the innermost pid namespace from an event, if it is not known yet.
    pub(super) fn learn_vpid(&mut self, vpid: i64) {
        if self.vpid < 0 {
            self.vpid = vpid;
        }
    }

    /// The working directory, if it is known.
    pub(super) fn cwd(&self) -> Option<&str> {
        Some(&*self.cwd).filter(|cwd| !cwd.is_empty())
    }

    /// Sets the program and the command line; captures have its first word apart.
    pub(super) fn set_program(&mut self, path: &[u8], first: &[u8], rest: &[u8]) {
        self.exe = text(path, MAX_PATH).into();
        let mut args = until_nul(first).to_vec();
        let rest = rest.strip_suffix(&[0]).unwrap_or(rest);
        if !rest.is_empty() {
            args.push(0);
            args.extend_from_slice(rest);
        }
        args.truncate(MAX_ARGUMENTS);
        self.args = String::from_utf8_lossy(&args).into();
    }
}
