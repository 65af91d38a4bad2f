//! The state of the traced processes, and what each event does to it.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use anyhow::{Context, Result};
use bubble_workload::witnessed::{Bytes, Witnessed, WitnessedProcess};

use super::call::Call;
use super::proc;
use super::ptrace::{self, Event};

/// A traced thread.
#[derive(Debug, Default)]
pub(super) struct Thread {
    process: u32,
    /// The call that it is in, if the filter stopped it there.
    call: Option<Call>,
    /// Its sums, if it is about to end.
    last: Option<Bytes>,
}

/// A traced process.
#[derive(Debug, Default)]
pub(super) struct Process {
    witnessed: WitnessedProcess,
    /// The sums of the root before its first `exec`, while it was a copy of the witness.
    base: Option<Bytes>,
}

/// All traced processes.
#[derive(Debug)]
pub(super) struct Tracer {
    /// The process that executes the program.
    pub(super) root: u32,
    pub(super) threads: HashMap<u32, Thread>,
    pub(super) processes: HashMap<u32, Process>,
    /// The ended processes.
    pub(super) witnessed: Witnessed,
}

impl Tracer {
    /// Handles an event, and continues the thread.
    pub(super) fn handle(&mut self, event: Event) -> Result<()> {
        match event {
            Event::Ended { thread } => self.ended(thread),
            Event::Stopped {
                thread,
                signal,
                event,
            } => self.stopped(thread, signal, event),
        }
    }

    /// The process of a thread. Adds both if they are new: a thread's first event may be any.
    fn process(&mut self, thread: u32) -> Result<u32> {
        if let Some(known) = self.threads.get(&thread) {
            return Ok(known.process);
        }
        let pid = proc::process_of(thread)?;
        let new = Thread {
            process: pid,
            ..Thread::default()
        };
        self.threads.insert(thread, new);
        if let Entry::Vacant(place) = self.processes.entry(pid) {
            let witnessed = WitnessedProcess {
                pid,
                start_ns: proc::start_ns(pid)?,
                args: proc::args(pid),
                ..WitnessedProcess::default()
            };
            place.insert(Process {
                witnessed,
                base: None,
            });
        }
        Ok(pid)
    }

    fn ended(&mut self, thread: u32) -> Result<()> {
        let pid = self.process(thread)?;
        let state = self.threads.remove(&thread).unwrap_or_default();
        let process = self.processes.entry(pid).or_default();
        let io = proc::thread_io(pid, thread)?;
        process.witnessed.io += io;
        // A thread that is killed in an `exec` does not stop at the end of the call.
        if let Some(exec) = state.call.filter(Call::is_exec) {
            process.witnessed.exec_read += io.read - exec.before;
        }
        let status = ptrace::reap(thread)?;
        // The first thread is reported only after all others have ended.
        if thread != pid {
            return Ok(());
        }
        let process = self.processes.remove(&pid).unwrap_or_default();
        let base = process.base.unwrap_or_default();
        let mut witnessed = process.witnessed;
        witnessed.io.read -= base.read;
        witnessed.io.written -= base.written;
        self.witnessed.processes.push(witnessed);
        if pid == self.root {
            self.witnessed.exit_code = if libc::WIFEXITED(status) {
                libc::WEXITSTATUS(status)
            } else {
                128 + libc::WTERMSIG(status)
            };
        }
        Ok(())
    }

    fn stopped(&mut self, thread: u32, signal: i32, event: i32) -> Result<()> {
        self.process(thread)?;
        let mut delivered = 0;
        match event {
            libc::PTRACE_EVENT_STOP if signal != libc::SIGTRAP => {
                return Ok(ptrace::listen(thread)?);
            }
            libc::PTRACE_EVENT_EXEC => self.executed(thread)?,
            libc::PTRACE_EVENT_SECCOMP => self.call_begins(thread)?,
            libc::PTRACE_EVENT_EXIT => self.ends(thread)?,
            0 if signal == libc::SIGTRAP | 0x80 => self.call_ends(thread)?,
            0 => delivered = signal,
            // A new process or thread reports itself.
            _ => {}
        }
        let thread_state = self.threads.get(&thread);
        let in_call = thread_state.is_some_and(|state| state.call.is_some());
        Ok(ptrace::resume(thread, delivered, in_call)?)
    }

    fn call_begins(&mut self, thread: u32) -> Result<()> {
        let pid = self.process(thread)?;
        let entry = ptrace::entry(thread).context("cannot read a system call")?;
        let before = proc::thread_io(pid, thread)?;
        let call = Call::begin(entry, before.read);
        if call.as_ref().is_some_and(Call::is_exec) && pid == self.root {
            let process = self.processes.entry(pid).or_default();
            process.base.get_or_insert(before);
        }
        if let Some(state) = self.threads.get_mut(&thread) {
            state.call = call;
        }
        Ok(())
    }

    fn call_ends(&mut self, thread: u32) -> Result<()> {
        let result = ptrace::result(thread).context("cannot read the result of a system call")?;
        let pid = self.process(thread)?;
        let call = self
            .threads
            .get_mut(&thread)
            .and_then(|state| state.call.take());
        if let (Some(call), Some(process)) = (call, self.processes.get_mut(&pid)) {
            call.end(&mut process.witnessed, thread, result);
        }
        Ok(())
    }

    fn ends(&mut self, thread: u32) -> Result<()> {
        let last = proc::thread_io(self.process(thread)?, thread)?;
        if let Some(state) = self.threads.get_mut(&thread) {
            state.last = Some(last);
        }
        Ok(())
    }

    /// All other threads of a process have ended when one of them executes a program, and that one is
    /// the first now. The end of the former first thread is not reported.
    fn executed(&mut self, pid: u32) -> Result<()> {
        let former = ptrace::message(pid)?;
        if former == pid {
            return Ok(());
        }
        let executing = self.threads.remove(&former).unwrap_or_default();
        let first = self.threads.insert(pid, executing);
        let last = first.and_then(|first| first.last);
        let process = self.processes.entry(pid).or_default();
        process.witnessed.io += last.with_context(|| {
            format!(
                "the first thread of process {pid} ended unseen when another executed a program"
            )
        })?;
        Ok(())
    }
}
