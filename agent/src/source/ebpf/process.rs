//! The processes of containers: who they are, by the kernel's records, and which
//! handle the sink gave them.
//!
//! A row is one program that one process ran in one cgroup, as the kernel's key
//! has it; a process that renames itself gets another row under the same key.
//! A row is kept for two more drains after its end, as the last of its sums come
//! after the record of its exit.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

use bubble_common::kernel::process::{ExecRecord, ExitRecord, ProcessKey, ProcessRecord};
use bubble_common::kernel::record::Kind;
use bubble_common::segment::process::{Exit, Memory, Process, ProcessId};

use super::hooks::{Attach, Family, Hook};
use super::memory;
use super::record::{arguments, name, text};
use super::turn::Turn;
use crate::sink::{ContainerHandle, ProcessHandle, Sink};

/// What tells of them.
pub const HOOKS: &[Hook] = &[
    Hook {
        program: "process_fork",
        attach: Attach::Tracepoint("sched_process_fork"),
        family: Family::Both,
        gives: "processes that start",
        needs: "the tracepoint sched_process_fork",
        fallback: "nothing can be counted in the kernel: use --source procfs",
        required: true,
        unless: None,
        instead: None,
    },
    Hook {
        program: "process_exec",
        attach: Attach::Tracepoint("sched_process_exec"),
        family: Family::Both,
        gives: "programs and their arguments",
        needs: "the tracepoint sched_process_exec",
        fallback: "nothing can be counted in the kernel: use --source procfs",
        required: true,
        unless: None,
        instead: None,
    },
    Hook {
        program: "process_exit",
        attach: Attach::Tracepoint("sched_process_exit"),
        family: Family::Both,
        gives: "exit codes and signals, and peak memory of what was too short to look at",
        needs: "the tracepoint sched_process_exit",
        fallback: "nothing can be counted in the kernel: use --source procfs",
        required: true,
        unless: None,
        instead: None,
    },
    Hook {
        program: "process_rename",
        attach: Attach::Tracepoint("task_rename"),
        family: Family::Both,
        gives: "processes that rename themselves",
        needs: "the tracepoint task_rename",
        fallback: "they keep the name that they began with",
        required: false,
        unless: None,
        instead: None,
    },
    Hook {
        program: "process_attach",
        attach: Attach::Tracepoint("cgroup_attach_task"),
        family: Family::Both,
        gives: "processes that are moved into a container",
        needs: "the tracepoint cgroup_attach_task",
        fallback: "they are known from their next exec on",
        required: false,
        unless: None,
        instead: None,
    },
    Hook {
        program: "process_alive",
        attach: Attach::Iterator("task"),
        family: Family::Both,
        gives: "processes that were there before the agent, at once",
        needs: "BPF iterators over tasks",
        fallback: "they are read from /proc when they first do something",
        required: false,
        unless: None,
        instead: None,
    },
];

/// Drains for which a row is kept after its end.
const KEPT: u64 = 2;

/// Whose a sum is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Owner {
    /// The container.
    pub container: ContainerHandle,
    /// The process in it.
    pub process: ProcessHandle,
}

/// All processes of containers that are known.
#[derive(Default)]
pub struct Processes {
    rows: HashMap<ProcessKey, Row>,
    /// The newest row of each process.
    newest: HashMap<u32, ProcessKey>,
    /// What is to be let go, and after which drain.
    ended: VecDeque<(u64, ProcessHandle, Option<ProcessKey>)>,
    /// Rows of each container that have not ended: asked for whenever one has.
    living: HashMap<ContainerHandle, usize>,
    /// Containers in which processes ended, and whether the first of them was among those.
    exits: HashMap<ContainerHandle, bool>,
    drains: u64,
}

struct Row {
    owner: Owner,
    process: Process,
    /// The process's `self_exec_id` at its first row, and how often it renamed itself.
    first_exec: u32,
    renames: u32,
    /// Highest resident set before this program began, in pages.
    peak_before: u64,
    /// The last drain in which it did something.
    ran: u64,
    /// Where its memory is read.
    memory: Option<memory::Source>,
    ended: bool,
}

impl Processes {
    /// Whose a sum under this key is, if that is known; and notes that the process ran.
    pub fn known(&mut self, key: &ProcessKey) -> Option<Owner> {
        let drains = self.drains;
        let row = self.rows.get_mut(key)?;
        row.ran = drains;
        Some(row.owner)
    }

    /// A process of which no record came: what /proc still says of it.
    pub fn meet<S: Sink>(
        &mut self,
        key: &ProcessKey,
        start: u64,
        container: ContainerHandle,
        sink: &mut S,
    ) -> Owner {
        let mut process = Process::new(
            ProcessId {
                pid: key.pid,
                start,
                exec: 0,
            },
            "",
        );
        memory::describe(&mut process, key.start);
        self.add(key, process, container, sink)
    }

    /// The key of the newest row of a process, by its number.
    pub fn newest(&self, pid: u32) -> Option<ProcessKey> {
        self.newest.get(&pid).copied()
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Makes a row, or fills in what is known better.
    fn add<S: Sink>(
        &mut self,
        key: &ProcessKey,
        mut process: Process,
        container: ContainerHandle,
        sink: &mut S,
    ) -> Owner {
        let before = self.before(key);
        let (mut first_exec, mut renames) = (key.exec, 0);
        if let Some(row) = before {
            (first_exec, renames) = (row.first_exec, row.renames);
            process.id.start = row.process.id.start;
            // What a record of this kind does not say, the row before does.
            if process.exe.is_empty() && row.process.name == process.name {
                process.exe.clone_from(&row.process.exe);
                process.args.clone_from(&row.process.args);
            }
        }
        process.id.exec = key.exec.wrapping_sub(first_exec).wrapping_add(renames);
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
                renames,
                peak_before: 0,
                ran: self.drains,
                memory: None,
                ended: false,
            },
        );
        self.forget(replaced);
        owner
    }

    /// A row that is not kept any more.
    fn forget(&mut self, row: Option<Row>) {
        if let Some(row) = row.filter(|row| !row.ended) {
            self.no_longer_lives(row.owner.container);
        }
    }

    fn no_longer_lives(&mut self, container: ContainerHandle) {
        if let Entry::Occupied(mut living) = self.living.entry(container) {
            *living.get_mut() -= 1;
            if *living.get() == 0 {
                living.remove();
            }
        }
    }

    /// The row that the process of `key` had before, or has.
    fn before(&self, key: &ProcessKey) -> Option<&Row> {
        let newest = self.newest.get(&key.pid)?;
        (newest.start == key.start)
            .then(|| self.rows.get(newest))
            .flatten()
    }

    /// Names a row of which nothing was known but its key.
    fn name<S: Sink>(&mut self, key: &ProcessKey, exit: &ExitRecord, sink: &mut S) {
        if let Some(row) = self
            .rows
            .get_mut(key)
            .filter(|row| row.process.name.is_empty())
        {
            row.process.name = name(&exit.comm);
            row.process.container_pid = exit.container_pid;
            sink.process(row.owner.container, &row.process);
        }
    }

    /// The row goes on as another from `at` on, or ends.
    fn end<S: Sink>(&mut self, key: &ProcessKey, at: u64, exit: Option<Exit>, sink: &mut S) {
        let release = self.drains + KEPT;
        let Some(row) = self.rows.get_mut(key).filter(|row| !row.ended) else {
            return;
        };
        row.ended = true;
        row.process.end = at;
        row.process.exit = exit;
        sink.process(row.owner.container, &row.process);
        let owner = row.owner;
        self.ended.push_back((release, owner.process, Some(*key)));
        self.no_longer_lives(owner.container);
    }

    /// Lets go of what ended long enough ago, and begins another drain.
    pub fn turn<S: Sink>(&mut self, sink: &mut S) {
        while let Some((_, handle, key)) = self
            .ended
            .pop_front_if(|(release, ..)| *release <= self.drains)
        {
            sink.release_process(handle);
            let Some(key) = key else { continue };
            let row = self.rows.remove(&key);
            self.forget(row);
            if self.newest.get(&key.pid) == Some(&key) {
                self.newest.remove(&key.pid);
            }
        }
        self.drains += 1;
    }

    /// Passes on the memory of those that did something since the last drain.
    pub fn read_memory<S: Sink>(&mut self, at: u64, reader: &mut memory::Reader, sink: &mut S) {
        for (key, row) in &mut self.rows {
            if row.ended {
                row.memory = None;
            } else if row.ran == self.drains
                && let Some(memory) = reader.read(key.pid, &mut row.memory)
            {
                sink.memory(at, row.owner.process, memory);
            }
        }
    }

    /// Containers whose last process, or whose first one, has ended since this was last asked:
    /// their cgroups will soon be gone.
    pub fn exits(&mut self) -> Vec<ContainerHandle> {
        std::mem::take(&mut self.exits)
            .into_iter()
            .filter(|(container, first)| *first || !self.living.contains_key(container))
            .map(|(container, _)| container)
            .collect()
    }

    /// Those that are gone. The records of their exits have been written by now: so ask this before
    /// records are taken in.
    pub fn gone(&self) -> Vec<ProcessKey> {
        self.rows
            .iter()
            .filter(|(key, row)| !row.ended && !memory::is_there(key.pid, key.start))
            .map(|(key, _)| *key)
            .collect()
    }

    /// Ends those that were gone though no record of their exit came (the ring buffer was full).
    pub fn end_gone<S: Sink>(&mut self, gone: &[ProcessKey], at: u64, sink: &mut S) {
        for key in gone {
            self.end(key, at, None, sink);
        }
    }
}

impl<S: Sink> Turn<'_, '_, S> {
    /// Takes in that a process was forked, renamed, moved, or found alive.
    pub fn process(&mut self, record: &ProcessRecord) {
        let key = &record.header.process;
        if record.header.kind == Kind::RENAME {
            self.rename(record);
            return;
        }
        let Some(container) = self.container(key.cgroup) else {
            return;
        };
        let at = self.host.clock.of_boot(record.header.at);
        let mut process = self.describe(record);
        if matches!(record.header.kind, Kind::ALIVE | Kind::ATTACH) {
            memory::describe(&mut process, key.start);
        }
        if record.header.kind == Kind::FORK {
            // The sink counts beginnings within the seconds that it knows of.
            self.sink.alive(at, container);
            // Until it calls exec it runs what its parent runs.
            if let Some(parent) = self.processes.rows.get(&record.parent) {
                process.exe.clone_from(&parent.process.exe);
                process.args.clone_from(&parent.process.args);
            }
        }
        if self.processes.rows.contains_key(key) {
            return;
        }
        if record.header.kind == Kind::ATTACH
            && let Some(old) = self.processes.newest(key.pid)
            && old.start == key.start
        {
            self.processes.end(&old, at, None, self.sink);
        }
        self.processes.add(key, process, container, self.sink);
    }

    /// Takes in that a process began to run a program.
    pub fn exec(&mut self, exec: &ExecRecord, exe: &[u8], args: &[u8]) {
        let record = &exec.process;
        let key = &record.header.process;
        let at = self.host.clock.of_boot(record.header.at);
        if let Some(old) = self.processes.newest(key.pid)
            && old.start == key.start
            && old != *key
        {
            self.processes.end(&old, at, None, self.sink);
        }
        let Some(container) = self.container(key.cgroup) else {
            return;
        };
        let mut process = self.describe(record);
        process.exe = text(exe);
        process.args = arguments(args, exec.args_total);
        self.processes.add(key, process, container, self.sink);
        if let Some(row) = self.processes.rows.get_mut(key) {
            row.peak_before = exec.peak_pages;
        }
    }

    /// Takes in that a process ended.
    pub fn exit(&mut self, exit: &ExitRecord) {
        let key = &exit.header.process;
        let Some(owner) = self.owner(key) else {
            return;
        };
        let at = self.host.clock.of_boot(exit.header.at);
        self.processes.name(key, exit, self.sink);
        let Some(row) = self.processes.rows.get(key).filter(|row| !row.ended) else {
            return;
        };
        let page = memory::page_size();
        let mut rss = exit.peak_pages.saturating_mul(page);
        let vm = exit.vm_pages.saturating_mul(page);
        if exit.peak_pages <= row.peak_before && vm != 0 {
            // The peak was that of the program before; this one's was at most all that it had.
            rss = rss.min(vm);
        }
        self.sink
            .memory(at, owner.process, Memory { vm, rss, swap: 0 });
        *self.processes.exits.entry(owner.container).or_default() |= exit.container_pid == 1;
        self.processes
            .end(key, at, Some(status(exit.status)), self.sink);
    }

    /// Takes in the name that a process gave itself.
    fn rename(&mut self, record: &ProcessRecord) {
        let at = self.host.clock.of_boot(record.header.at);
        let new = name(&record.comm);
        let release = self.processes.drains + KEPT;
        let Some(row) = self.processes.rows.get_mut(&record.header.process) else {
            return;
        };
        if row.ended || row.process.name == new {
            return;
        }
        row.process.end = at;
        self.sink.process(row.owner.container, &row.process);
        self.processes
            .ended
            .push_back((release, row.owner.process, None));
        row.process.end = 0;
        row.process.name = new;
        row.renames = row.renames.wrapping_add(1);
        row.process.id.exec = row.process.id.exec.wrapping_add(1);
        row.owner.process = self.sink.process(row.owner.container, &row.process);
    }

    fn describe(&self, record: &ProcessRecord) -> Process {
        let key = &record.header.process;
        let id = ProcessId {
            pid: key.pid,
            start: self.host.clock.of_boot(key.start),
            exec: 0,
        };
        Process {
            container_pid: record.container_pid,
            parent: record.parent.pid,
            uid: record.uid,
            ..Process::new(id, name(&record.comm))
        }
    }
}

/// What `wait` says of an end.
fn status(status: u32) -> Exit {
    match status & 0x7f {
        0 => Exit::Code((status >> 8) as u8),
        signal => Exit::Signal(signal as u8),
    }
}

#[cfg(test)]
mod tests;
