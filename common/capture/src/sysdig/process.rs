//! The threads and processes of a recording.
//!
//! Lines name threads. Only `clone` and `execve` have the process of a thread, too; a thread that
//! was there before counts as a process by itself.

use std::collections::HashMap;

use bubble_common::segment::network::Role;
use bubble_common::segment::process::{Process, ProcessId};

use super::line::{self, Line};
use crate::recording::process::exit_from_status;
use crate::sink::{ContainerHandle, ProcessHandle, Sink};

/// Most threads, and most processes, that are known at one time. Only lines that lie, or
/// millions of lost ends, exceed it: then all are forgotten.
const MAX_PROCESSES: usize = 1 << 18;
/// Most bytes of a command line that are kept.
const MAX_ARGUMENTS: usize = 4_096;

/// All threads and processes that are known.
#[derive(Debug, Default)]
pub(super) struct Processes {
    threads: HashMap<u32, Thread>,
    processes: HashMap<u32, KnownProcess>,
    /// The start of processes that were there before the recording.
    pub(super) before: u64,
}

/// A thread.
#[derive(Debug, Default)]
pub(super) struct Thread {
    process: u32,
    /// The arguments of the call that it is in.
    pub(super) began: Vec<u8>,
}

/// A process.
#[derive(Debug)]
pub(super) struct KnownProcess {
    /// Its container, if that is counted.
    container: Option<(usize, ContainerHandle)>,
    handle: Option<ProcessHandle>,
    process: Process,
    threads: u32,
    /// Its sockets, by the descriptor's number.
    pub(super) sockets: HashMap<i64, Socket>,
}

/// The properties of a socket that the text of its descriptor lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Socket {
    /// The protocol's letter, as in `4t`; 0 if not known.
    pub(super) protocol: u8,
    /// Which side of its connection the process is; of datagrams: who spoke first.
    pub(super) role: Role,
    /// The process bound it to an address.
    pub(super) is_bound: bool,
}

/// Most sockets of one process that are known at one time.
const MAX_SOCKETS: usize = 4_096;

impl KnownProcess {
    /// The socket `number`, to be changed; `None` if there are too many.
    pub(super) fn socket(&mut self, number: i64) -> Option<&mut Socket> {
        let has_room = self.sockets.len() < MAX_SOCKETS || self.sockets.contains_key(&number);
        has_room.then(|| self.sockets.entry(number).or_default())
    }
}

impl Processes {
    /// The thread of a line.
    pub(super) fn thread(&mut self, line: &Line<'_>) -> &mut Thread {
        if self.threads.len() >= MAX_PROCESSES {
            self.threads.clear();
        }
        self.threads.entry(line.thread).or_insert_with(|| Thread {
            process: line.thread,
            began: Vec::new(),
        })
    }

    /// The process of a line, if it is known.
    pub(super) fn of_line(&mut self, line: &Line<'_>) -> Option<&mut KnownProcess> {
        let process = self.process_of(line.thread);
        self.processes.get_mut(&process)
    }

    fn process_of(&self, thread: u32) -> u32 {
        self.threads
            .get(&thread)
            .map_or(thread, |thread| thread.process)
    }

    /// The sink's handle of the process of a thread that runs, if it has one.
    pub(super) fn running(&self, thread: i64) -> Option<ProcessHandle> {
        let thread = u32::try_from(thread).ok()?;
        self.processes.get(&self.process_of(thread))?.handle
    }

    /// The container of the process of a thread that runs, if that is counted.
    pub(super) fn container_of(&self, thread: i64) -> Option<ContainerHandle> {
        let thread = u32::try_from(thread).ok()?;
        let known = self.processes.get(&self.process_of(thread))?;
        known.container.map(|(_, container)| container)
    }

    /// The sink's handle of the process of a line, which is in `container`.
    pub(super) fn handle<S: Sink>(
        &mut self,
        line: &Line<'_>,
        container: (usize, ContainerHandle),
        sink: &mut S,
    ) -> ProcessHandle {
        let pid = self.process_of(line.thread);
        if self.processes.len() >= MAX_PROCESSES {
            for known in self.processes.values_mut() {
                known.leave(sink);
            }
            self.processes.clear();
        }
        let before = self.before;
        let known = self.processes.entry(pid).or_insert_with(|| {
            let id = ProcessId {
                pid,
                start: before,
                exec: 0,
            };
            KnownProcess::new(Process::new(id, text(line.name)))
        });
        let main = pid == line.thread;
        if main && known.process.container_pid == 0 {
            known.process.container_pid = line.container_thread;
        }
        if known.container != Some(container) {
            known.leave(sink);
            known.container = Some(container);
        }
        if main && !line.name.is_empty() && known.process.name.as_bytes() != line.name {
            known.renamed(line.at, text(line.name), sink);
        }
        match known.handle {
            Some(handle) => handle,
            None => {
                sink.alive(line.at, container.1);
                let handle = sink.process(container.1, &known.process);
                known.handle = Some(handle);
                handle
            }
        }
    }

    /// A thread was made: its own line, which has its process.
    pub(super) fn fork<S: Sink>(&mut self, line: &Line<'_>, sink: &mut S) {
        let process = number(line, "pid").unwrap_or(line.thread);
        self.forget(line.thread, sink);
        self.thread(line).process = process;
        if process != line.thread {
            if let Some(known) = self.processes.get_mut(&process) {
                known.threads += 1;
            }
            return;
        }
        let id = ProcessId {
            pid: process,
            start: line.at,
            exec: 0,
        };
        let mut new = KnownProcess::new(Process {
            container_pid: number(line, "vpid").unwrap_or(line.container_thread),
            parent: number(line, "ptid").unwrap_or(0),
            ..Process::new(id, text(line.name))
        });
        new.set_program(line);
        if let Some(mut old) = self.processes.insert(process, new) {
            old.leave(sink);
        }
    }

    /// A process made another: its own line has the program that it runs itself, which may not be
    /// known yet.
    pub(super) fn parent<S: Sink>(&mut self, line: &Line<'_>, sink: &mut S) {
        if let Some(known) = self.of_line(line)
            && known.process.exe.is_empty()
        {
            known.process.parent = number(line, "ptid").unwrap_or(known.process.parent);
            known.set_program(line);
            known.report(sink);
        }
    }

    /// A process became another program.
    pub(super) fn exec<S: Sink>(&mut self, line: &Line<'_>, sink: &mut S) {
        let pid = number(line, "pid").unwrap_or(line.thread);
        self.thread(line).process = pid;
        let before = self.before;
        let known = self.processes.entry(pid).or_insert_with(|| {
            let id = ProcessId {
                pid,
                start: before,
                exec: 0,
            };
            KnownProcess::new(Process::new(id, ""))
        });
        known.renamed(line.at, text(line.name), sink);
        known.sockets.clear();
        known.threads = 1;
        if known.process.parent == 0 {
            known.process.parent = number(line, "ptid").unwrap_or(0);
        }
        known.set_program(line);
    }

    /// A thread ended, and the process with its last one.
    pub(super) fn exit<S: Sink>(&mut self, line: &Line<'_>, sink: &mut S) {
        let pid = self.process_of(line.thread);
        self.threads.remove(&line.thread);
        let Some(known) = self.processes.get_mut(&pid) else {
            return;
        };
        known.threads = known.threads.saturating_sub(1);
        if pid == line.thread {
            let status = line::number(line.arguments, "status").unwrap_or(0);
            known.process.exit = Some(exit_from_status(status as u32));
        }
        if known.threads == 0 {
            known.process.end = line.at;
            known.report(sink);
            known.leave(sink);
            self.processes.remove(&pid);
        }
    }

    /// The containers that processes are in, by their numbers; some more than once.
    pub(super) fn containers(&self) -> impl Iterator<Item = usize> {
        self.processes
            .values()
            .filter_map(|known| Some(known.container?.0))
    }

    /// Forgets a thread when its number is used again: its end was not printed.
    fn forget<S: Sink>(&mut self, thread: u32, sink: &mut S) {
        self.threads.remove(&thread);
        if let Some(mut old) = self.processes.remove(&thread) {
            old.leave(sink);
        }
    }
}

impl KnownProcess {
    fn new(process: Process) -> Self {
        Self {
            container: None,
            handle: None,
            process,
            threads: 1,
            sockets: HashMap::new(),
        }
    }

    /// Begins another row: it called exec, or has another name.
    fn renamed<S: Sink>(&mut self, at: u64, name: String, sink: &mut S) {
        if self.handle.is_some() {
            self.process.end = at;
            self.report(sink);
            self.release(sink);
            self.process.end = 0;
            self.process.id.exec += 1;
        }
        self.process.name = name;
    }

    /// Takes the program that it runs from a line.
    fn set_program(&mut self, line: &Line<'_>) {
        let process = &mut self.process;
        process.exe = line::text(line.arguments, "exe").map_or_else(String::new, text);
        if let Some(uid) = number(line, "uid") {
            process.uid = uid;
        }
        process.gid = number(line, "gid").or(process.gid);
        // sysdig writes a point for the NUL between words and at the end.
        let words = line::text(line.arguments, "args").unwrap_or_default();
        let words = words.strip_suffix(b".").unwrap_or(words);
        process.args = process.exe.clone();
        if !words.is_empty() {
            process.args.push('\0');
            process
                .args
                .push_str(&text(&words[..words.len().min(MAX_ARGUMENTS)]));
        }
    }

    /// Reports new facts, if the sink knows the process.
    fn report<S: Sink>(&self, sink: &mut S) {
        if let (Some((_, container)), Some(_)) = (self.container, self.handle) {
            sink.process(container, &self.process);
        }
    }

    fn release<S: Sink>(&mut self, sink: &mut S) {
        if let Some(handle) = self.handle.take() {
            sink.release_process(handle);
        }
    }

    /// Takes it out of its container.
    fn leave<S: Sink>(&mut self, sink: &mut S) {
        self.release(sink);
        self.container = None;
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn number(line: &Line<'_>, key: &str) -> Option<u32> {
    u32::try_from(line::number(line.arguments, key)?).ok()
}
