//! The threads and processes of a recording, as far as its lines tell of them.
//!
//! Lines name threads. Which process a thread belongs to is told when it is made
//! (`clone`, `execve`); one that was there before counts as a process by itself.

use std::collections::HashMap;

use bubble_common::segment::process::{Exit, Process, ProcessId};

use super::line::{self, Line};
use crate::sink::{ContainerHandle, ProcessHandle, Sink};

/// Most threads, and most processes, that are known at one time. Only lines that lie, or the
/// loss of millions of ends, come so far: all are forgotten then.
const MOST: usize = 1 << 18;
/// Most bytes of a command line that are kept.
const ARGUMENTS: usize = 4_096;

/// What is known of the threads and processes.
#[derive(Debug, Default)]
pub(super) struct Processes {
    threads: HashMap<u32, Thread>,
    processes: HashMap<u32, Known>,
    /// When those started that were there before the recording.
    pub(super) before: u64,
}

/// A thread.
#[derive(Debug, Default)]
pub(super) struct Thread {
    process: u32,
    /// Arguments with which the call began that has not ended.
    pub(super) began: Vec<u8>,
}

/// A process.
#[derive(Debug)]
pub(super) struct Known {
    /// In which container, if in one that is shown.
    container: Option<(usize, ContainerHandle)>,
    handle: Option<ProcessHandle>,
    process: Process,
    threads: u32,
    /// What is known of its sockets, by the descriptor's number.
    pub(super) sockets: HashMap<i64, Socket>,
}

/// What a descriptor's text does not say of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Socket {
    /// The protocol's letter, as in `4t`; 0 when not known.
    pub(super) protocol: u8,
    /// It was connected by the process.
    pub(super) client: bool,
}

/// Most sockets of one process that are known at one time.
const SOCKETS: usize = 4_096;

impl Known {
    /// Notes something about the socket `number`.
    pub(super) fn socket(&mut self, number: i64) -> Option<&mut Socket> {
        let room = self.sockets.len() < SOCKETS || self.sockets.contains_key(&number);
        room.then(|| self.sockets.entry(number).or_default())
    }
}

impl Processes {
    /// The thread of a line.
    pub(super) fn thread(&mut self, line: &Line<'_>) -> &mut Thread {
        if self.threads.len() >= MOST {
            self.threads.clear();
        }
        self.threads.entry(line.thread).or_insert_with(|| Thread {
            process: line.thread,
            began: Vec::new(),
        })
    }

    /// What is known of the process of a line.
    pub(super) fn known(&mut self, line: &Line<'_>) -> Option<&mut Known> {
        let process = self.process_of(line.thread);
        self.processes.get_mut(&process)
    }

    fn process_of(&self, thread: u32) -> u32 {
        self.threads
            .get(&thread)
            .map_or(thread, |thread| thread.process)
    }

    /// The sink's handle of the process of a line, which is in `container`. The second value
    /// says that it is new there.
    pub(super) fn handle<S: Sink>(
        &mut self,
        line: &Line<'_>,
        container: (usize, ContainerHandle),
        sink: &mut S,
    ) -> ProcessHandle {
        let pid = self.process_of(line.thread);
        if self.processes.len() >= MOST {
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
            Known::new(Process::new(id, text(line.name)))
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

    /// A thread was made: its own line, in which it is told who it is.
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
        let mut new = Known::new(Process {
            container_pid: number(line, "vpid").unwrap_or(line.container_thread),
            parent: number(line, "ptid").unwrap_or(0),
            ..Process::new(id, text(line.name))
        });
        new.program(line);
        if let Some(mut old) = self.processes.insert(process, new) {
            old.leave(sink);
        }
    }

    /// A process made another: its own line tells who it is itself, which nothing may have told before.
    pub(super) fn parent<S: Sink>(&mut self, line: &Line<'_>, sink: &mut S) {
        if let Some(known) = self.known(line)
            && known.process.exe.is_empty()
        {
            known.process.parent = number(line, "ptid").unwrap_or(known.process.parent);
            known.program(line);
            known.say(sink);
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
            Known::new(Process::new(id, ""))
        });
        known.renamed(line.at, text(line.name), sink);
        known.sockets.clear();
        known.threads = 1;
        if known.process.parent == 0 {
            known.process.parent = number(line, "ptid").unwrap_or(0);
        }
        known.program(line);
    }

    /// A thread ended; with its last one the process did.
    pub(super) fn exit<S: Sink>(&mut self, line: &Line<'_>, sink: &mut S) {
        let pid = self.process_of(line.thread);
        self.threads.remove(&line.thread);
        let Some(known) = self.processes.get_mut(&pid) else {
            return;
        };
        known.threads = known.threads.saturating_sub(1);
        if pid == line.thread {
            known.process.exit = Some(exit(line.arguments));
        }
        if known.threads == 0 {
            known.process.end = line.at;
            known.say(sink);
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

    /// Lets go of a thread's number that is used again, as its end was not told.
    fn forget<S: Sink>(&mut self, thread: u32, sink: &mut S) {
        self.threads.remove(&thread);
        if let Some(mut old) = self.processes.remove(&thread) {
            old.leave(sink);
        }
    }
}

impl Known {
    fn new(process: Process) -> Self {
        Self {
            container: None,
            handle: None,
            process,
            threads: 1,
            sockets: HashMap::new(),
        }
    }

    /// From here on it is another row: it called exec, or has another name.
    fn renamed<S: Sink>(&mut self, at: u64, name: String, sink: &mut S) {
        if self.handle.is_some() {
            self.process.end = at;
            self.say(sink);
            self.release(sink);
            self.process.end = 0;
            self.process.id.exec += 1;
        }
        self.process.name = name;
    }

    /// Takes what a line says of the program that it runs.
    fn program(&mut self, line: &Line<'_>) {
        let process = &mut self.process;
        process.exe = line::text(line.arguments, "exe").map_or_else(String::new, text);
        if let Some(uid) = number(line, "uid") {
            process.uid = uid;
        }
        // Between words, and at the end, sysdig writes a point for NUL.
        let words = line::text(line.arguments, "args").unwrap_or_default();
        let words = words.strip_suffix(b".").unwrap_or(words);
        process.args = process.exe.clone();
        if !words.is_empty() {
            process.args.push('\0');
            process
                .args
                .push_str(&text(&words[..words.len().min(ARGUMENTS)]));
        }
    }

    /// Tells the sink what is known more, if it knows of the process.
    fn say<S: Sink>(&self, sink: &mut S) {
        if let (Some((_, container)), Some(_)) = (self.container, self.handle) {
            sink.process(container, &self.process);
        }
    }

    fn release<S: Sink>(&mut self, sink: &mut S) {
        if let Some(handle) = self.handle.take() {
            sink.release_process(handle);
        }
    }

    /// Leaves its container.
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

/// How a thread ended: `status` as `wait(2)` has it.
fn exit(arguments: &[u8]) -> Exit {
    let status = line::number(arguments, "status").unwrap_or(0);
    match (status & 0x7f) as u8 {
        0 => Exit::Code((status >> 8) as u8),
        signal => Exit::Signal(signal),
    }
}
