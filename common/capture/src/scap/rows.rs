//! The rows of the sink that activity of threads is charged to.
//!
//! A row is a process, and a thread with another name is a row of its own, as sysdig shows it:
//! a thread has the name that it had when it was made. A row lives in the container of its
//! process; activity waits (`pending`) while that is not known.

use std::collections::VecDeque;

use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::process::{Exit, Process as SinkProcess, ProcessId};

use super::containers::Containers;
use super::pending::{Activity, Pending, PendingCount};
use super::state::State;
use super::thread::{Owner, Process, Row, Thread};
use crate::sink::{ContainerHandle, ProcessHandle, Sink};
use crate::time::SECOND;

/// Most rows of one process; threads with yet other names are charged to the last.
const MAX_ROWS_OF_PROCESS: usize = 16;
/// Most rows that live at one time; activity of further processes is not counted.
const MAX_ROWS: usize = 65_536;
/// How long a row is kept after its end, in ns: the last of its sums may come later.
const ENDED_ROW_TTL: u64 = 2 * SECOND;

/// The rows, and the containers that they are in.
#[derive(Debug)]
pub(super) struct Rows {
    pub(super) containers: Containers,
    /// Rows that live in the sink.
    live: usize,
    /// Rows that have ended, and when.
    ended: VecDeque<(u64, ProcessHandle)>,
    pending: PendingCount,
}

impl Rows {
    pub(super) fn new(containers: Containers) -> Self {
        Self {
            containers,
            live: 0,
            ended: VecDeque::new(),
            pending: PendingCount::default(),
        }
    }

    /// The owner of a thread's activity.
    #[inline]
    pub(super) fn owner<S: Sink>(
        &mut self,
        state: &mut State,
        thread: u32,
        at: u64,
        sink: &mut S,
    ) -> Owner {
        match state.threads.get(thread).map(|thread| thread.owner) {
            Some(Some(owner)) => owner,
            Some(None) => self.find_owner(state, thread, at, sink),
            None => Owner::Nobody,
        }
    }

    #[cold]
    fn find_owner<S: Sink>(
        &mut self,
        state: &mut State,
        thread: u32,
        at: u64,
        sink: &mut S,
    ) -> Owner {
        let Some((thread, process)) = state.both(thread) else {
            return Owner::Nobody;
        };
        let container = process
            .container
            .or_else(|| self.containers.of_host(sink))
            .and_then(|key| Some((key, self.containers.handle(key)?)));
        let owner = match container {
            Some((key, handle)) if has_pid(process) => {
                if process.rows.is_empty() {
                    let is_born = thread.born != 0;
                    self.containers.enter(key, at, is_born, sink);
                    process.lives_in = Some(key);
                }
                self.row(thread, process, (key, handle), sink)
            }
            _ => Owner::Nobody,
        };
        thread.owner = Some(owner);
        owner
    }

    /// The row of a thread's name: a new one, unless there are too many.
    fn row<S: Sink>(
        &mut self,
        thread: &Thread,
        process: &mut Process,
        (key, container): (u32, ContainerHandle),
        sink: &mut S,
    ) -> Owner {
        let same_name = process.rows.iter().find(|row| row.name == thread.comm);
        let is_full = process.rows.len() >= MAX_ROWS_OF_PROCESS || self.live >= MAX_ROWS;
        let last = process.rows.last().filter(|_| is_full);
        if let Some(row) = same_name.or(last) {
            return row.owner;
        }
        if self.live >= MAX_ROWS {
            return Owner::Nobody;
        }
        self.live += 1;
        let number = process.rows_before + process.rows.len() as u32;
        let described = describe(process, &thread.comm, number);
        let owner = Owner::Process {
            key,
            container,
            process: sink.process(container, &described),
        };
        process.rows.push(Row {
            name: thread.comm.clone(),
            owner,
            number,
        });
        owner
    }

    /// Notes the container of a process, if its cgroups are known.
    pub(super) fn assign_container<S: Sink>(
        &mut self,
        process: &mut Process,
        cgroups: &[u8],
        sink: &mut S,
    ) {
        if !cgroups.is_empty() {
            process.container = self.containers.of_cgroups(cgroups, sink);
            process.is_container_known = true;
        }
    }

    /// The rows of a thread's process end at `at`: it runs another program from then on, or ends.
    pub(super) fn end<S: Sink>(
        &mut self,
        state: &mut State,
        thread: u32,
        at: u64,
        exit: Option<Exit>,
        sink: &mut S,
    ) {
        let Some(process) = state.process(thread) else {
            return;
        };
        for row in &process.rows {
            if let Owner::Process { container, .. } = row.owner {
                let ended = SinkProcess {
                    end: at,
                    exit,
                    ..describe(process, &row.name, row.number)
                };
                sink.process(container, &ended);
            }
        }
        if let Some(container) = process.lives_in.take() {
            self.containers
                .leave(container, at, process.vpid == 1, exit);
        }
    }

    /// Begins the rows of a thread's process anew, after [`Self::end`].
    pub(super) fn renew(&mut self, state: &mut State, thread: u32, at: u64) {
        if let Some((thread, process)) = state.both(thread) {
            thread.owner = None;
            process.rows_before = process.rows_before.wrapping_add(process.rows.len() as u32);
            self.release_later(process.rows.drain(..), at);
        }
    }

    /// Lets go of a process that is not known any more. Its rows are released a little later.
    pub(super) fn forget(&mut self, mut process: Process, at: u64) {
        self.pending.take(&mut process.pending);
        self.release_later(process.rows.into_iter(), at);
    }

    fn release_later(&mut self, rows: impl Iterator<Item = Row>, at: u64) {
        for row in rows {
            if let Owner::Process { process, .. } = row.owner {
                self.ended.push_back((at, process));
            }
        }
    }

    /// Releases the rows that ended long enough before `now`.
    pub(super) fn release<S: Sink>(&mut self, now: u64, sink: &mut S) {
        let expired =
            |(ended, _): &mut (u64, ProcessHandle)| ended.saturating_add(ENDED_ROW_TTL) <= now;
        while let Some((_, handle)) = self.ended.pop_front_if(expired) {
            sink.release_process(handle);
            self.live = self.live.saturating_sub(1);
        }
    }

    /// Whether activity that nobody owns waits until the container of its process is known.
    pub(super) fn can_defer(&self, process: &Process) -> bool {
        !self.containers.options.host && !process.is_container_known
    }

    /// Defers an activity, if [`Self::can_defer`]. One that finds no room is a loss of the
    /// container, once that is known.
    pub(super) fn defer(&mut self, process: &mut Process, activity: Pending) {
        if !self.can_defer(process) {
            return;
        }
        if self.pending.has_room(&process.pending) {
            self.pending.push(&mut process.pending, activity);
        } else {
            let lost = &mut process.pending_lost;
            lost.count += 1;
            lost.bytes = lost.bytes.saturating_add(activity.bytes());
        }
    }

    /// Drops the pending activity of a process: its container stays unknown.
    pub(super) fn drop_pending(&mut self, process: &mut Process) {
        self.pending.take(&mut process.pending);
        process.pending_lost = Loss::default();
    }

    /// Charges the pending activity of a thread's process, now that its container is known.
    pub(super) fn charge_pending<S: Sink>(
        &mut self,
        state: &mut State,
        thread: u32,
        at: u64,
        sink: &mut S,
    ) {
        let Some(process) = state.process(thread) else {
            return;
        };
        let lost = std::mem::take(&mut process.pending_lost);
        if let Some(container) = process.container
            && lost.count > 0
        {
            let container = self.containers.handle(container);
            sink.loss(at, container, Reason::UNATTRIBUTED, lost);
        }
        for Pending {
            thread,
            at,
            activity,
        } in self.pending.take(&mut process.pending)
        {
            let Owner::Process {
                container, process, ..
            } = self.owner(state, thread, at, sink)
            else {
                continue;
            };
            match activity {
                Activity::Cpu { core, ns } => sink.cpu(at, process, core, ns),
                Activity::Io(resource, operation) => {
                    let handle = resource.handle(container, sink);
                    resource.charge(at, container, process, handle, operation, sink);
                }
            }
        }
    }
}

fn has_pid(process: &Process) -> bool {
    u32::try_from(process.pid).is_ok_and(|pid| pid != 0)
}

/// A row of a process, as the sink takes it.
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
        gid: process.gid,
        exe: process.exe.to_string(),
        args: process.args.to_string(),
        ..SinkProcess::new(id, name)
    }
}
