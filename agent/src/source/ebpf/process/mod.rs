//! The processes of containers, from the kernel's records of forks, execs and exits.

pub mod table;

use bubble_common::kernel::process::{EXE_MAX, ExecRecord, ExitRecord, ProcessRecord};
use bubble_common::kernel::record::Kind;
use bubble_common::segment::process::{Exit, Memory, Process, ProcessId};

use super::context::Context;
use super::hook::{Attach, Family, Hook};
use super::memory;
use super::record::{name, text};
use crate::proc::arguments;
use crate::sink::Sink;

/// Hooks that report them.
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
        gives: "exit codes and signals, and peak memory of processes too short to be sampled",
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
        fallback: "their new name is shown some seconds later, or when they end",
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
        fallback: "they are counted from their next exec",
        required: false,
        unless: None,
        instead: None,
    },
    Hook {
        program: "process_alive",
        attach: Attach::Iterator("task"),
        family: Family::Both,
        gives: "processes that started before the agent",
        needs: "BPF iterators over tasks",
        fallback: "/proc describes them when they are first active",
        required: false,
        unless: None,
        instead: None,
    },
];

impl<S: Sink> Context<'_, '_, S> {
    /// Takes in that a process was forked, renamed, moved or found alive.
    pub fn process(&mut self, record: &ProcessRecord) {
        let key = &record.header.process;
        if record.header.kind == Kind::RENAME {
            self.processes.rename(key, name(&record.comm), self.sink);
            return;
        }
        let Some(container) = self.container(key.cgroup) else {
            return;
        };
        let at = self.host.clock.of_boot(record.header.at);
        let mut process = self.describe(record);
        if record.header.kind == Kind::FORK {
            // The sink counts starts only in seconds that it knows.
            self.sink.alive(at, container);
            // Until it calls exec it runs the program of its parent.
            if let Some(parent) = self.processes.get(&record.parent) {
                process.exe.clone_from(&parent.exe);
                process.args.clone_from(&parent.args);
            }
        }
        let stack = record.stack;
        if self.processes.describe(key, &process, stack, self.sink) {
            return;
        }
        if record.header.kind != Kind::FORK
            && let Some(old) = self.processes.newest(key.pid)
            && old.start == key.start
        {
            self.processes.end(&old, at, None, self.sink);
        }
        self.processes
            .add(key, process, Some(stack), container, self.sink);
    }

    /// Takes in that a process runs another program.
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
        if exe.len() == EXE_MAX - 1 {
            process.exe.insert(0, '…');
        }
        process.args = arguments(args, exec.args_total.into());
        self.processes
            .add(key, process, Some(record.stack), container, self.sink);
        self.processes.set_peak_before(key, exec.peak_pages);
    }

    /// Takes in that a process ended.
    pub fn exit(&mut self, exit: &ExitRecord) {
        let key = &exit.header.process;
        let Some(owner) = self.owner(key) else {
            return;
        };
        let at = self.host.clock.of_boot(exit.header.at);
        self.processes.note_last_state(key, exit);
        let Some(peak_before) = self.processes.peak_before(key) else {
            return;
        };
        let page = memory::page_size();
        let shared = self.processes.shared(key);
        let mut rss = exit.peak_pages.saturating_mul(page);
        let vm = exit.vm_pages.saturating_mul(page);
        if exit.peak_pages <= peak_before && vm != 0 {
            // The peak was reached by an earlier program; this one had at most its virtual size.
            rss = rss.min(vm);
        }
        // The kernel's peak is not told apart.
        let memory = Memory {
            vm,
            rss,
            swap: 0,
            private: rss.saturating_sub(shared),
        };
        self.sink.memory(at, owner.process, memory);
        self.processes
            .note_exit(owner.container, key.cgroup, exit.container_pid == 1);
        self.processes
            .end(key, at, Some(status(exit.status)), self.sink);
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
            gid: Some(record.gid),
            ..Process::new(id, name(&record.comm))
        }
    }
}

/// The exit of a status as `wait` returns it.
fn status(status: u32) -> Exit {
    match status & 0x7f {
        0 => Exit::Code((status >> 8) as u8),
        signal => Exit::Signal(signal as u8),
    }
}

#[cfg(test)]
mod tests;
