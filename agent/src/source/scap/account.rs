//! From what happens to threads to what is charged to processes in the sink.
//!
//! A row of the sink is a process, and a thread of another name is a row of its own, as
//! sysdig shows it: a thread is called what it was called when it was made.

use std::collections::VecDeque;

use bubble_common::segment::process::{Exit, Process as SinkProcess, ProcessId};

use super::container::{Containers, Options};
use super::cpu::Core;
use super::state::State;
use super::state::thread::{Owner, Process, Row};
use crate::clock::SECOND;
use crate::container::HostFacts;
use crate::sink::{ProcessHandle, Sink};
use crate::source::recording::{Position, SLACK, begin};

/// Most rows of one process; threads with yet other names are charged to the last.
const ROWS: usize = 16;
/// Most rows that are live at one time; what others do is not counted.
const ALL_ROWS: usize = 65_536;
/// How often it is looked after what is over, in ns of the capture; divides a second.
const TICK: u64 = 100_000_000;
/// An event so long after the latest is damaged: ns.
const FAR: u64 = 30 * 86_400 * SECOND;
/// For how long a row is kept after its end, in ns: the last of its sums may come later.
const KEPT: u64 = 2 * SECOND;

/// The state of a capture, and what of it the sink knows.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) state: State,
    pub(super) containers: Containers,
    pub(super) cores: Vec<Core>,
    pub(super) position: Position,
    /// The latest time that was seen: events are not quite in order.
    pub(super) latest: u64,
    /// When it is next to be looked after what is over; 0 before the first event of a section.
    tick: u64,
    /// Rows that are live in the sink.
    rows: usize,
    /// How much is held of processes of which it is yet to be told where they are.
    pub(super) held: usize,
    /// Rows that have ended, and when.
    over: VecDeque<(u64, ProcessHandle)>,
    /// Events that tell of the cores' switches were seen, so that samples are not needed.
    pub(super) switches: bool,
    /// An idle core was switched away from.
    pub(super) unfiltered: bool,
}

impl Account {
    pub(super) fn new(options: Options) -> Self {
        Self {
            state: State::default(),
            containers: Containers::new(options),
            cores: Vec::new(),
            position: Position::default(),
            latest: 0,
            tick: 0,
            rows: 0,
            held: 0,
            over: VecDeque::new(),
            switches: false,
            unfiltered: false,
        }
    }

    /// A capture begins (again): nothing of what was known holds.
    pub(super) fn restart<S: Sink>(&mut self, sink: &mut S) {
        let mut before = std::mem::take(&mut self.state);
        for process in before.processes.drain() {
            self.release_later(process, 0);
        }
        self.release(u64::MAX, sink);
        self.cores.clear();
        self.tick = 0;
        self.latest = 0;
        self.host();
    }

    /// What is known of the machine has changed.
    pub(super) fn host(&mut self) {
        let machine = &self.state.machine;
        self.containers.restart(HostFacts {
            host: machine.host.to_string(),
            cores: machine.cores,
            memory: machine.memory,
            hooks: "capture".to_owned(),
        });
    }

    /// Whether no event can be at `at`, so long after all others: it would end all seconds before.
    #[inline]
    pub(super) fn is_far(&self, at: u64) -> bool {
        self.latest != 0 && at > self.latest.saturating_add(FAR)
    }

    /// Time has come to `at`: the first event of a section, or one after the last tick.
    #[inline]
    pub(super) fn time<S: Sink>(&mut self, at: u64, sink: &mut S) {
        if at >= self.tick {
            self.advance(at, sink);
        }
        self.latest = self.latest.max(at);
    }

    #[cold]
    fn advance<S: Sink>(&mut self, at: u64, sink: &mut S) {
        if self.tick == 0 {
            self.begin(at, sink);
            self.containers.alive(at, sink);
        } else if self.latest / SECOND != at / SECOND {
            self.charge_running(at / SECOND * SECOND, sink);
            self.containers.alive(at, sink);
            sink.advance(at.saturating_sub(SLACK));
        }
        self.containers.end_empty(at, sink);
        self.tick = (at / TICK).saturating_add(1).saturating_mul(TICK);
        while let Some(thread) = self.state.over(at) {
            if let Some(process) = self.state.forget(thread) {
                self.release_later(process, at);
            }
        }
        self.release(at, sink);
    }

    /// Lets go of rows that ended long enough before `now`.
    fn release<S: Sink>(&mut self, now: u64, sink: &mut S) {
        let over = |(ended, _): &mut (u64, ProcessHandle)| ended.saturating_add(KEPT) <= now;
        while let Some((_, handle)) = self.over.pop_front_if(over) {
            sink.release_process(handle);
            self.rows = self.rows.saturating_sub(1);
        }
    }

    /// Tells the sink of all that was there before the first event.
    fn begin<S: Sink>(&mut self, at: u64, sink: &mut S) {
        let before = begin(at, sink);
        self.state.name_servers();
        let threads: Vec<u32> = self.state.threads.handles().collect();
        for place in threads {
            if let Some((thread, process)) = self.state.both(place)
                && thread.born == 0
            {
                process.start = before;
                let told = process.memory;
                let owner = self.owner(place, at, sink);
                if let (Owner::Process { process, .. }, Some(memory)) = (owner, told) {
                    sink.memory(at, process, memory);
                }
            }
        }
    }

    /// Whose what a thread does is.
    #[inline]
    pub(super) fn owner<S: Sink>(&mut self, place: u32, at: u64, sink: &mut S) -> Owner {
        match self.state.threads.get(place).map(|thread| thread.owner) {
            Some(Some(owner)) => owner,
            Some(None) => self.find_owner(place, at, sink),
            None => Owner::Nobody,
        }
    }

    #[cold]
    fn find_owner<S: Sink>(&mut self, place: u32, at: u64, sink: &mut S) -> Owner {
        let containers = &mut self.containers;
        let Some((thread, process)) = self.state.both(place) else {
            return Owner::Nobody;
        };
        let container = process.container.or_else(|| containers.of_host(sink));
        let handle = container.and_then(|place| containers.handle(place));
        let owner = match (container, handle, u32::try_from(process.pid)) {
            (Some(container), Some(handle), Ok(pid)) if pid != 0 => {
                if process.rows.is_empty() {
                    let born = thread.born != 0;
                    containers.enter(container, at, born, sink);
                    process.lives_in = Some(container);
                }
                let known = process.rows.iter().find(|row| row.name == thread.comm);
                let last = process.rows.last();
                let full = process.rows.len() >= ROWS || self.rows >= ALL_ROWS;
                match known.or_else(|| last.filter(|_| full)) {
                    Some(row) => row.owner,
                    None if self.rows >= ALL_ROWS => Owner::Nobody,
                    None => {
                        self.rows += 1;
                        let number = process.rows_before + process.rows.len() as u32;
                        let told = describe(process, &thread.comm, number);
                        let owner = Owner::Process {
                            place: container,
                            container: handle,
                            process: sink.process(handle, &told),
                        };
                        process.rows.push(Row {
                            name: thread.comm.clone(),
                            owner,
                            number,
                        });
                        owner
                    }
                }
            }
            _ => Owner::Nobody,
        };
        thread.owner = Some(owner);
        owner
    }

    /// The process of a thread goes on as something else from `at` on, or ends: its rows are over.
    pub(super) fn end_rows<S: Sink>(
        &mut self,
        place: u32,
        at: u64,
        exit: Option<Exit>,
        sink: &mut S,
    ) {
        let Some((_, process)) = self.state.both(place) else {
            return;
        };
        for row in &process.rows {
            if let Owner::Process { container, .. } = row.owner {
                let told = SinkProcess {
                    end: at,
                    exit,
                    ..describe(process, &row.name, row.number)
                };
                sink.process(container, &told);
            }
        }
        if let Some(container) = process.lives_in.take() {
            self.containers
                .leave(container, at, process.vpid == 1, exit);
        }
    }

    /// The rows of a process that is forgotten end with it, a little later.
    pub(super) fn release_later(&mut self, process: Process, at: u64) {
        self.held = self.held.saturating_sub(process.held.len());
        for row in process.rows {
            if let Owner::Process { process, .. } = row.owner {
                self.over.push_back((at, process));
            }
        }
    }

    /// Begins rows anew, after [`Self::end_rows`]: the process has become something else.
    pub(super) fn new_rows(&mut self, place: u32, at: u64) {
        let Some((thread, process)) = self.state.both(place) else {
            return;
        };
        thread.owner = None;
        process.rows_before = process.rows_before.wrapping_add(process.rows.len() as u32);
        for row in process.rows.drain(..) {
            if let Owner::Process { process, .. } = row.owner {
                self.over.push_back((at, process));
            }
        }
    }

    /// A process was made at `at`: the sink is told at once, and counts it.
    pub(super) fn started<S: Sink>(&mut self, place: u32, at: u64, sink: &mut S) {
        self.owner(place, at, sink);
    }

    /// Tells the sink the end: nothing more will come.
    pub(super) fn finish<S: Sink>(&mut self, sink: &mut S) {
        self.charge_running(self.latest, sink);
        self.containers.end_empty(u64::MAX, sink);
        sink.advance(self.latest);
    }
}

/// A row of a process as the sink is told of it.
fn describe(process: &Process, name: &str, number: u32) -> SinkProcess {
    let id = ProcessId {
        pid: u32::try_from(process.pid).unwrap_or_default(),
        start: process.start,
        exec: number,
    };
    SinkProcess {
        container_pid: u32::try_from(process.vpid).unwrap_or_default(),
        parent: u32::try_from(process.parent).unwrap_or_default(),
        uid: process.uid,
        exe: process.exe.to_string(),
        args: process.args.to_string(),
        ..SinkProcess::new(id, name)
    }
}
