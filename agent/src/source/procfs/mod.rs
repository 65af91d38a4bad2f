//! The source for hosts without eBPF: scans /proc once a second.
//!
//! What a process did between the last scan and its end is missing from its row,
//! though not from the container's own figures. Files and peers cannot be told
//! apart at all. [`missing`] says so; the page shows no zero for what is unknown.

pub mod tree;

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::process::{Process, ProcessId};
use rustix::param::{clock_ticks_per_second, page_size};

use self::tree::{Runs, Tree};
use super::{Host, Source, SourceError};
use crate::clock::SECOND;
use crate::proc::stat::{Io, Stat, memory_of_statm};
use crate::proc::{ProcessFolder, runs_in_session, unless_gone};
use crate::sink::{ContainerHandle, ProcessHandle, Sink};

/// Name of the row with all reads and writes of a process.
const ALL_IO: &str = "(all reads and writes)";
/// Drains in which a new process may still be moved to another cgroup: it is checked in each.
const YOUNG_DRAINS: u64 = 3;
/// Drains between two checks of an older process's cgroup, and of what it may change of itself.
const CHECK_INTERVAL: u64 = 10;

/// What cannot be counted from /proc, one sentence each.
pub fn missing() -> Vec<String> {
    [
        "files: what was read and written is known by process, not by file, and sockets and pipes are in it",
        "network: peers and their bytes are not known",
        "processes that live for less than a second, and what others did in their last one, are only in the container's own figures",
        "CPU by core is inexact: a process's time is charged to the core it was last on, to the hundredth of a second",
        "exit codes and signals of processes are not known",
    ]
    .map(str::to_owned)
    .to_vec()
}

/// Counts by scanning /proc.
#[derive(Debug)]
pub struct Procfs {
    proc: PathBuf,
    /// The only processes that are counted; `None`: those of all containers, by their cgroups.
    tree: Option<Tree>,
    /// What the first scan finds began after counting did.
    is_all_new: bool,
    missing: Vec<String>,
    /// Processes by pid and start (in ticks).
    tracked: HashMap<(u32, u64), Tracked>,
    /// Numbers of the processes that this scan has read.
    read: HashSet<u32>,
    /// Tells whether a process runs that /proc does not show.
    runs: Runs,
    /// Nanoseconds in a tick, the unit of CPU time in /proc.
    tick: u64,
    drains: u64,
}

/// A process that the last scan found.
#[derive(Debug)]
struct Tracked {
    /// When it started, as first computed: the time of day may be set meanwhile, and the start is part of
    /// its identity.
    start: u64,
    first_drain: u64,
    last_drain: u64,
    name: String,
    session: u32,
    /// Address where the stack of its program began; 0 if that is not known.
    stack: u64,
    execs: u32,
    container: Option<ContainerHandle>,
    row: Option<Row>,
    cpu: u64,
    io: Option<Io>,
}

/// What the sink knows of a process.
#[derive(Debug)]
struct Row {
    handle: ProcessHandle,
    process: Process,
}

/// What a process did since the last scan.
struct Delta {
    /// When the process started.
    start: u64,
    cpu: u64,
    io: FileIo,
    /// It runs another program or is in another container: it becomes another row.
    new_row: bool,
}

impl Procfs {
    /// A source over /proc.
    pub fn new() -> Self {
        Self::under(Path::new("/proc"))
    }

    /// A source over a folder that is laid out as /proc is.
    pub fn under(proc: &Path) -> Self {
        Self {
            proc: proc.to_owned(),
            tree: None,
            is_all_new: false,
            missing: missing(),
            tracked: HashMap::new(),
            read: HashSet::new(),
            runs: runs_in_session,
            tick: SECOND / clock_ticks_per_second(),
            drains: 0,
        }
    }

    /// Counts only the processes of `tree`, as one container.
    pub fn set_tree(&mut self, tree: Tree) {
        self.tree = Some(tree);
    }

    /// Counts all of what the first scan finds: nothing was there before counting began.
    pub fn expect_new(&mut self) {
        self.is_all_new = true;
    }

    /// Adds a sentence to the list of what cannot be counted.
    pub fn add_missing(&mut self, sentence: &str) {
        self.missing.push(sentence.to_owned());
    }

    fn folder(&self, pid: u32) -> ProcessFolder {
        ProcessFolder::new(&self.proc, pid)
    }

    /// Passes on what one process did since the last scan.
    fn scan_process<S: Sink>(&mut self, at: u64, pid: u32, host: &mut Host<'_>, sink: &mut S) {
        let folder = self.folder(pid);
        let stat = match unless_gone(folder.stat()) {
            Ok(stat) => stat.flatten(),
            Err(error) => {
                self.retain_unread(at, pid, &error, sink);
                return;
            }
        };
        let Some(stat) = stat else { return };
        self.read.insert(pid);
        if self.tree.as_ref().is_some_and(|tree| tree.is_unknown(pid)) {
            // What it does now counts once it is known to be a member.
            if let Some(tracked) = self.tracked.get_mut(&(pid, stat.start)) {
                tracked.last_drain = self.drains;
            }
            return;
        }
        let container = self.container(at, pid, &stat, host, sink);
        let io = container.and_then(|container| {
            let text = unless_gone(folder.read("io")).unwrap_or_else(|error| {
                // Without the right to trace it nobody expects them: see `missing`.
                if error.kind() != io::ErrorKind::PermissionDenied {
                    report_unread(at, pid, Some(container), &error, sink);
                }
                None
            });
            Io::parse(&text?)
        });
        // Memory and stack are those of any thread that still runs.
        let living = container.and_then(|container| {
            let living = folder.living(stat.clone()).and_then(|living| {
                let Some((folder, stat)) = living else {
                    return Ok(None);
                };
                let statm = unless_gone(fs::read(folder.join("statm")))?;
                let memory = statm.and_then(|text| memory_of_statm(&text, page_size() as u64));
                Ok(Some((memory.unwrap_or_default(), stat.stack)))
            });
            living.unwrap_or_else(|error| {
                report_unread(at, pid, Some(container), &error, sink);
                None
            })
        });
        let (memory, stack) = living.unwrap_or_default();
        let start = host.clock.of_boot(stat.start.saturating_mul(self.tick));
        let delta = self.track(pid, start, &stat, stack, container, io);
        let Some(container) = container else {
            let tracked = self.tracked.get_mut(&(pid, stat.start));
            if let Some(row) = tracked.and_then(|tracked| tracked.row.take()) {
                sink.release_process(row.handle);
            }
            return;
        };
        let handle = self.handle(pid, delta.start, &stat, container, delta.new_row, sink);
        if delta.cpu > 0 {
            sink.cpu(at, handle, stat.core, delta.cpu);
        }
        if memory.vm > 0 {
            sink.memory(at, handle, memory);
        }
        if delta.io != FileIo::default() {
            let all = File {
                path: ALL_IO.to_owned(),
                kind: FileKind::Unknown,
            };
            let all = sink.file(container, &all);
            sink.file_io(at, handle, all, delta.io);
        }
    }

    /// Keeps what is known about a process that may run, but cannot be read: with its sums forgotten,
    /// all that it ever did would count again.
    fn retain_unread<S: Sink>(&mut self, at: u64, pid: u32, error: &io::Error, sink: &mut S) {
        let is_hidden = error.kind() == io::ErrorKind::PermissionDenied;
        let is_member = |tree: &Tree| tree.container(pid).is_some() || tree.is_unknown(pid);
        if is_hidden && self.tree.as_ref().is_some_and(|tree| !is_member(tree)) {
            // The number may be that of another process now.
            return;
        }
        let drains = self.drains;
        let mut container = None;
        for (_, tracked) in self
            .tracked
            .iter_mut()
            .filter(|((known, _), _)| *known == pid)
        {
            tracked.last_drain = drains;
            container = container.or(tracked.container);
        }
        // Processes of other users, as the mount option hidepid hides them, were never counted.
        if container.is_some() || !is_hidden {
            report_unread(at, pid, container, error, sink);
        }
    }

    /// Forgets the processes that the scan has not found. One that runs all the same is hidden, and counts
    /// on when it is seen again.
    fn remove_ended<S: Sink>(&mut self, at: u64, sink: &mut S) {
        let (drains, runs) = (self.drains, self.runs);
        let read = std::mem::take(&mut self.read);
        self.tracked.retain(|(pid, _), tracked| {
            if tracked.last_drain == drains {
                return true;
            }
            let is_hidden = !read.contains(pid) && runs(*pid, tracked.session);
            if is_hidden && tracked.container.is_some() {
                let error = io::ErrorKind::PermissionDenied.into();
                report_unread(at, *pid, tracked.container, &error, sink);
            }
            if let (false, Some(row)) = (is_hidden, &tracked.row) {
                sink.release_process(row.handle);
            }
            is_hidden
        });
    }

    /// The container of a process: from its cgroup when that is due, else the last known one.
    fn container<S: Sink>(
        &self,
        at: u64,
        pid: u32,
        stat: &Stat,
        host: &mut Host<'_>,
        sink: &mut S,
    ) -> Option<ContainerHandle> {
        if let Some(tree) = &self.tree {
            return tree.container(pid);
        }
        let tracked = self.tracked.get(&(pid, stat.start));
        if let Some(tracked) = tracked
            && self.drains - tracked.first_drain >= YOUNG_DRAINS
            && !self.drains.is_multiple_of(CHECK_INTERVAL)
        {
            return tracked.container;
        }
        let cgroup = match unless_gone(self.folder(pid).read("cgroup")) {
            Ok(text) => text.unwrap_or_default(),
            Err(error) => {
                let last = tracked.and_then(|tracked| tracked.container);
                report_unread(at, pid, last, &error, sink);
                return last;
            }
        };
        let cgroup = String::from_utf8_lossy(&cgroup);
        let path = host.containers.hierarchies().primary().path_of(&cgroup)?;
        host.containers.of_path(at, &path, sink)
    }

    /// Notes the running totals of a process and returns what they grew by.
    fn track(
        &mut self,
        pid: u32,
        start: u64,
        stat: &Stat,
        stack: u64,
        container: Option<ContainerHandle>,
        io: Option<Io>,
    ) -> Delta {
        let drains = self.drains;
        let is_all_new = self.is_all_new;
        let cpu = stat.cpu.saturating_mul(self.tick);
        let tracked = self.tracked.entry((pid, stat.start)).or_insert_with(|| {
            // The totals of a process that was there before the first scan are not news.
            let is_born = drains > 0 || is_all_new;
            Tracked {
                start,
                first_drain: drains,
                last_drain: drains,
                name: stat.name.clone(),
                session: stat.session,
                stack,
                execs: 0,
                container: None,
                row: None,
                cpu: if is_born { 0 } else { cpu },
                io: if is_born { Some(Io::default()) } else { io },
            }
        });
        tracked.last_drain = drains;
        tracked.session = stat.session;
        let mut new_row = tracked.container != container;
        tracked.container = container;
        // Without the right to see the stack, a new name stands for a new program.
        let has_execed = if stack != 0 && tracked.stack != 0 {
            stack != tracked.stack
        } else {
            stack == tracked.stack && tracked.name != stat.name
        };
        if stack != 0 {
            tracked.stack = stack;
        }
        tracked.name.clone_from(&stat.name);
        if has_execed {
            tracked.execs += 1;
            new_row = true;
        }
        let used = cpu.saturating_sub(tracked.cpu);
        tracked.cpu = cpu;
        let before = tracked.io;
        tracked.io = io.or(before);
        Delta {
            start: tracked.start,
            cpu: used,
            io: before
                .zip(io)
                .map_or_else(FileIo::default, |(before, now)| now.since(before)),
            new_row,
        }
    }

    /// The sink's handle of a process: a new one when it becomes another row. Reports what the process
    /// has changed of itself.
    fn handle<S: Sink>(
        &mut self,
        pid: u32,
        start: u64,
        stat: &Stat,
        container: ContainerHandle,
        new_row: bool,
        sink: &mut S,
    ) -> ProcessHandle {
        let folder = self.folder(pid);
        let drains = self.drains;
        let tracked = self.tracked.get_mut(&(pid, stat.start));
        let (exec, stack) = tracked
            .as_ref()
            .map_or((0, 0), |tracked| (tracked.execs, tracked.stack));
        let is_due = tracked.as_ref().is_none_or(|tracked| {
            drains - tracked.first_drain < YOUNG_DRAINS || drains.is_multiple_of(CHECK_INTERVAL)
        });
        let facts = || folder.facts(stat.start, stack);
        let row = tracked.map(|tracked| {
            if new_row && let Some(old) = tracked.row.take() {
                sink.release_process(old.handle);
            }
            &mut tracked.row
        });
        if let Some(Some(row)) = &row
            && !is_due
            && row.process.name == stat.name
        {
            return row.handle;
        }
        let describe = |process: &mut Process| {
            process.name.clone_from(&stat.name);
            process.parent = stat.parent;
            if let Some(facts) = facts() {
                facts.apply(process);
            }
        };
        match row {
            Some(Some(row)) => {
                let before = row.process.clone();
                describe(&mut row.process);
                if row.process != before {
                    sink.process(container, &row.process);
                }
                row.handle
            }
            row => {
                let mut process = Process::new(ProcessId { pid, start, exec }, "");
                describe(&mut process);
                let handle = sink.process(container, &process);
                if let Some(row) = row {
                    *row = Some(Row { handle, process });
                }
                handle
            }
        }
    }
}

/// Reports a process that could not be read as a loss of its container, or of the host.
fn report_unread<S: Sink>(
    at: u64,
    pid: u32,
    container: Option<ContainerHandle>,
    error: &io::Error,
    sink: &mut S,
) {
    tracing::debug!(pid, %error, "cannot read a process");
    let loss = Loss { count: 1, bytes: 0 };
    sink.loss(at, container, Reason::UNREADABLE, loss);
}

impl Default for Procfs {
    fn default() -> Self {
        Self::new()
    }
}

impl Source for Procfs {
    fn hooks(&self) -> &str {
        "procfs"
    }

    fn missing(&self) -> &[String] {
        &self.missing
    }

    fn poll<S: Sink>(&mut self, host: &mut Host<'_>, sink: &mut S) {
        if self.tree.is_some() {
            return;
        }
        // No event reports containers: only frequent scans find short ones.
        let now = host.clock.now();
        host.containers.scan(now, sink);
        host.containers.report_unread_ends(sink);
        for (container, _) in host.containers.take_forgotten().containers {
            let tracked = self.tracked.values_mut();
            for tracked in tracked.filter(|tracked| tracked.container == Some(container)) {
                tracked.container = None;
                if let Some(row) = tracked.row.take() {
                    sink.release_process(row.handle);
                }
            }
        }
    }

    fn drain<S: Sink>(
        &mut self,
        at: u64,
        host: &mut Host<'_>,
        sink: &mut S,
    ) -> Result<(), SourceError> {
        if let Some(tree) = &mut self.tree {
            tree.find(&self.proc, self.runs, at, sink);
        }
        let entries = fs::read_dir(&self.proc).map_err(|source| SourceError {
            what: format!("cannot read {}", self.proc.display()),
            source,
        })?;
        for entry in entries {
            let entry = entry.map_err(|source| SourceError {
                what: format!("cannot read {}", self.proc.display()),
                source,
            })?;
            let pid = entry
                .file_name()
                .to_str()
                .and_then(|name| name.parse().ok());
            if let Some(pid) = pid {
                self.scan_process(at, pid, host, sink);
            }
        }
        self.remove_ended(at, sink);
        self.drains += 1;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
