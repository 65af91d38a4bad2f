//! The account of a recording: puts together its time, containers, processes and cores, and
//! hands each line to its handler.

use std::collections::HashSet;

use bubble_common::segment::ContainerId;

use super::call::Call;
use super::containers::Containers;
use super::exit::{Exit, result};
use super::line::{self, Line};
use super::process::Processes;
use super::{io, socket};
use crate::recording::cores::{Cores, Run, by_second};
use crate::recording::io::{Direction, report_implausible};
use crate::recording::process::{MAX_MACHINE_KIB, Sizes, memory_from_kib};
use crate::recording::{MAX_GAP, MAX_QUIET_SECONDS, SLACK, begin};
use crate::sink::{ContainerHandle, ProcessHandle, Sink};
use crate::time::SECOND;

/// Most bytes of a call's beginning that are kept until it ends.
const MAX_ENTER_BYTES: usize = 8_192;
/// Seconds between two checks for handles that have expired.
const EXPIRY_INTERVAL: u64 = 10;

/// The account of a recording.
#[derive(Debug)]
pub(super) struct Account {
    containers: Containers,
    processes: Processes,
    cores: Cores,
    /// The latest time of a line, and its second.
    latest: u64,
    second: u64,
    /// Seconds before this one are closed.
    open: u64,
    expired: u64,
}

impl Account {
    /// An account that shows the host as the container `host`, or not at all.
    pub(super) fn new(host: Option<ContainerId>) -> Self {
        Self {
            containers: Containers::new(host),
            processes: Processes::default(),
            cores: Cores::default(),
            latest: 0,
            second: 0,
            open: 0,
            expired: 0,
        }
    }

    /// Whether a line at `at` would be so late that it is damaged.
    pub(super) fn is_too_late(&self, at: u64) -> bool {
        self.latest != 0 && at > self.latest.saturating_add(MAX_GAP)
    }

    /// Whether a line at `at` is far behind the latest one: its time may be damaged.
    pub(super) fn is_behind(&self, at: u64) -> bool {
        at.saturating_add(SLACK) < self.latest
    }

    /// The recording has ended.
    pub(super) fn finish<S: Sink>(&mut self, sink: &mut S) {
        self.charge_running(self.latest, sink);
    }

    /// Takes in a line.
    pub(super) fn line<S: Sink>(&mut self, line: &Line<'_>, sink: &mut S) {
        self.advance(line.at, sink);
        let call = Call::of(line.call);
        let container = self.containers.of_line(line, sink);
        let Some(call) = call else {
            return;
        };
        // Lines outside containers count only if they may bring something into one.
        match (call, line.enter) {
            (Call::Switch, _) => self.switch(line, container, sink),
            (Call::Fork, false) => match result(line) {
                Some(0) => {
                    self.processes.fork(line, sink);
                    self.report_process(line, container, sink);
                }
                Some(1..) => {
                    self.report_process(line, container, sink);
                    self.processes.parent(line, sink);
                }
                _ => {}
            },
            (Call::Exec, false) => {
                if result(line) == Some(0) {
                    self.processes.exec(line, sink);
                    self.report_process(line, container, sink);
                }
            }
            (Call::Exit, _) => {
                self.last_cpu(line, container, sink);
                self.processes.exit(line, sink);
            }
            (_, true) => {
                if container.is_some() {
                    let began = &mut self.processes.thread(line).began;
                    began.clear();
                    let length = line.arguments.len().min(MAX_ENTER_BYTES);
                    began.extend_from_slice(&line.arguments[..length]);
                }
            }
            (_, false) => {
                if let Some(container) = container {
                    let mut began = std::mem::take(&mut self.processes.thread(line).began);
                    self.call(call, line, &began, container, sink);
                    began.clear();
                    self.processes.thread(line).began = began;
                }
            }
        }
    }

    /// Time has come to `at`.
    fn advance<S: Sink>(&mut self, at: u64, sink: &mut S) {
        let is_first = self.latest == 0;
        if at <= self.latest && !is_first {
            return;
        }
        self.latest = at;
        let second = at / SECOND;
        if is_first {
            self.second = second;
            self.processes.before = begin(at, sink);
        } else if second > self.second {
            self.fill(second, sink);
            self.second = second;
        }
        let Self {
            cores, processes, ..
        } = self;
        let is_counted = |tid| processes.running(tid).is_some();
        let open = cores.complete_until(at, is_counted) / SECOND;
        if open > self.open {
            self.open = open;
            sink.advance(open * SECOND);
            if open - self.expired >= EXPIRY_INTERVAL {
                self.expired = open;
                self.containers.expire_handles(second);
            }
        }
    }

    /// Reports that all containers with processes were observed up to the second `until`, and
    /// charges the threads that run.
    fn fill<S: Sink>(&mut self, until: u64, sink: &mut S) {
        if until - self.second > MAX_QUIET_SECONDS {
            for thread in self.cores.running() {
                if let Some(container) = self.processes.container_of(thread) {
                    report_implausible(until * SECOND, Some(container), sink);
                }
            }
            self.cores.clear();
            return;
        }
        let present: HashSet<usize> = self.processes.containers().collect();
        for second in self.second + 1..=until {
            self.charge_running(second * SECOND, sink);
            for index in &present {
                sink.alive(second * SECOND, self.containers.get(*index).handle);
            }
        }
    }

    /// Charges the threads that run with their time up to `until`.
    fn charge_running<S: Sink>(&mut self, until: u64, sink: &mut S) {
        let Self {
            cores, processes, ..
        } = self;
        cores.charge_running(until, |core, tid, since| {
            let process = processes.running(tid);
            if let Some(process) = process {
                by_second(since, until, |at, ns| sink.cpu(at, process, core, ns));
            }
            process.is_some()
        });
    }

    /// The handle of a line's process.
    fn process<S: Sink>(
        &mut self,
        line: &Line<'_>,
        container: usize,
        sink: &mut S,
    ) -> ProcessHandle {
        let handle = self.containers.get(container).handle;
        self.processes.handle(line, (container, handle), sink)
    }

    /// Reports a line's process, if it is in a container.
    fn report_process<S: Sink>(&mut self, line: &Line<'_>, container: Option<usize>, sink: &mut S) {
        if let Some(container) = container {
            self.process(line, container, sink);
        }
    }

    /// A core switches from the line's thread to another one.
    fn switch<S: Sink>(&mut self, line: &Line<'_>, container: Option<usize>, sink: &mut S) {
        let next = line::number(line.arguments, "next");
        let next = next.and_then(|next| u32::try_from(next).ok()).unwrap_or(0);
        let thread = i64::from(line.thread);
        let run = self.cores.switch(line.core, line.at, thread, next.into());
        let Some(container) = container.filter(|_| line.thread != 0) else {
            return;
        };
        let process = self.process(line, container, sink);
        let since = self.begin_of(run, line, container, sink);
        if let Some(since) = since {
            by_second(since, line.at, |at, ns| {
                sink.cpu(at, process, line.core, ns);
            });
        }
        let container = self.containers.get(container).handle;
        report_memory(line, container, process, sink);
    }

    /// Charges the last CPU time of a thread at its end: sysdig prints the switch after it
    /// without the thread.
    fn last_cpu<S: Sink>(&mut self, line: &Line<'_>, container: Option<usize>, sink: &mut S) {
        let thread = i64::from(line.thread);
        let run = self.cores.switch(line.core, line.at, thread, thread);
        let Some(container) = container else {
            return;
        };
        let process = self.process(line, container, sink);
        if let Some(since) = self.begin_of(run, line, container, sink) {
            by_second(since, line.at, |at, ns| {
                sink.last_cpu(at, process, line.core, ns);
            });
        }
    }

    /// When the run began that ends with a line, if that is known; reports one that cannot be.
    fn begin_of<S: Sink>(
        &self,
        run: Run,
        line: &Line<'_>,
        container: usize,
        sink: &mut S,
    ) -> Option<u64> {
        match run {
            Run::Since(since) => Some(since),
            Run::Unknown => None,
            Run::Implausible => {
                let container = self.containers.get(container).handle;
                report_implausible(line.at, Some(container), sink);
                None
            }
        }
    }

    /// A call ended that had begun with the arguments `began`.
    fn call<S: Sink>(
        &mut self,
        call: Call,
        line: &Line<'_>,
        began: &[u8],
        container: usize,
        sink: &mut S,
    ) {
        let exit = &mut Exit {
            line,
            began,
            container: self.containers.get_mut(container),
            processes: &mut self.processes,
            second: self.second,
        };
        match call {
            Call::In => io::moved(exit, Direction::In, sink),
            Call::Out => io::moved(exit, Direction::Out, sink),
            Call::Copy { from, to } => io::copied(exit, from, to, sink),
            Call::Open => io::opened(exit, sink),
            Call::Socket => socket::made(exit, sink),
            Call::Bind => socket::bound(exit),
            Call::Connect => socket::connected(exit, sink),
            Call::Accept => socket::accepted(exit, sink),
            Call::Close => socket::closed(exit),
            Call::Memory => {
                let process = exit.process(sink);
                let container = exit.container.handle;
                report_memory(line, container, process, sink);
            }
            Call::Fork | Call::Exec | Call::Exit | Call::Switch => {}
        }
    }
}

/// Reports the memory in a line, if it has any.
fn report_memory<S: Sink>(
    line: &Line<'_>,
    container: ContainerHandle,
    process: ProcessHandle,
    sink: &mut S,
) {
    let kib = |key| u64::try_from(line::number(line.arguments, key)?).ok();
    if let (Some(vm), Some(rss)) = (kib("vm_size"), kib("vm_rss")) {
        let swap = kib("vm_swap").unwrap_or(0);
        match memory_from_kib([vm, rss, swap], MAX_MACHINE_KIB) {
            Sizes::Of(memory) => sink.memory(line.at, process, memory),
            Sizes::None => {}
            Sizes::Implausible => report_implausible(line.at, Some(container), sink),
        }
    }
}
