//! What is known at a moment of the capture: threads, processes, descriptors.
//!
//! Captures tell only changes, so all this is kept as the kernel would have it. Events
//! are lost, and captures begin in the middle; what is not known stays so, and is never
//! guessed. All of it is bounded, as a capture can claim anything.

pub(super) mod descriptor;
pub(super) mod ids;
pub(super) mod path;
pub(super) mod thread;

use std::collections::{HashMap, HashSet, VecDeque};

use bubble_common::segment::network::{Address, Protocol, Role};

use super::address::Interfaces;
use super::list::Machine;
use crate::slab::{self, Slab};
use descriptor::{Descriptors, What};
use ids::Ids;
use thread::{Process, Thread};

/// Most threads that are known at one time; what the others do is not counted.
const THREADS: usize = 32_768;
/// For how long a thread that ended is still known, in ns: its parent's event may come
/// later, and the core's switch away from it does.
const KEPT: u64 = 2_000_000_000;

/// All of it.
#[derive(Debug, Default)]
pub(super) struct State {
    places: HashMap<i64, u32, Ids>,
    /// The thread that was last looked up: it is mostly the next one, too.
    last: Option<(i64, u32)>,
    pub(super) threads: Slab<Thread>,
    pub(super) processes: Slab<Process>,
    /// Threads that ended, and when.
    ended: VecDeque<(u64, u32)>,
    /// Ports that something listens on.
    pub(super) listening: HashSet<u16>,
    pub(super) descriptors: descriptor::Count,
    pub(super) interfaces: Interfaces,
    pub(super) machine: Machine,
}

impl State {
    /// The place of a thread.
    #[inline]
    pub(super) fn find(&mut self, tid: i64) -> Option<u32> {
        if let Some((last, place)) = self.last
            && last == tid
        {
            return Some(place);
        }
        let place = *self.places.get(&tid)?;
        self.last = Some((tid, place));
        Some(place)
    }

    /// The place of a thread, which becomes known by this when it was not: an event that
    /// says more of it may come later.
    pub(super) fn meet(&mut self, tid: i64, at: u64) -> Option<u32> {
        if let Some(place) = self.find(tid) {
            return Some(place);
        }
        let process = Process {
            pid: tid,
            vpid: -1,
            start: at,
            descriptors: Descriptors::new(&self.descriptors),
            ..Process::default()
        };
        let process = self.add_process(process)?;
        self.add(Thread::new(tid, process, "<NA>".into()))
    }

    /// Makes room for a process; nothing when there are too many.
    pub(super) fn add_process(&mut self, process: Process) -> Option<u32> {
        if self.processes.len() >= THREADS {
            return None;
        }
        let place = self.processes.insert(process);
        (place != slab::NOTHING).then_some(place)
    }

    /// Puts a thread in, of whose number there is none; nothing when there are too many.
    pub(super) fn add(&mut self, thread: Thread) -> Option<u32> {
        if self.threads.len() >= THREADS {
            return None;
        }
        let (tid, process) = (thread.tid, thread.process);
        let place = self.threads.insert(thread);
        if place == slab::NOTHING {
            return None;
        }
        self.places.insert(tid, place);
        self.last = Some((tid, place));
        if let Some(process) = self.processes.get_mut(process) {
            process.threads += 1;
        }
        Some(place)
    }

    /// A thread and its process.
    #[inline]
    pub(super) fn both(&mut self, place: u32) -> Option<(&mut Thread, &mut Process)> {
        let thread = self.threads.get_mut(place)?;
        let process = self.processes.get_mut(thread.process)?;
        Some((thread, process))
    }

    /// Notes that a thread has ended; `true` when its process has, with it.
    pub(super) fn end(&mut self, place: u32, at: u64) -> bool {
        let Some((thread, process)) = self.both(place) else {
            return false;
        };
        if thread.ended {
            return false;
        }
        thread.ended = true;
        thread.enter = thread::Enter::default();
        process.threads = process.threads.saturating_sub(1);
        let last = process.threads == 0;
        if last {
            process.descriptors = Descriptors::default();
            process.forks.clear();
        }
        self.ended.push_back((at, place));
        last
    }

    /// Forgets a thread at once, and gives its process if no thread is left in it.
    pub(super) fn forget(&mut self, place: u32) -> Option<Process> {
        let thread = self.threads.remove(place)?;
        if self.places.get(&thread.tid) == Some(&place) {
            self.places.remove(&thread.tid);
        }
        self.last = None;
        let process = self.processes.get_mut(thread.process)?;
        if !thread.ended {
            process.threads = process.threads.saturating_sub(1);
        }
        if process.threads > 0 {
            return None;
        }
        self.processes.remove(thread.process)
    }

    /// A thread that ended long enough before `now`.
    pub(super) fn over(&mut self, now: u64) -> Option<u32> {
        let over = |(at, _): &mut (u64, u32)| at.saturating_add(KEPT) <= now;
        self.ended.pop_front_if(over).map(|(_, place)| place)
    }

    /// Lists do not say which end of a connection is the server: the one whose port something
    /// on this machine listens on.
    pub(super) fn name_servers(&mut self) {
        let processes: Vec<u32> = self.processes.handles().collect();
        for place in processes {
            let Some(process) = self.processes.get_mut(place) else {
                continue;
            };
            for (_, known) in process.descriptors.all() {
                if let What::Socket(connection) = &*known.what
                    && connection.protocol == Protocol::Tcp
                    && connection.role == Role::Unknown
                    && let Address::Ip(_, port) = connection.local
                    && self.listening.contains(&port)
                    && let What::Socket(connection) = known.change()
                {
                    connection.role = Role::Server;
                }
            }
        }
    }
}
