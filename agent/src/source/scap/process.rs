//! The life of processes: there at the beginning, became another program, ended. How they are
//! made is in `fork`.

use std::sync::Arc;

use bubble_common::segment::process::Exit;

use super::account::Account;
use super::bytes::{text, until_nul};
use super::cpu::memory;
use super::event::{View, is_name};
use super::list::{ARGUMENTS, Listed, ListedDescriptor, PATH};
use super::state::descriptor::{Descriptor, Descriptors, What};
use super::state::path;
use super::state::thread::{Owner, Process, Thread};
use crate::sink::Sink;

/// The kernel's limit is 15; some writers have longer names.
pub(super) const COMM: usize = 64;

/// Parameters of events that tell of a process: `clone` and `exec` have them in common.
pub(super) mod param {
    pub(in super::super) const EXE: u8 = 1;
    pub(in super::super) const ARGS: u8 = 2;
    pub(in super::super) const PID: u8 = 4;
    pub(in super::super) const PARENT: u8 = 5;
    pub(in super::super) const CWD: u8 = 6;
    pub(in super::super) const VM: u8 = 10;
    pub(in super::super) const COMM: u8 = 13;
    pub(in super::super) const CGROUPS: u8 = 14;
    /// Of `clone` only.
    pub(in super::super) const FLAGS: u8 = 15;
    pub(in super::super) const UID: u8 = 16;
    pub(in super::super) const VTID: u8 = 18;
    pub(in super::super) const VPID: u8 = 19;
    /// Of `exec` only.
    pub(in super::super) const EXEC_UID: u8 = 26;
    pub(in super::super) const TRUSTED_PATH: u8 = 27;
    pub(in super::super) const FILE_NAME: u8 = 30;
}

impl Account {
    /// A thread that was there at the beginning.
    pub(super) fn listed<S: Sink>(&mut self, listed: &Listed<'_>, sink: &mut S) {
        if self.state.find(listed.tid).is_some() {
            return;
        }
        let leader = (listed.pid != listed.tid)
            .then(|| self.state.find(listed.pid))
            .flatten();
        let leader = leader.and_then(|place| Some(self.state.threads.get(place)?.process));
        let process = match leader {
            Some(process) => Some(process),
            None => {
                let mut process = Process {
                    pid: listed.pid,
                    parent: listed.parent,
                    vpid: listed.vpid,
                    uid: listed.uid,
                    cwd: text(listed.cwd, PATH).into(),
                    descriptors: Descriptors::new(&self.state.descriptors),
                    memory: (listed.memory[0] > 0).then(|| memory(listed.memory)),
                    ..Process::default()
                };
                let path = Some(listed.exepath).filter(|path| is_name(path));
                process.program(path.unwrap_or(listed.exe), listed.exe, listed.args);
                self.place(&mut process, listed.cgroups, sink);
                self.state.add_process(process)
            }
        };
        if let Some(process) = process {
            let comm = text(listed.comm, COMM);
            self.state.add(Thread::new(listed.tid, process, comm));
        }
    }

    /// A descriptor that was there at the beginning.
    pub(super) fn listed_descriptor(&mut self, tid: i64, listed: ListedDescriptor) {
        let Some(place) = self.state.find(tid) else {
            return;
        };
        if let Some(port) = listed.listens {
            self.state.listening.insert(port);
        }
        if let Some((_, process)) = self.state.both(place) {
            let descriptor = Descriptor {
                close_on_exec: listed.close_on_exec,
                ..Descriptor::new(listed.what)
            };
            process.descriptors.insert(listed.fd, descriptor);
        }
    }

    /// Notes which container a process is in, if its cgroups tell it.
    pub(super) fn place<S: Sink>(&mut self, process: &mut Process, cgroups: &[u8], sink: &mut S) {
        if !cgroups.is_empty() {
            process.container = self.containers.of_cgroups(cgroups, sink);
            process.placed = true;
        }
    }

    /// A process runs another program from here on.
    pub(super) fn exec<S: Sink>(&mut self, at: u64, tid: i64, view: &View<'_>, sink: &mut S) {
        if view.i64(0).is_none_or(|result| result < 0) {
            return;
        }
        let Some(place) = self.state.meet(tid, at) else {
            return;
        };
        self.forget_held(place);
        self.end_rows(place, at, None, sink);
        self.new_rows(place, at);
        self.leave_alone(place, at, sink);
        let containers = &mut self.containers;
        let Some((thread, process)) = self.state.both(place) else {
            return;
        };
        let argument = view.get(param::EXE).unwrap_or_default();
        let args = view.get(param::ARGS).unwrap_or_default();
        let name = |index: u8| view.get(index).filter(|name| is_name(name));
        let program = name(param::TRUSTED_PATH).map(|path| path::join(None, path));
        let program = program.or_else(|| {
            let cwd = Some(&*process.cwd).filter(|cwd| !cwd.is_empty());
            name(param::FILE_NAME).map(|path| path::join(cwd, path))
        });
        match program {
            Some(program) => process.program(program.as_bytes(), argument, args),
            None => process.program(argument, argument, args),
        }
        let own = until_nul(argument).rsplit(|byte| *byte == b'/').next();
        thread.comm = text(name(param::COMM).or(own).unwrap_or_default(), COMM);
        if let Some(uid) = view.u32(param::EXEC_UID).filter(|uid| *uid != u32::MAX) {
            process.uid = uid;
        }
        if let Some(parent) = view.i64(param::PARENT) {
            process.parent = parent;
        }
        if let Some(cgroups) = view.get(param::CGROUPS) {
            process.container = containers.of_cgroups(cgroups, sink);
            process.placed = true;
        }
        process.descriptors.retain(|_, known| !known.close_on_exec);
        thread.born = thread.born.max(1);
        thread.told = (0, 0, 0);
        self.told_memory(place, at, view, param::VM, sink);
    }

    /// Memory that an event tells of its process.
    pub(super) fn told_memory<S: Sink>(
        &mut self,
        place: u32,
        at: u64,
        view: &View<'_>,
        first: u8,
        sink: &mut S,
    ) {
        if let Owner::Process { process, .. } = self.owner(place, at, sink) {
            self.memory(place, process, at, view, first, sink);
        }
    }

    /// Lets a thread alone in its process: the others end when it calls `exec`.
    fn leave_alone<S: Sink>(&mut self, place: u32, at: u64, sink: &mut S) {
        let Some((thread, process)) = self.state.both(place) else {
            return;
        };
        if process.threads < 2 {
            return;
        }
        let of = thread.process;
        let others: Vec<u32> = self
            .state
            .threads
            .handles()
            .filter(|other| *other != place)
            .filter(|other| {
                self.state
                    .threads
                    .get(*other)
                    .is_some_and(|it| it.process == of)
            })
            .collect();
        for other in others {
            self.forget(other, at, sink);
        }
    }

    /// A thread ended, and its process with the last of them.
    pub(super) fn exit<S: Sink>(&mut self, at: u64, tid: i64, view: &View<'_>, sink: &mut S) {
        let Some(place) = self.state.find(tid) else {
            return;
        };
        // So that what its core is yet to tell is charged to this row.
        self.owner(place, at, sink);
        let status = view.i64(0).map(|status| exit(status as u32));
        let Some((_, process)) = self.state.both(place) else {
            return;
        };
        if process.exit.is_none() || process.pid == tid {
            process.exit = status;
        }
        let exit = process.exit;
        if self.state.end(place, at) {
            self.end_rows(place, at, exit, sink);
        }
    }

    /// A thread is not there any more, though nothing told of its end.
    pub(super) fn forget<S: Sink>(&mut self, place: u32, at: u64, sink: &mut S) {
        let last = self
            .state
            .both(place)
            .is_some_and(|(thread, process)| !thread.ended && process.threads == 1);
        if last {
            self.end_rows(place, at, None, sink);
        }
        if let Some(process) = self.state.forget(place) {
            self.release_later(process, at);
        }
    }

    /// The user of a process changed.
    pub(super) fn user(&mut self, place: u32, view: &View<'_>, index: u8) {
        let uid = view.u32(index).filter(|uid| *uid != u32::MAX);
        if let (Some(0), Some(uid), Some((_, process))) = (view.i64(0), uid, self.state.both(place))
        {
            process.uid = uid;
        }
    }

    /// The working directory of a process changed.
    pub(super) fn chdir(&mut self, place: u32, view: &View<'_>) {
        let (Some(0), Some(given)) = (view.i64(0), view.get(1).filter(|it| is_name(it))) else {
            return;
        };
        if let Some((_, process)) = self.state.both(place) {
            let cwd = Some(&*process.cwd).filter(|cwd| !cwd.is_empty());
            process.cwd = path::join(cwd, given).into();
        }
    }

    /// To the directory of a descriptor.
    pub(super) fn fchdir(&mut self, place: u32, view: &View<'_>) {
        let (Some(0), Some(fd)) = (view.i64(0), view.i64(1)) else {
            return;
        };
        if let Some((_, process)) = self.state.both(place) {
            let known = process.descriptors.get(fd);
            process.cwd = match known.map(|known| &*known.what) {
                Some(What::File(file)) => file.path.as_str().into(),
                _ => Arc::default(),
            };
        }
    }
}

impl Process {
    /// Sets the program, and the command line, whose first word is apart in captures.
    pub(super) fn program(&mut self, path: &[u8], first: &[u8], rest: &[u8]) {
        self.exe = text(path, PATH).into();
        let mut args = until_nul(first).to_vec();
        let rest = rest.strip_suffix(&[0]).unwrap_or(rest);
        if !rest.is_empty() {
            args.push(0);
            args.extend_from_slice(rest);
        }
        args.truncate(ARGUMENTS);
        self.args = String::from_utf8_lossy(&args).into();
    }
}

/// What `wait` would say of an end.
fn exit(status: u32) -> Exit {
    match status & 0x7f {
        0 => Exit::Code((status >> 8) as u8),
        signal => Exit::Signal(signal as u8),
    }
}
