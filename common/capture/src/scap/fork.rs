//! Processes and threads that are made.
//!
//! Each has two events: the child's own and the parent's, in either order, and one may be
//! missing. The parent's names the child by its number in the parent's pid namespace. If that
//! is a container's, no other event has this number.

use super::bytes::{MAX_PATH, text};
use super::descriptor::Descriptors;
use super::event::Event;
use super::param;
use super::process::{MAX_COMM, forget, known_id};
use super::rows::Rows;
use super::state::State;
use super::thread::{Fork, Process, Thread, UNKNOWN_NAME};
use super::view::View;
use crate::sink::Sink;
use crate::time::SECOND;

/// Longest time between the two events of a new thread, in ns. Later ones are of another
/// thread with the same number.
const MAX_EVENT_DISTANCE: u64 = 2 * SECOND;
/// Most forks of a process that wait for the child's own event.
const MAX_FORKS: usize = 64;

/// Flags of `clone`, in the numbering of captures (`PPM_CL_…`).
mod flag {
    pub(super) const CLONE_NEWPID: u32 = 1 << 6;
    pub(super) const CLONE_PARENT: u32 = 1 << 8;
    pub(super) const CLONE_THREAD: u32 = 1 << 13;
    pub(super) const CLONE_VFORK: u32 = 1 << 27;
    pub(super) const CHILD_IN_PIDNS: u32 = 1 << 29;
    /// With these, the child's number in the parent's event is not that of its own events.
    pub(super) const HIDE_CHILD: u32 = CHILD_IN_PIDNS | CLONE_NEWPID | CLONE_PARENT | CLONE_VFORK;
}

/// A process or thread was made: the result is 0 in the child's own event.
pub(super) fn clone<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    view: &View<'_>,
    vfork: bool,
    sink: &mut S,
) {
    match view.i64(0) {
        Some(0) => clone_of_child(state, rows, view, sink),
        Some(child @ 1..) => clone_of_parent(state, rows, view, child, vfork, sink),
        _ => {}
    }
}

fn clone_of_child<S: Sink>(state: &mut State, rows: &mut Rows, view: &View<'_>, sink: &mut S) {
    let Event { at, tid, .. } = *view.event;
    if let Some(known) = state.find(tid) {
        let is_alive = state.threads.get(known).is_some_and(|it| !it.has_ended);
        if is_alive && is_new(state, known, at) {
            return;
        }
        forget(state, rows, known, at, sink);
    }
    let is_thread = number(view, param::PID) != tid;
    let relative = match is_thread {
        true => number(view, param::PID),
        false => number(view, param::PARENT),
    };
    add_child(state, rows, view, tid, [true, is_thread], relative, sink);
}

fn clone_of_parent<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    view: &View<'_>,
    child: i64,
    vfork: bool,
    sink: &mut S,
) {
    let Event { at, tid, .. } = *view.event;
    let Some(parent) = state.find(tid) else {
        return;
    };
    assign_parent_container(state, rows, parent, view, sink);
    let flags = view.u32(param::FLAGS).unwrap_or_default();
    let is_thread = flags & flag::CLONE_THREAD != 0;
    let is_in_namespace = view.i64(param::VTID).is_some_and(|vtid| vtid != tid);
    if flags & flag::HIDE_CHILD != 0 || vfork || is_in_namespace {
        if !is_thread && let Some(process) = state.process(parent) {
            remember_fork(process, at, child);
        }
        return;
    }
    if let Some(known) = state.find(child) {
        let by_itself = state.threads.get(known).is_some_and(|it| it.by_itself);
        if by_itself && is_new(state, known, at) {
            return;
        }
        forget(state, rows, known, at, sink);
    }
    let relative = number(view, param::TID);
    add_child(state, rows, view, child, [false, is_thread], relative, sink);
}

/// A number of a thread or process; -1 if it is missing.
fn number(view: &View<'_>, index: u8) -> i64 {
    view.i64(index).unwrap_or(-1)
}

/// Keeps the descriptors of a parent until the child's own event comes.
fn remember_fork(process: &mut Process, at: u64, child: i64) {
    process
        .forks
        .retain(|fork| at.saturating_sub(fork.at) < MAX_EVENT_DISTANCE);
    if process.forks.len() < MAX_FORKS {
        let descriptors = process.descriptors.fork();
        process.forks.push(Fork {
            at,
            child,
            descriptors,
        });
    }
}

/// Whether a thread was made just before `at`.
fn is_new(state: &State, thread: u32, at: u64) -> bool {
    let thread = state.threads.get(thread);
    thread.is_some_and(|it| it.born != 0 && at.saturating_sub(it.born) < MAX_EVENT_DISTANCE)
}

/// Notes the container of a parent that was there before the capture, if it is not known yet.
fn assign_parent_container<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    parent: u32,
    view: &View<'_>,
    sink: &mut S,
) {
    let at = view.event.at;
    let Some((thread, process)) = state.both(parent) else {
        return;
    };
    process.learn_vpid(number(view, param::VPID));
    let (false, Some(cgroups)) = (process.is_container_known, view.get(param::CGROUPS)) else {
        return;
    };
    let before = process.container;
    rows.assign_container(process, cgroups, sink);
    if thread.comm.as_ref() == UNKNOWN_NAME
        && let Some(comm) = view.get(param::COMM)
    {
        thread.comm = text(comm, MAX_COMM);
    }
    if process.container == before {
        return;
    }
    let process = thread.process;
    rows.end(state, parent, at, None, sink);
    rows.renew(state, parent, at);
    for thread in state.threads.iter_mut() {
        if thread.process == process {
            thread.owner = None;
        }
    }
    rows.charge_pending(state, parent, at, sink);
}

/// Adds a thread, and its process if it is the first of it. `relative` is a thread of its
/// process or, for a process, the parent.
fn add_child<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    view: &View<'_>,
    tid: i64,
    [by_itself, is_thread]: [bool; 2],
    relative: i64,
    sink: &mut S,
) {
    let at = view.event.at;
    let relative = state.find(relative);
    let known = relative.and_then(|key| Some(state.threads.get(key)?.process));
    let pid = number(view, param::PID);
    let known = known.or_else(|| state.leaderless(pid).filter(|_| is_thread));
    let process = match (is_thread, known) {
        (true, Some(process)) => {
            if by_itself && let Some(known) = state.processes.get_mut(process) {
                known.learn_vpid(number(view, param::VPID));
            }
            Some(process)
        }
        (true, None) => new_process(state, rows, view, pid, None, by_itself, sink),
        (false, parent) => new_process(state, rows, view, tid, parent, by_itself, sink),
    };
    let Some(process) = process else { return };
    let comm = text(view.get(param::COMM).unwrap_or_default(), MAX_COMM);
    let thread = Thread {
        born: at,
        by_itself,
        ..Thread::new(tid, process, comm)
    };
    if let Some(key) = state.add(thread)
        && !is_thread
    {
        // Makes the row at once: the sink counts the start.
        rows.owner(state, key, at, sink);
    }
}

/// Adds a process that its parent (if it is known) has made.
fn new_process<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    view: &View<'_>,
    pid: i64,
    parent: Option<u32>,
    by_itself: bool,
    sink: &mut S,
) -> Option<u32> {
    let at = view.event.at;
    let mut process = Process {
        pid,
        vpid: pid,
        uid: view.u32(param::UID).unwrap_or_default(),
        gid: known_id(view.u32(param::GID)),
        start: at,
        cwd: text(view.get(param::CWD).unwrap_or_default(), MAX_PATH).into(),
        descriptors: Descriptors::new(&state.descriptors),
        ..Process::default()
    };
    // Its own event describes the child, its parent's the parent.
    if by_itself {
        process.parent = view.i64(param::PARENT).unwrap_or_default();
        process.vpid = number(view, param::VPID);
    } else {
        process.parent = view.i64(param::PID).unwrap_or_default();
    }
    let exe = view.get(param::EXE).unwrap_or_default();
    let args = view.get(param::ARGS).unwrap_or_default();
    process.set_program(exe, exe, args);
    if let Some(parent) = parent.and_then(|key| state.processes.get_mut(key)) {
        let child = view.i64(param::VTID).unwrap_or(pid);
        process.descriptors = inherited(parent, at, child, by_itself);
        process.cwd.clone_from(&parent.cwd);
        process.exe.clone_from(&parent.exe);
        process.container = parent.container;
        process.is_container_known = parent.is_container_known;
    }
    let cgroups = view.get(param::CGROUPS).unwrap_or_default();
    rows.assign_container(&mut process, cgroups, sink);
    state.add_process(process)
}

/// The descriptors that a child has from its parent: of the moment of the fork, if that is
/// remembered.
fn inherited(parent: &mut Process, at: u64, child: i64, by_itself: bool) -> Descriptors {
    let is_fork =
        |fork: &Fork| fork.child == child && at.saturating_sub(fork.at) < MAX_EVENT_DISTANCE;
    match parent.forks.iter().position(is_fork).filter(|_| by_itself) {
        Some(fork) => parent.forks.swap_remove(fork).descriptors,
        None => parent.descriptors.fork(),
    }
}
