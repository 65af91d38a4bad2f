//! CPU time: from the switches of cores, and from samples where those were filtered out.

use bubble_common::segment::loss::{Loss, Reason};

use super::event::Event;
use super::memory;
use super::pending::{Activity, Pending};
use super::rows::Rows;
use super::state::State;
use super::thread::{CpuSample, Owner, Thread};
use super::view::View;
use crate::recording::MAX_QUIET_SECONDS;
use crate::recording::cores::{Cores, Run, by_second};
use crate::recording::io::report_implausible;
use crate::sink::{ProcessHandle, Sink};
use crate::time::SECOND;

/// Nanoseconds of a tick, the unit of samples.
const TICK: u64 = SECOND / 100;
/// Longest time between two samples of a thread, in ns; they are taken each second. Their
/// difference does not count after a longer one.
const MAX_SAMPLE_INTERVAL: u64 = MAX_QUIET_SECONDS * SECOND;
/// Index of the first size of memory in a switch.
const SWITCH_VM: u8 = 3;

/// The CPU time of a capture.
#[derive(Debug, Default)]
pub(super) struct Cpu {
    cores: Cores,
}

impl Cpu {
    /// A core switches from the event's thread to another one.
    #[inline]
    pub(super) fn switch<S: Sink>(
        &mut self,
        state: &mut State,
        rows: &mut Rows,
        view: &View<'_>,
        sink: &mut S,
    ) {
        let Event { at, tid, cpu, .. } = *view.event;
        let core = u32::from(cpu);
        let next = view.i64(0).unwrap_or_default();
        let run = self.cores.switch(core, at, tid, next);
        if tid <= 0 {
            return;
        }
        let Some(key) = state.find(tid) else {
            return;
        };
        let owner = rows.owner(state, key, at, sink);
        let machine = state.machine.memory_kib();
        let Some(thread) = state.threads.get_mut(key) else {
            return;
        };
        let since = match run {
            Run::Since(since) => thread.ran(since, at),
            Run::Unknown => at,
            Run::Implausible => {
                if let Owner::Process { container, .. } = owner {
                    report_implausible(at, Some(container), sink);
                }
                at
            }
        };
        if let Owner::Process { process, .. } = owner {
            if since < at {
                charge(thread, process, core, (since, at), sink);
            }
            memory::report(thread, owner, machine, view, SWITCH_VM, sink);
        } else if since < at
            && let Some(process) = state.process(key)
        {
            by_second(since, at, |at, ns| {
                let pending = Pending {
                    thread: key,
                    at,
                    activity: Activity::Cpu { core, ns },
                };
                rows.defer(process, pending);
            });
        }
    }

    /// Charges the threads that run with their time up to `until`.
    pub(super) fn charge_running<S: Sink>(
        &mut self,
        state: &mut State,
        rows: &mut Rows,
        until: u64,
        sink: &mut S,
    ) {
        self.cores.charge_running(until, |core, tid, since| {
            let Some(key) = state.find(tid) else {
                return false;
            };
            let owner = rows.owner(state, key, until, sink);
            if let (Owner::Process { process, .. }, Some(thread)) =
                (owner, state.threads.get_mut(key))
            {
                let since = thread.ran(since, until);
                if since < until {
                    by_second(since, until, |at, ns| sink.cpu(at, process, core, ns));
                }
            }
            true
        });
    }

    /// The time before which seconds may be closed at `now`: threads of a filtered capture that
    /// run have their time to come.
    pub(super) fn complete_until<S: Sink>(
        &self,
        state: &mut State,
        rows: &mut Rows,
        now: u64,
        sink: &mut S,
    ) -> u64 {
        self.cores.complete_until(now, |tid| {
            let owner = state.find(tid).map(|key| rows.owner(state, key, now, sink));
            matches!(owner, Some(Owner::Process { .. }))
        })
    }

    /// A sample of the ticks that a thread has used, on unknown cores. They count for the core
    /// that took it, unless switches have shown them.
    pub(super) fn sample<S: Sink>(
        &mut self,
        state: &mut State,
        rows: &mut Rows,
        view: &View<'_>,
        sink: &mut S,
    ) {
        let Event { at, tid, cpu, .. } = *view.event;
        if self.cores.is_unfiltered() {
            return;
        }
        let (Some(user), Some(system)) = (view.u64(0), view.u64(1)) else {
            return;
        };
        let Some(key) = state.find(tid) else {
            return;
        };
        let owner = rows.owner(state, key, at, sink);
        let Some(thread) = state.threads.get_mut(key) else {
            return;
        };
        let used = thread.sampled(at, user.saturating_add(system));
        if let Owner::Process { process, .. } = owner
            && used > 0
        {
            sink.cpu(at, process, u32::from(cpu), used);
        }
    }

    /// Events were dropped: the threads that run are not known any more.
    pub(super) fn events_dropped<S: Sink>(&mut self, at: u64, sink: &mut S) {
        self.forget_running();
        let loss = Loss { count: 1, bytes: 0 };
        sink.loss(at, None, Reason::CAPTURE_DROPS, loss);
    }

    /// Nothing happened for so long that nobody knows which threads ran.
    pub(super) fn pause<S: Sink>(
        &mut self,
        state: &mut State,
        rows: &mut Rows,
        at: u64,
        sink: &mut S,
    ) {
        for tid in self.cores.running() {
            let owner = state.find(tid).map(|key| rows.owner(state, key, at, sink));
            if let Some(Owner::Process { container, .. }) = owner {
                report_implausible(at, Some(container), sink);
            }
        }
        self.forget_running();
    }

    /// Forgets the threads that run.
    pub(super) fn forget_running(&mut self) {
        self.cores.clear();
    }
}

/// Charges a thread with the time from `begin` to `end` on a core.
#[inline]
fn charge<S: Sink>(
    thread: &Thread,
    process: ProcessHandle,
    core: u32,
    (begin, end): (u64, u64),
    sink: &mut S,
) {
    by_second(begin, end, |at, ns| match thread.has_ended {
        true => sink.last_cpu(at, process, core, ns),
        false => sink.cpu(at, process, core, ns),
    });
}

impl Thread {
    /// Notes that it ran from `begin` to `end`, as a switch shows. Returns the begin of the part
    /// that no sample has shown before.
    #[inline]
    fn ran(&mut self, begin: u64, end: u64) -> u64 {
        let Some(sample) = &mut self.sample else {
            return begin;
        };
        let begin = begin.max(sample.at).min(end);
        sample.charged = sample.charged.saturating_add(end - begin);
        begin
    }

    /// Notes that it had used so many ticks at `at`. Returns the part in ns that neither
    /// switches nor samples have shown before.
    fn sampled(&mut self, at: u64, ticks: u64) -> u64 {
        let new = CpuSample {
            at,
            ticks,
            ..CpuSample::default()
        };
        let sample = match &mut self.sample {
            Some(known) if at.saturating_sub(known.at) < MAX_SAMPLE_INTERVAL => known,
            unknown => {
                *unknown = Some(new);
                return 0;
            }
        };
        // A thread cannot use more time than has passed, but for the rounding to ticks.
        let most = at.saturating_sub(sample.at).saturating_add(2 * TICK);
        let used = ticks.saturating_sub(sample.ticks).saturating_mul(TICK);
        sample.sampled = sample.sampled.saturating_add(used.min(most));
        (sample.at, sample.ticks) = (at, ticks);
        let more = sample.sampled.saturating_sub(sample.charged);
        sample.charged = sample.charged.saturating_add(more);
        more
    }
}
