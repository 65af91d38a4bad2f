//! The known processes, and their handles in the sink.
//!
//! A row is one program that one process ran in one cgroup: the kernel's key. A row is kept for two
//! drains after its end, as its last sums come after the record of its exit.
//!
//! What a process changes of itself changes its row. A record reports a new name and the last user
//! id. /proc has the rest, and what records lack: it is read while a process is young, and later
//! now and then if it was active. It is believed only if the process still runs the program of the
//! row: its stack began at the address in the record.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet, VecDeque};
use std::path::Path;

use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::process::ExitRecord;
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::process::{Exit, Memory, Process, ProcessId};

use crate::proc::{ProcessFolder, TICK};
use crate::sink::{ContainerHandle, ProcessHandle, Sink};
use crate::source::ebpf::memory::{self, MemoryFile};
use crate::source::ebpf::record::name;

/// Drains that a row is kept after its end.
const ENDED_TTL: u64 = 2;
/// Checks of a young process in /proc, one in each drain in which it was active: it may drop privileges
/// or set its title.
const MAX_YOUNG_CHECKS: u8 = 3;
/// Drains between two checks of an older process.
const CHECK_INTERVAL: u64 = 16;

/// The owner of a sum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The container.
    pub container: ContainerHandle,
    /// The process in it.
    pub process: ProcessHandle,
}

/// All known processes of containers.
#[derive(Default)]
pub struct Processes {
    rows: HashMap<ProcessKey, Row>,
    /// Key of the newest row of each pid.
    newest: HashMap<u32, ProcessKey>,
    /// Rows to release, and after which drain.
    ended: VecDeque<(u64, ProcessKey)>,
    /// Number of running rows of each container.
    living: HashMap<ContainerHandle, usize>,
    /// Containers and cgroups in which processes ended, and whether pid 1 of the container was one
    /// of them.
    exits: HashMap<(ContainerHandle, u64), bool>,
    /// Whether the kernel can list all processes. If not, /proc describes those without a record.
    can_list: bool,
    /// A row has no record: the kernel should list all processes.
    needs_list: bool,
    drains: u64,
}

struct Row {
    owner: Owner,
    process: Process,
    /// `self_exec_id` of the process at its first row.
    first_exec: u32,
    /// Address where the stack of its program began, 0 if that is not known. `None`: it has no record
    /// yet, and what /proc says may be about another program of the process.
    stack: Option<u64>,
    /// It was active since its facts were read from /proc.
    is_unchecked: bool,
    /// Number of such checks.
    checks: u8,
    /// Highest resident set before this program began, in pages.
    peak_before: u64,
    /// The last drain in which it had a sum.
    active_drain: u64,
    /// The open file with its memory.
    memory: Option<MemoryFile>,
    /// The reading with the largest resident set.
    largest: Memory,
    ended: bool,
}

impl Processes {
    /// The owner of a sum, if its process is known. Notes that the process was active.
    pub fn touch(&mut self, key: &ProcessKey) -> Option<Owner> {
        let drains = self.drains;
        let row = self.rows.get_mut(key)?;
        row.active_drain = drains;
        row.is_unchecked = true;
        Some(row.owner)
    }

    /// The owner of a sum, if its process is known.
    pub fn owner(&self, key: &ProcessKey) -> Option<Owner> {
        self.rows.get(key).map(|row| row.owner)
    }

    /// Sets whether the kernel can list all processes.
    pub fn set_can_list(&mut self, can_list: bool) {
        self.can_list = can_list;
    }

    /// Whether the kernel should list all processes, since a row has no record. True once per such row.
    pub fn take_needs_list(&mut self) -> bool {
        std::mem::take(&mut self.needs_list)
    }

    /// Adds a process without a record, which is described later.
    pub fn insert_unrecorded<S: Sink>(
        &mut self,
        key: &ProcessKey,
        start: u64,
        container: ContainerHandle,
        sink: &mut S,
    ) -> Owner {
        let process = Process::new(
            ProcessId {
                pid: key.pid,
                start,
                exec: 0,
            },
            "",
        );
        let stack = if self.can_list {
            self.needs_list = true;
            None
        } else {
            Some(0)
        };
        self.add(key, process, stack, container, sink)
    }

    /// Describes a row that has no record yet. Returns false if there is no row.
    pub(super) fn describe<S: Sink>(
        &mut self,
        key: &ProcessKey,
        process: &Process,
        stack: u64,
        sink: &mut S,
    ) -> bool {
        let Some(row) = self.rows.get_mut(key) else {
            return false;
        };
        if row.stack.is_none() && !row.ended {
            row.stack = Some(stack);
            row.process.update(process);
            sink.process(row.owner.container, &row.process);
        }
        true
    }

    /// Key of the newest row of a pid.
    pub fn newest(&self, pid: u32) -> Option<ProcessKey> {
        self.newest.get(&pid).copied()
    }

    /// The process of a row.
    pub(super) fn get(&self, key: &ProcessKey) -> Option<&Process> {
        self.rows.get(key).map(|row| &row.process)
    }

    /// Highest resident set before the program of this row began, in pages; `None` once it ended.
    pub(super) fn peak_before(&self, key: &ProcessKey) -> Option<u64> {
        let row = self.rows.get(key).filter(|row| !row.ended)?;
        Some(row.peak_before)
    }

    /// Sets what [`Self::peak_before`] gives.
    pub(super) fn set_peak_before(&mut self, key: &ProcessKey, pages: u64) {
        if let Some(row) = self.rows.get_mut(key) {
            row.peak_before = pages;
        }
    }

    /// Shared part of the resident set when that was largest, in bytes; 0 if it was never read.
    pub(super) fn shared(&self, key: &ProcessKey) -> u64 {
        self.rows.get(key).map_or(0, |row| row.largest.shared())
    }

    /// Notes that a process in this cgroup of a container ended. `first`: it was pid 1 of the
    /// container.
    pub(super) fn note_exit(&mut self, container: ContainerHandle, cgroup: u64, first: bool) {
        *self.exits.entry((container, cgroup)).or_default() |= first;
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Adds a row, or replaces it by one that is known better.
    pub(super) fn add<S: Sink>(
        &mut self,
        key: &ProcessKey,
        mut process: Process,
        stack: Option<u64>,
        container: ContainerHandle,
        sink: &mut S,
    ) -> Owner {
        let mut first_exec = key.exec;
        if let Some((previous, row)) = self.previous(key) {
            first_exec = row.first_exec;
            process.id.start = row.process.id.start;
            // Records of the same program may lack it.
            if process.exe.is_empty() && previous.exec == key.exec {
                process.exe.clone_from(&row.process.exe);
                process.args.clone_from(&row.process.args);
            }
        }
        process.id.exec = key.exec.wrapping_sub(first_exec);
        let owner = Owner {
            container,
            process: sink.process(container, &process),
        };
        self.newest.insert(key.pid, *key);
        *self.living.entry(container).or_default() += 1;
        let replaced = self.rows.insert(
            *key,
            Row {
                owner,
                process,
                first_exec,
                stack,
                is_unchecked: true,
                checks: 0,
                peak_before: 0,
                active_drain: self.drains,
                memory: None,
                largest: Memory::default(),
                ended: false,
            },
        );
        self.note_removed(replaced);
        owner
    }

    /// Notes that a row left the table.
    fn note_removed(&mut self, row: Option<Row>) {
        if let Some(row) = row.filter(|row| !row.ended) {
            self.decrement_living(row.owner.container);
        }
    }

    fn decrement_living(&mut self, container: ContainerHandle) {
        if let Entry::Occupied(mut living) = self.living.entry(container) {
            *living.get_mut() -= 1;
            if *living.get() == 0 {
                living.remove();
            }
        }
    }

    /// The newest row of the process of `key`.
    fn previous(&self, key: &ProcessKey) -> Option<(ProcessKey, &Row)> {
        let newest = *self.newest.get(&key.pid)?;
        (newest.start == key.start)
            .then(|| self.rows.get(&newest))
            .flatten()
            .map(|row| (newest, row))
    }

    /// Takes over the last state of a process, before [`Self::end`] reports it.
    pub(super) fn note_last_state(&mut self, key: &ProcessKey, exit: &ExitRecord) {
        if let Some(row) = self.rows.get_mut(key).filter(|row| !row.ended) {
            row.process.name = name(&exit.comm);
            row.process.uid = exit.uid;
            row.process.gid = Some(exit.gid);
            row.process.container_pid = exit.container_pid;
        }
    }

    /// Ends a row at `at`.
    pub(super) fn end<S: Sink>(
        &mut self,
        key: &ProcessKey,
        at: u64,
        exit: Option<Exit>,
        sink: &mut S,
    ) {
        let release = self.drains + ENDED_TTL;
        let Some(row) = self.rows.get_mut(key).filter(|row| !row.ended) else {
            return;
        };
        row.ended = true;
        row.process.end = at;
        row.process.exit = exit;
        sink.process(row.owner.container, &row.process);
        let container = row.owner.container;
        self.ended.push_back((release, *key));
        self.decrement_living(container);
    }

    /// The process gave itself another name.
    pub(super) fn rename<S: Sink>(&mut self, key: &ProcessKey, name: String, sink: &mut S) {
        let Some(row) = self.rows.get_mut(key) else {
            return;
        };
        if row.ended || row.process.name == name {
            return;
        }
        row.process.name = name;
        sink.process(row.owner.container, &row.process);
    }

    /// Releases rows that ended long enough ago, and counts the drain.
    pub fn end_drain<S: Sink>(&mut self, sink: &mut S) {
        while let Some((_, key)) = self
            .ended
            .pop_front_if(|(release, _)| *release <= self.drains)
        {
            let row = self.rows.remove(&key);
            if let Some(row) = &row {
                sink.release_process(row.owner.process);
            }
            self.note_removed(row);
            if self.newest.get(&key.pid) == Some(&key) {
                self.newest.remove(&key.pid);
            }
        }
        self.drains += 1;
    }

    /// Reports the memory of processes that were active since the last drain, and what processes have
    /// changed of themselves.
    pub fn check<S: Sink>(&mut self, at: u64, reader: &mut memory::Reader, sink: &mut S) {
        for (key, row) in &mut self.rows {
            if row.ended {
                row.memory = None;
                continue;
            }
            let is_due = row.checks < MAX_YOUNG_CHECKS
                || (self.drains + u64::from(key.pid)).is_multiple_of(CHECK_INTERVAL);
            let has_changed = row.is_unchecked && is_due && row.check(key, sink);
            // With its memory in this second, the segment has its state.
            if !has_changed && row.active_drain != self.drains {
                continue;
            }
            match reader.read(key.pid, key.start, &mut row.memory) {
                Ok(Some(memory)) => {
                    if memory.rss > row.largest.rss {
                        row.largest = memory;
                    }
                    sink.memory(at, row.owner.process, memory);
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(pid = key.pid, %error, "cannot read the memory of a process");
                    let loss = Loss { count: 1, bytes: 0 };
                    sink.loss(at, Some(row.owner.container), Reason::UNREADABLE, loss);
                }
            }
        }
    }

    /// Takes the cgroups of containers in which the last process or pid 1 ended: they may be
    /// removed soon.
    pub fn take_exits(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.exits)
            .into_iter()
            .filter(|((container, _), first)| *first || !self.living.contains_key(container))
            .map(|((_, cgroup), _)| cgroup)
            .collect()
    }

    /// Drops the rows of a container that was released at `at`. Later sums get another handle.
    pub fn release<S: Sink>(&mut self, container: ContainerHandle, at: u64, sink: &mut S) {
        let keys: HashSet<ProcessKey> = self
            .rows
            .iter()
            .filter(|(_, row)| row.owner.container == container)
            .map(|(key, _)| *key)
            .collect();
        for key in &keys {
            // The record of its exit was lost, unless it has ended already.
            self.end(key, at, None, sink);
            let Some(row) = self.rows.remove(key) else {
                continue;
            };
            sink.release_process(row.owner.process);
            if self.newest.get(&key.pid) == Some(key) {
                self.newest.remove(&key.pid);
            }
        }
        // A late sum may make a row of the same key, which must stay.
        self.ended.retain(|(_, key)| !keys.contains(key));
    }

    /// Rows with processes that no longer exist. The records of their exits are in the ring buffer
    /// by now, unless they were lost: call this before records are taken in.
    pub fn find_gone(&self) -> Vec<ProcessKey> {
        self.rows
            .iter()
            .filter(|(key, row)| !row.ended && !folder(key).is_alive(key.start / TICK))
            .map(|(key, _)| *key)
            .collect()
    }

    /// Ends rows of `gone` that are still running: their exit records were lost (ring buffer full).
    pub fn end_gone<S: Sink>(&mut self, gone: &[ProcessKey], at: u64, sink: &mut S) {
        for key in gone {
            self.end(key, at, None, sink);
        }
    }
}

impl Row {
    /// Takes over what /proc says about the process. Returns whether anything changed.
    fn check<S: Sink>(&mut self, key: &ProcessKey, sink: &mut S) -> bool {
        let Some(stack) = self.stack else {
            return false;
        };
        self.is_unchecked = false;
        self.checks = self.checks.saturating_add(1);
        let facts = folder(key).facts(key.start / TICK, stack);
        let has_changed = facts.is_some_and(|facts| facts.apply(&mut self.process));
        if has_changed {
            sink.process(self.owner.container, &self.process);
        }
        has_changed
    }
}

fn folder(key: &ProcessKey) -> ProcessFolder {
    ProcessFolder::new(Path::new("/proc"), key.pid)
}
