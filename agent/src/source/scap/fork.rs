//! Processes and threads that are made.
//!
//! Two events tell of each, in either order, and one may be missing: the child's own, and
//! the parent's. The latter names the child by its number in the parent's pid namespace,
//! which is no number of any event when that is a container's.

use super::account::Account;
use super::bytes::text;
use super::event::View;
use super::list::PATH;
use super::process::{COMM, param};
use super::state::descriptor::Descriptors;
use super::state::thread::{Fork, Process, Thread};
use crate::sink::Sink;

/// Two events tell of a new thread, its own and its parent's; later than this after the one
/// the other tells of another thread of the same number: ns.
const TOGETHER: u64 = 2_000_000_000;

/// Most forks of a process that children are yet to tell of.
const FORKS: usize = 64;

/// Flags of `clone`, in the numbering of captures.
mod flag {
    pub(super) const NEW_PID: u32 = 1 << 6;
    pub(super) const PARENT: u32 = 1 << 8;
    pub(super) const THREAD: u32 = 1 << 13;
    pub(super) const VFORK: u32 = 1 << 27;
    pub(super) const CHILD_IN_PIDNS: u32 = 1 << 29;
}

impl Account {
    /// A process or thread was made: told by itself (then the result is 0) or by its parent.
    pub(super) fn clone<S: Sink>(
        &mut self,
        at: u64,
        tid: i64,
        view: &View<'_>,
        vfork: bool,
        sink: &mut S,
    ) {
        let Some(result) = view.i64(0) else {
            return;
        };
        if result == 0 {
            if let Some(known) = self.state.find(tid) {
                if self.is_new(known, at) {
                    return;
                }
                self.forget(known, at, sink);
            }
            self.child(at, tid, view, true, sink);
        } else if result > 0 {
            let Some(parent) = self.state.find(tid) else {
                return;
            };
            self.parent_tells(parent, view, at, sink);
            let flags = view.u32(param::FLAGS).unwrap_or_default();
            // With these, what the parent is told is not the number by which events name the child.
            let hidden =
                flags & (flag::CHILD_IN_PIDNS | flag::NEW_PID | flag::PARENT | flag::VFORK) != 0;
            let in_namespace = view.i64(param::VTID).is_some_and(|vtid| vtid != tid);
            if hidden || vfork || in_namespace {
                if flags & flag::THREAD == 0 {
                    self.remember_fork(parent, at, result);
                }
                return;
            }
            if let Some(known) = self.state.find(result) {
                let by_itself = self.state.threads.get(known).is_some_and(|it| it.by_itself);
                if by_itself && self.was_new(known, at) {
                    return;
                }
                self.forget(known, at, sink);
            }
            self.child(at, result, view, false, sink);
        }
    }

    /// Keeps the descriptors of a parent for the child that is yet to tell of itself.
    fn remember_fork(&mut self, parent: u32, at: u64, child: i64) {
        if let Some((_, process)) = self.state.both(parent) {
            process
                .forks
                .retain(|fork| at.saturating_sub(fork.at) < TOGETHER);
            if process.forks.len() < FORKS {
                let descriptors = process.descriptors.fork();
                process.forks.push(Fork {
                    at,
                    child,
                    descriptors,
                });
            }
        }
    }

    /// Whether a thread was made just now, and lives.
    fn is_new(&self, place: u32, at: u64) -> bool {
        self.was_new(place, at) && self.state.threads.get(place).is_some_and(|it| !it.ended)
    }

    fn was_new(&self, place: u32, at: u64) -> bool {
        let thread = self.state.threads.get(place);
        thread.is_some_and(|it| it.born != 0 && at.saturating_sub(it.born) < TOGETHER)
    }

    /// What an event of its own tells of a process that was there before, and was not known well.
    fn parent_tells<S: Sink>(&mut self, parent: u32, view: &View<'_>, at: u64, sink: &mut S) {
        let Some((thread, process)) = self.state.both(parent) else {
            return;
        };
        if process.placed {
            return;
        }
        let Some(cgroups) = view.get(param::CGROUPS) else {
            return;
        };
        let container = self.containers.of_cgroups(cgroups, sink);
        process.placed = true;
        if process.vpid < 0 {
            process.vpid = view.i64(param::VPID).unwrap_or(-1);
        }
        if thread.comm.as_ref() == "<NA>"
            && let Some(comm) = view.get(param::COMM)
        {
            thread.comm = text(comm, COMM);
        }
        if container == process.container {
            return;
        }
        process.container = container;
        let of = thread.process;
        self.end_rows(parent, at, None, sink);
        self.new_rows(parent, at);
        for thread in self.state.threads.iter_mut() {
            if thread.process == of {
                thread.owner = None;
            }
        }
        self.charge_held(parent, sink);
    }

    /// Makes a thread known, and its process if it is the first of it.
    fn child<S: Sink>(
        &mut self,
        at: u64,
        tid: i64,
        view: &View<'_>,
        by_itself: bool,
        sink: &mut S,
    ) {
        let flags = view.u32(param::FLAGS).unwrap_or_default();
        // Its own event tells of the child, its parent's of the parent.
        let number = |index: u8| view.i64(index).unwrap_or(-1);
        let is_thread = match by_itself {
            true => number(param::PID) != tid,
            false => flags & flag::THREAD != 0,
        };
        let relative = match (by_itself, is_thread) {
            (true, true) => number(param::PID),
            (true, false) => number(param::PARENT),
            (false, _) => number(3),
        };
        let relative = self.state.find(relative);
        let known = relative.and_then(|place| Some(self.state.threads.get(place)?.process));
        let process = match (is_thread, known) {
            (true, Some(process)) => Some(process),
            (true, None) => {
                let pid = number(param::PID);
                self.new_process(at, pid, None, view, by_itself, sink)
            }
            (false, parent) => self.new_process(at, tid, parent, view, by_itself, sink),
        };
        let Some(process) = process else { return };
        let comm = text(view.get(param::COMM).unwrap_or_default(), COMM);
        let thread = Thread {
            born: at,
            by_itself,
            ..Thread::new(tid, process, comm)
        };
        let Some(place) = self.state.add(thread) else {
            return;
        };
        if !is_thread {
            self.started(place, at, sink);
        }
    }

    /// A process that its parent (if it is known) has made.
    fn new_process<S: Sink>(
        &mut self,
        at: u64,
        pid: i64,
        parent: Option<u32>,
        view: &View<'_>,
        by_itself: bool,
        sink: &mut S,
    ) -> Option<u32> {
        let mut process = Process {
            pid,
            vpid: pid,
            uid: view.u32(param::UID).unwrap_or_default(),
            start: at,
            cwd: text(view.get(param::CWD).unwrap_or_default(), PATH).into(),
            descriptors: Descriptors::new(&self.state.descriptors),
            ..Process::default()
        };
        if by_itself {
            process.parent = view.i64(param::PARENT).unwrap_or_default();
            process.vpid = view.i64(param::VPID).unwrap_or(-1);
        } else {
            process.parent = view.i64(param::PID).unwrap_or_default();
        }
        let exe = view.get(param::EXE).unwrap_or_default();
        let args = view.get(param::ARGS).unwrap_or_default();
        process.program(exe, exe, args);
        if let Some(parent) = parent.and_then(|place| self.state.processes.get_mut(place)) {
            let child = view.i64(param::VTID).unwrap_or(pid);
            let fork = parent
                .forks
                .iter()
                .position(|fork| fork.child == child && at.saturating_sub(fork.at) < TOGETHER);
            process.descriptors = match fork.filter(|_| by_itself) {
                Some(fork) => parent.forks.swap_remove(fork).descriptors,
                None => parent.descriptors.fork(),
            };
            process.cwd.clone_from(&parent.cwd);
            process.exe.clone_from(&parent.exe);
            process.container = parent.container;
            process.placed = parent.placed;
        }
        let cgroups = view.get(param::CGROUPS).unwrap_or_default();
        self.place(&mut process, cgroups, sink);
        self.state.add_process(process)
    }
}
