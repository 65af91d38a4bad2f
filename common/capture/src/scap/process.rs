//! The life of processes: listed at the beginning, run another program, ended. `fork` makes
//! them.

use std::sync::Arc;

use super::bytes::{MAX_PATH, text, until_nul};
use super::descriptor::{Descriptor, Descriptors};
use super::event::Event;
use super::list::{Listed, ListedDescriptor};
use super::rows::Rows;
use super::state::State;
use super::thread::{Process, ReportedMemory, Thread};
use super::view::{View, is_name};
use super::{memory, param, path};
use crate::recording::io::Resource;
use crate::recording::process::{Sizes, exit_from_status, memory_from_kib};
use crate::sink::Sink;

/// Longest name of a thread that is kept. The kernel's limit is 15; some writers have longer
/// ones.
pub(super) const MAX_COMM: usize = 64;

/// Adds a thread that was there at the beginning.
pub(super) fn listed<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    listed: &Listed<'_>,
    sink: &mut S,
) {
    if state.find(listed.tid).is_some() {
        return;
    }
    let leader = (listed.pid != listed.tid)
        .then(|| state.find(listed.pid))
        .flatten();
    let leader = leader.and_then(|leader| Some(state.threads.get(leader)?.process));
    let process = match leader.or_else(|| state.leaderless(listed.pid)) {
        Some(process) => Some(process),
        None => {
            let machine = state.machine.memory_kib();
            let mut process = Process {
                pid: listed.pid,
                parent: listed.parent,
                vpid: listed.vpid,
                uid: listed.uid,
                gid: known_id(Some(listed.gid)),
                cwd: text(listed.cwd, MAX_PATH).into(),
                descriptors: Descriptors::new(&state.descriptors),
                memory: match memory_from_kib(listed.memory.map(u64::from), machine) {
                    Sizes::Of(memory) => Some(memory),
                    Sizes::None | Sizes::Implausible => None,
                },
                ..Process::default()
            };
            let path = Some(listed.exepath).filter(|path| is_name(path));
            process.set_program(path.unwrap_or(listed.exe), listed.exe, listed.args);
            rows.assign_container(&mut process, listed.cgroups, sink);
            state.add_process(process)
        }
    };
    if let Some(process) = process {
        let comm = text(listed.comm, MAX_COMM);
        state.add(Thread::new(listed.tid, process, comm));
    }
}

/// Adds a descriptor that was there at the beginning.
pub(super) fn listed_descriptor(state: &mut State, tid: i64, listed: ListedDescriptor) {
    let Some(thread) = state.find(tid) else {
        return;
    };
    if let Some(port) = listed.listens {
        state.listening.insert(port);
    }
    if let Some(process) = state.process(thread) {
        let descriptor = Descriptor {
            close_on_exec: listed.close_on_exec,
            maybe_udp: listed.maybe_udp,
            ..Descriptor::new(listed.resource)
        };
        process.descriptors.insert(listed.fd, descriptor);
    }
}

/// A process runs another program from here on.
pub(super) fn exec<S: Sink>(state: &mut State, rows: &mut Rows, view: &View<'_>, sink: &mut S) {
    let Event { at, tid, .. } = *view.event;
    if view.i64(0).is_none_or(|result| result < 0) {
        return;
    }
    let Some(key) = state.get_or_insert(tid, at) else {
        return;
    };
    if let Some(process) = state.process(key) {
        rows.drop_pending(process);
    }
    rows.end(state, key, at, None, sink);
    rows.renew(state, key, at);
    end_other_threads(state, rows, key, at, sink);
    let Some((thread, process)) = state.both(key) else {
        return;
    };
    run_program(thread, process, view);
    if let Some(uid) = known_id(view.u32(param::EXEC_UID)) {
        process.uid = uid;
    }
    process.gid = known_id(view.u32(param::EXEC_GID)).or(process.gid);
    if let Some(parent) = view.i64(param::PARENT) {
        process.parent = parent;
    }
    let cgroups = view.get(param::CGROUPS).unwrap_or_default();
    rows.assign_container(process, cgroups, sink);
    process.descriptors.retain(|_, known| !known.close_on_exec);
    thread.born = thread.born.max(1);
    thread.reported_memory = ReportedMemory::default();
    memory::report_call(state, rows, key, view, param::VM, sink);
}

/// Takes the program, its arguments and the thread's name from an exec.
fn run_program(thread: &mut Thread, process: &mut Process, view: &View<'_>) {
    let argument = view.get(param::EXE).unwrap_or_default();
    let args = view.get(param::ARGS).unwrap_or_default();
    let name = |index: u8| view.get(index).filter(|name| is_name(name));
    let program = name(param::TRUSTED_PATH).map(|path| path::join(None, path));
    let program =
        program.or_else(|| name(param::FILE_NAME).map(|path| path::join(process.cwd(), path)));
    match program {
        Some(program) => process.set_program(program.as_bytes(), argument, args),
        None => process.set_program(argument, argument, args),
    }
    let base_name = until_nul(argument).rsplit(|byte| *byte == b'/').next();
    let comm = name(param::COMM).or(base_name).unwrap_or_default();
    thread.comm = text(comm, MAX_COMM);
}

/// Ends the other threads of a process, as exec does.
fn end_other_threads<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    thread: u32,
    at: u64,
    sink: &mut S,
) {
    let Some((this, process)) = state.both(thread) else {
        return;
    };
    if process.threads < 2 {
        return;
    }
    let process = this.process;
    let is_of_process = |other: &u32| {
        let other = state.threads.get(*other);
        other.is_some_and(|other| other.process == process)
    };
    let others: Vec<u32> = state
        .threads
        .handles()
        .filter(|other| *other != thread)
        .filter(is_of_process)
        .collect();
    for other in others {
        forget(state, rows, other, at, sink);
    }
}

/// A thread ended, and its process with the last of them.
pub(super) fn exit<S: Sink>(state: &mut State, rows: &mut Rows, view: &View<'_>, sink: &mut S) {
    let Event { at, tid, .. } = *view.event;
    let status = view.i64(0).map(|status| exit_from_status(status as u32));
    let Some(thread) = state.find(tid) else {
        // The first thread of a process that is known by others.
        let process = state.leaderless(tid);
        if let Some(process) = process.and_then(|key| state.processes.get_mut(key)) {
            process.exit = status;
        }
        return;
    };
    // Makes the row, so that the core's last switch from the thread is charged to it.
    rows.owner(state, thread, at, sink);
    let Some(process) = state.process(thread) else {
        return;
    };
    if process.exit.is_none() || process.pid == tid {
        process.exit = status;
    }
    let exit = process.exit;
    if state.end(thread, at) {
        rows.end(state, thread, at, exit, sink);
    }
}

/// Forgets a thread that is gone: the event of its end is missing.
pub(super) fn forget<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    thread: u32,
    at: u64,
    sink: &mut S,
) {
    let is_last = state
        .both(thread)
        .is_some_and(|(thread, process)| !thread.has_ended && process.threads == 1);
    if is_last {
        rows.end(state, thread, at, None, sink);
    }
    if let Some(process) = state.remove(thread) {
        rows.forget(process, at);
    }
}

/// The user of a process changed to the parameter at `index`.
pub(super) fn set_user(process: &mut Process, view: &View<'_>, index: u8) {
    if let (Some(0), Some(uid)) = (view.i64(0), known_id(view.u32(index))) {
        process.uid = uid;
    }
}

/// The group of a process changed to the parameter at `index`.
pub(super) fn set_group(process: &mut Process, view: &View<'_>, index: u8) {
    if let (Some(0), Some(gid)) = (view.i64(0), known_id(view.u32(index))) {
        process.gid = Some(gid);
    }
}

/// A user or group id, unless it is -1: unknown, or not changed.
pub(super) fn known_id(id: Option<u32>) -> Option<u32> {
    id.filter(|id| *id != u32::MAX)
}

/// The working directory of a process changed.
pub(super) fn chdir(process: &mut Process, view: &View<'_>) {
    if let (Some(0), Some(given)) = (view.i64(0), view.get(1).filter(|it| is_name(it))) {
        process.cwd = path::join(process.cwd(), given).into();
    }
}

/// The working directory of a process became that of a descriptor.
pub(super) fn fchdir(process: &mut Process, view: &View<'_>) {
    let (Some(0), Some(fd)) = (view.i64(0), view.i64(1)) else {
        return;
    };
    let known = process.descriptors.get(fd);
    process.cwd = match known.map(|known| &*known.resource) {
        Some(Resource::File(file)) => file.path.as_str().into(),
        _ => Arc::default(),
    };
}
