//! The account of a capture: puts together the state of the machine, the rows of the sink, and
//! the CPU time, and hands each event to its handler.

use super::call::Call;
use super::containers::{Containers, Options};
use super::cpu::Cpu;
use super::rows::Rows;
use super::socket::{self, Connect};
use super::state::State;
use super::thread::Owner;
use super::view::View;
use super::{bytes, facts, file, fork, io, memory, process};
use crate::container::HostFacts;
use crate::recording::io::charge_failed_connect;
use crate::recording::{MAX_GAP, MAX_QUIET_SECONDS, Position, SLACK, begin};
use crate::sink::Sink;
use crate::time::SECOND;

/// Time between two checks for expired threads, rows and containers, in ns of the capture;
/// divides a second.
const EXPIRY_INTERVAL: u64 = 100_000_000;

/// Longest time between an event and the latest one before it, in ns, that needs no confirmation
/// by the next one.
const MAX_STEP: u64 = 10 * SECOND;

/// The account of a capture.
#[derive(Debug)]
pub(super) struct Account {
    pub(super) state: State,
    pub(super) rows: Rows,
    pub(super) position: Position,
    cpu: Cpu,
    /// The latest time of an event: events are not quite in order.
    latest: u64,
    /// When to check for expired threads, rows and containers; 0 before the first event of a
    /// section.
    next_expiry: u64,
}

impl Account {
    pub(super) fn new(options: Options) -> Self {
        Self {
            state: State::default(),
            rows: Rows::new(Containers::new(options)),
            position: Position::default(),
            cpu: Cpu::default(),
            latest: 0,
            next_expiry: 0,
        }
    }

    /// A capture begins (again): nothing that was known holds.
    pub(super) fn restart<S: Sink>(&mut self, sink: &mut S) {
        let mut before = std::mem::take(&mut self.state);
        for process in before.processes.drain() {
            self.rows.forget(process, 0);
        }
        self.rows.release(u64::MAX, sink);
        self.cpu = Cpu::default();
        self.next_expiry = 0;
        self.latest = 0;
        self.machine_changed();
    }

    /// The facts of the machine have changed.
    pub(super) fn machine_changed(&mut self) {
        let machine = &self.state.machine;
        self.rows.containers.restart(HostFacts {
            host: machine.host.to_string(),
            cores: machine.cores,
            memory: machine.memory,
            hooks: "capture".to_owned(),
        });
    }

    /// Whether an event at `at` would be so late that it is damaged: it would end all seconds
    /// before it.
    #[inline]
    pub(super) fn is_too_late(&self, at: u64) -> bool {
        self.latest != 0 && at > self.latest.saturating_add(MAX_GAP)
    }

    /// Whether an event at `at` is so much later than the latest one that the next one has to
    /// confirm it.
    #[inline]
    pub(super) fn is_jump(&self, at: u64) -> bool {
        self.latest != 0 && at > self.latest.saturating_add(MAX_STEP)
    }

    /// The time of an event is damaged: it is skipped, and it may have been a switch.
    #[cold]
    pub(super) fn skip_damaged(&mut self) {
        self.position.skipped += 1;
        self.cpu.forget_running();
    }

    /// Whether an event at `at` is far behind the latest one: its time may be damaged.
    #[inline]
    pub(super) fn is_behind(&self, at: u64) -> bool {
        at.saturating_add(SLACK) < self.latest
    }

    /// Time has come to `at`.
    #[inline]
    pub(super) fn advance<S: Sink>(&mut self, at: u64, sink: &mut S) {
        if at >= self.next_expiry {
            self.expire(at, sink);
        }
        self.latest = self.latest.max(at);
    }

    /// Ends seconds, and lets go of threads, rows and containers that ended long enough ago.
    #[cold]
    fn expire<S: Sink>(&mut self, at: u64, sink: &mut S) {
        let Self {
            state, rows, cpu, ..
        } = self;
        if self.next_expiry == 0 {
            sink.begin_section(at);
            report_listed(state, rows, at, sink);
            rows.containers.alive(at, sink);
        } else if self.latest / SECOND != at / SECOND {
            let (before, second) = (self.latest / SECOND, at / SECOND);
            if second - before <= MAX_QUIET_SECONDS {
                for second in before + 1..=second {
                    cpu.charge_running(state, rows, second * SECOND, sink);
                    rows.containers.alive(second * SECOND, sink);
                }
            } else {
                cpu.pause(state, rows, at, sink);
                rows.containers.alive(at, sink);
            }
            let complete = cpu.complete_until(state, rows, at, sink);
            sink.advance(complete);
        }
        rows.containers.end_empty(at, sink);
        self.next_expiry = (at / EXPIRY_INTERVAL)
            .saturating_add(1)
            .saturating_mul(EXPIRY_INTERVAL);
        while let Some(thread) = state.pop_expired(at) {
            if let Some(process) = state.remove(thread) {
                rows.forget(process, at);
            }
        }
        rows.release(at, sink);
    }

    /// The capture has ended.
    pub(super) fn finish<S: Sink>(&mut self, sink: &mut S) {
        let Self { state, rows, .. } = self;
        self.cpu.charge_running(state, rows, self.latest, sink);
        rows.containers.end_empty(u64::MAX, sink);
        sink.advance(self.latest);
    }

    /// A call of a known thread that ended.
    #[inline]
    pub(super) fn call<S: Sink>(&mut self, call: Call, thread: u32, view: &View<'_>, sink: &mut S) {
        let Self { state, rows, .. } = self;
        match call {
            Call::Io(params) => io::moved(state, rows, thread, view, params, sink),
            Call::Transfer { from, to } => {
                io::transferred(state, rows, thread, view, [from, to], sink);
            }
            Call::Memory => memory::report_call(state, rows, thread, view, 1, sink),
            Call::Open(params) => {
                let process = state.process(thread);
                if let Some(fd) = process.and_then(|process| file::open(process, view, params)) {
                    io::opened(state, rows, thread, view, fd, sink);
                }
            }
            Call::Connect => connect(state, rows, thread, view, sink),
            Call::Accept => {
                let process = state.process(thread);
                let accepted =
                    process.and_then(|process| socket::accept(&mut process.descriptors, view));
                if let Some(fd) = accepted {
                    io::opened(state, rows, thread, view, fd, sink);
                }
            }
            Call::Exec => process::exec(state, rows, view, sink),
            _ => self.change(call, thread, view),
        }
    }

    /// A call that changes the state of a process, and charges nothing.
    fn change(&mut self, call: Call, thread: u32, view: &View<'_>) {
        let Some(process) = self.state.process(thread) else {
            return;
        };
        let descriptors = &mut process.descriptors;
        match call {
            Call::Anonymous { name, kind } => file::anonymous(descriptors, view, name, kind),
            Call::Close => file::close(descriptors, view),
            Call::CloseRange => file::close_range(descriptors, view),
            Call::Dup { old, flags } => file::dup(descriptors, view, old, flags),
            Call::PidfdGetfd => file::pidfd_getfd(descriptors, view),
            Call::Fcntl => file::fcntl(descriptors, view),
            Call::Pipe { flags } => file::pipe(descriptors, view, flags),
            Call::Socket => socket::socket(descriptors, view),
            Call::SocketPair => socket::socket_pair(descriptors, view),
            Call::Bind => socket::bind(descriptors, view),
            Call::Chdir => process::chdir(process, view),
            Call::Fchdir => process::fchdir(process, view),
            Call::SetUser(index) => process::set_user(process, view, index),
            Call::SetGroup(index) => process::set_group(process, view, index),
            _ => {}
        }
    }

    /// An event that is no call of its own thread.
    pub(super) fn event<S: Sink>(&mut self, call: Call, view: &View<'_>, sink: &mut S) {
        let Self {
            state, rows, cpu, ..
        } = self;
        let facts = match call {
            Call::Switch => return cpu.switch(state, rows, view, sink),
            Call::ProcInfo => return cpu.sample(state, rows, view, sink),
            Call::Clone { vfork } => return fork::clone(state, rows, view, vfork, sink),
            Call::Exit => return process::exit(state, rows, view, sink),
            Call::Drop => return cpu.events_dropped(view.event.at, sink),
            Call::Container => view.get(0).and_then(facts::from_json),
            Call::ContainerOld => facts::from_params([0, 1, 2, 3].map(|index| view.get(index))),
            Call::Async => {
                let name = view.get(1).map(bytes::until_nul);
                let is_container = name == Some(b"container");
                view.get(2)
                    .filter(|_| is_container)
                    .and_then(facts::from_json)
            }
            _ => None,
        };
        if let Some(facts) = facts {
            rows.containers.add_facts(&facts.id, facts.facts, sink);
        }
    }
}

/// Reports to the sink all that was there before the first event.
fn report_listed<S: Sink>(state: &mut State, rows: &mut Rows, at: u64, sink: &mut S) {
    let before = begin(at, sink);
    state.find_servers();
    let threads: Vec<u32> = state.threads.handles().collect();
    for key in threads {
        if let Some((thread, process)) = state.both(key)
            && thread.born == 0
        {
            process.start = before;
            let memory = process.memory;
            let owner = rows.owner(state, key, at, sink);
            if let (Owner::Process { process, .. }, Some(memory)) = (owner, memory) {
                sink.memory(at, process, memory);
            }
        }
    }
}

/// A call of `connect`: charges the connection, or the failure.
fn connect<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    thread: u32,
    view: &View<'_>,
    sink: &mut S,
) {
    let State {
        threads,
        processes,
        interfaces,
        ..
    } = state;
    let process = threads.get(thread).map(|thread| thread.process);
    let Some(process) = process.and_then(|key| processes.get_mut(key)) else {
        return;
    };
    match socket::connect(&mut process.descriptors, interfaces, view) {
        Some(Connect::Connected(fd)) => io::opened(state, rows, thread, view, fd, sink),
        Some(Connect::Failed(connection, error)) => {
            let at = view.event.at;
            if let Owner::Process {
                container, process, ..
            } = rows.owner(state, thread, at, sink)
            {
                charge_failed_connect(at, container, process, connection, error, sink);
            }
        }
        None => {}
    }
}
