//! The state of the recorded machine at a moment of the capture: threads, processes,
//! descriptors.
//!
//! A capture has changes only, so the state is kept as the kernel has it. Events are lost, and
//! captures begin in the middle: unknown facts stay unknown, and are never guessed. All of it is
//! bounded, as a capture can claim anything.

use std::collections::{HashMap, HashSet, VecDeque};

use bubble_common::segment::network::{Address, Protocol, Role};

use super::address::Interfaces;
use super::descriptor::{self, Descriptors};
use super::ids::Ids;
use super::list::Machine;
use super::thread::{Process, Thread, UNKNOWN_NAME};
use super::view::Enter;
use crate::recording::io::Resource;
use crate::slab::{self, Slab};
use crate::time::SECOND;

/// Most threads that are known at one time; activity of others is not counted.
const MAX_THREADS: usize = 32_768;
/// How long a thread is known after its end, in ns. Its parent's event may come later, and the
/// core's switch away from it does.
const ENDED_THREAD_TTL: u64 = 2 * SECOND;

/// All of it. Threads and processes are named by their keys in the slabs.
#[derive(Debug, Default)]
pub(super) struct State {
    keys: HashMap<i64, u32, Ids>,
    /// The thread that was looked up last: it is mostly the next one, too.
    last: Option<(i64, u32)>,
    pub(super) threads: Slab<Thread>,
    pub(super) processes: Slab<Process>,
    /// Processes that are known by other threads than their first, by the process id: the key,
    /// and the name of such a thread.
    leaderless: HashMap<i64, (u32, Box<str>), Ids>,
    /// Threads that ended, and when.
    ended: VecDeque<(u64, u32)>,
    /// Ports that something listens on.
    pub(super) listening: HashSet<u16>,
    pub(super) descriptors: descriptor::Count,
    pub(super) interfaces: Interfaces,
    pub(super) machine: Machine,
}

impl State {
    /// The key of a thread.
    #[inline]
    pub(super) fn find(&mut self, tid: i64) -> Option<u32> {
        if let Some((last, key)) = self.last
            && last == tid
        {
            return Some(key);
        }
        let key = *self.keys.get(&tid)?;
        self.last = Some((tid, key));
        Some(key)
    }

    /// The key of a thread. An unknown one is added: a later event may describe it.
    pub(super) fn get_or_insert(&mut self, tid: i64, at: u64) -> Option<u32> {
        if let Some(key) = self.find(tid) {
            return Some(key);
        }
        if let Some((process, name)) = self.leaderless.get(&tid).cloned() {
            return self.add(Thread::new(tid, process, name));
        }
        let process = Process {
            pid: tid,
            vpid: -1,
            start: at,
            descriptors: Descriptors::new(&self.descriptors),
            ..Process::default()
        };
        let process = self.add_process(process)?;
        self.add(Thread::new(tid, process, UNKNOWN_NAME.into()))
    }

    /// The process with this id, if it is known by other threads than its first.
    pub(super) fn leaderless(&self, pid: i64) -> Option<u32> {
        self.leaderless.get(&pid).map(|(process, _)| *process)
    }

    /// Adds a process; `None` if there are too many.
    pub(super) fn add_process(&mut self, process: Process) -> Option<u32> {
        if self.processes.len() >= MAX_THREADS {
            return None;
        }
        let key = self.processes.insert(process);
        (key != slab::NOTHING).then_some(key)
    }

    /// Adds a thread with a number that no other has; `None` if there are too many.
    pub(super) fn add(&mut self, thread: Thread) -> Option<u32> {
        if self.threads.len() >= MAX_THREADS {
            return None;
        }
        let (tid, process) = (thread.tid, thread.process);
        let name = thread.comm.clone();
        let key = self.threads.insert(thread);
        if key == slab::NOTHING {
            return None;
        }
        self.keys.insert(tid, key);
        self.last = Some((tid, key));
        if let Some(known) = self.processes.get_mut(process) {
            known.threads += 1;
            let pid = known.pid;
            if pid == tid {
                self.leaderless.remove(&pid);
            } else if !self.keys.contains_key(&pid) {
                self.leaderless.entry(pid).or_insert((process, name));
            }
        }
        Some(key)
    }

    /// A thread and its process.
    #[inline]
    pub(super) fn both(&mut self, thread: u32) -> Option<(&mut Thread, &mut Process)> {
        let thread = self.threads.get_mut(thread)?;
        let process = self.processes.get_mut(thread.process)?;
        Some((thread, process))
    }

    /// The process of a thread.
    #[inline]
    pub(super) fn process(&mut self, thread: u32) -> Option<&mut Process> {
        let process = self.threads.get(thread)?.process;
        self.processes.get_mut(process)
    }

    /// Notes that a thread has ended; returns whether its process has ended with it.
    pub(super) fn end(&mut self, thread: u32, at: u64) -> bool {
        let key = thread;
        let Some((thread, process)) = self.both(key) else {
            return false;
        };
        if thread.has_ended {
            return false;
        }
        thread.has_ended = true;
        thread.enter = Enter::default();
        process.threads = process.threads.saturating_sub(1);
        let is_last = process.threads == 0;
        if is_last {
            process.descriptors = Descriptors::default();
            process.forks.clear();
        }
        self.ended.push_back((at, key));
        is_last
    }

    /// Removes a thread at once; returns its process if no thread is left in it.
    pub(super) fn remove(&mut self, key: u32) -> Option<Process> {
        let thread = self.threads.remove(key)?;
        if self.keys.get(&thread.tid) == Some(&key) {
            self.keys.remove(&thread.tid);
        }
        self.last = None;
        let process = self.processes.get_mut(thread.process)?;
        if !thread.has_ended {
            process.threads = process.threads.saturating_sub(1);
        }
        let pid = process.pid;
        if process.threads > 0 {
            if pid == thread.tid {
                self.leaderless.insert(pid, (thread.process, thread.comm));
            }
            return None;
        }
        if self.leaderless(pid) == Some(thread.process) {
            self.leaderless.remove(&pid);
        }
        self.processes.remove(thread.process)
    }

    /// The next thread that ended long enough before `now`.
    pub(super) fn pop_expired(&mut self, now: u64) -> Option<u32> {
        let expired = |(at, _): &mut (u64, u32)| at.saturating_add(ENDED_THREAD_TTL) <= now;
        self.ended.pop_front_if(expired).map(|(_, key)| key)
    }

    /// Finds out which end of each listed connection is the server, as lists do not say: the
    /// one with a port that something on this machine listens on.
    pub(super) fn find_servers(&mut self) {
        let processes: Vec<u32> = self.processes.handles().collect();
        for key in processes {
            let Some(process) = self.processes.get_mut(key) else {
                continue;
            };
            for (_, descriptor) in process.descriptors.all() {
                if let Resource::Socket(connection) = &*descriptor.resource
                    && connection.protocol == Protocol::Tcp
                    && connection.role == Role::Unknown
                    && let Address::Ip(_, port) = connection.local
                    && self.listening.contains(&port)
                    && let Resource::Socket(connection) = descriptor.change()
                {
                    connection.role = Role::Server;
                }
            }
        }
    }
}
