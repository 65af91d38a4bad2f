//! CPU time, by when cores were switched from one thread to another; and memory, which
//! the same events tell.

use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::process::Memory;

use super::account::Account;
use super::event::{Event, View};
use super::held::Did;
use super::state::thread::Owner;
use crate::clock::SECOND;
use crate::sink::{ProcessHandle, Sink};

/// Most seconds for which a thread that was not switched away from is charged second by second.
const LONG: u64 = 64;
/// Nanoseconds of a tick, in which samples count.
const TICK: u64 = SECOND / 100;
/// Samples are taken each second; a difference of more than so many of them is none.
const GAP: u64 = 60;

/// A core.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Core {
    /// Since when the thread runs that does now: ns; 0 when that is not known.
    since: u64,
    tid: i64,
}

impl Account {
    /// A core goes on with another thread than that of the event.
    #[inline]
    pub(super) fn switch<S: Sink>(&mut self, view: &View<'_>, sink: &mut S) {
        let Event { at, tid, cpu, .. } = *view.event;
        self.switches = true;
        let index = usize::from(cpu);
        if self.cores.len() <= index {
            self.cores.resize(index + 1, Core::default());
        }
        let now = Core {
            since: at,
            tid: view.i64(0).unwrap_or_default(),
        };
        let Core { since, tid: ran } = std::mem::replace(&mut self.cores[index], now);
        // Idle cores are in no capture that was filtered, and which lacks switches: since when
        // this thread ran is not known then, unless the last one was to it.
        self.unfiltered |= tid == 0;
        let since = if ran == tid || self.unfiltered {
            since
        } else {
            0
        };
        if tid <= 0 {
            return;
        }
        let Some(thread) = self.state.find(tid) else {
            return;
        };
        let Owner::Process { process, .. } = self.owner(thread, at, sink) else {
            if since != 0 && at > since && self.is_untold(thread) {
                self.hold(thread, at - 1, Did::Cpu(u32::from(cpu), at - since));
            }
            return;
        };
        if since != 0 && at > since {
            // What ends with a second was in that second.
            let (at, core, used) = (at - 1, u32::from(cpu), at - since);
            match self.state.threads.get(thread).is_some_and(|it| it.ended) {
                true => sink.last_cpu(at, process, core, used),
                false => sink.cpu(at, process, core, used),
            }
        }
        self.memory(thread, process, at, view, 3, sink);
    }

    /// Charges the threads that run now with their time up to `until`.
    pub(super) fn charge_running<S: Sink>(&mut self, until: u64, sink: &mut S) {
        if !self.unfiltered {
            // Whether they still run would not be told.
            return;
        }
        for index in 0..self.cores.len() {
            let Core { since, tid } = self.cores[index];
            if since == 0 || since >= until {
                continue;
            }
            if tid > 0 {
                let Some(thread) = self.state.find(tid) else {
                    continue;
                };
                if let Owner::Process { process, .. } = self.owner(thread, until, sink) {
                    charge_seconds(process, index as u32, since, until, sink);
                }
            }
            self.cores[index].since = until;
        }
    }

    /// A sample of the ticks that a thread has used, which serves where switches were not
    /// recorded. It does not tell on which cores: it counts for the one that took it.
    pub(super) fn sample<S: Sink>(&mut self, view: &View<'_>, sink: &mut S) {
        let Event { at, tid, cpu, .. } = *view.event;
        if self.switches {
            return;
        }
        let (Some(user), Some(system)) = (view.u64(0), view.u64(1)) else {
            return;
        };
        let Some(place) = self.state.find(tid) else {
            return;
        };
        let owner = self.owner(place, at, sink);
        let Some(thread) = self.state.threads.get_mut(place) else {
            return;
        };
        let ticks = user.saturating_add(system);
        let before = thread.sample.replace((at, ticks));
        if let (Some((sampled, before)), Owner::Process { process, .. }) = (before, owner)
            && at.saturating_sub(sampled) < GAP * SECOND
        {
            let used = ticks.saturating_sub(before).saturating_mul(TICK);
            // It cannot have used more than there was.
            let used = used.min(at.saturating_sub(sampled).saturating_add(2 * TICK));
            if used > 0 {
                sink.cpu(at, process, u32::from(cpu), used);
            }
        }
    }

    /// Sizes of memory (virtual, resident, swapped out: KiB) from the parameter `first` on.
    #[inline]
    pub(super) fn memory<S: Sink>(
        &mut self,
        thread: u32,
        process: ProcessHandle,
        at: u64,
        view: &View<'_>,
        first: u8,
        sink: &mut S,
    ) {
        let Some(thread) = self.state.threads.get_mut(thread) else {
            return;
        };
        let (Some(vm), Some(rss)) = (view.u32(first), view.u32(first + 1)) else {
            return;
        };
        // The highest of a second counts, and it mostly was told already.
        let second = at / SECOND;
        let told = &mut thread.told;
        if vm == 0 || (told.0 == second && told.1 >= vm && told.2 >= rss) {
            return;
        }
        *told = (second, vm, rss);
        let swap = view.u32(first + 2).unwrap_or_default();
        sink.memory(at, process, memory([vm, rss, swap]));
    }

    /// Events were dropped: which thread ran where is not known any more.
    pub(super) fn dropped<S: Sink>(&mut self, at: u64, sink: &mut S) {
        self.cores.clear();
        let loss = Loss { count: 1, bytes: 0 };
        sink.loss(at, None, Reason::CAPTURE_DROPS, loss);
    }
}

/// Sizes in KiB as the sink has them.
pub(super) fn memory([vm, rss, swap]: [u32; 3]) -> Memory {
    Memory {
        vm: u64::from(vm) * 1_024,
        rss: u64::from(rss) * 1_024,
        swap: u64::from(swap) * 1_024,
    }
}

/// Charges what may be several seconds to each of them.
fn charge_seconds<S: Sink>(
    process: ProcessHandle,
    core: u32,
    since: u64,
    until: u64,
    sink: &mut S,
) {
    let mut begin = since;
    for _ in 0..LONG {
        let end = ((begin / SECOND + 1) * SECOND).min(until);
        if begin >= end {
            return;
        }
        sink.cpu(end - 1, process, core, end - begin);
        begin = end;
    }
    sink.cpu(until - 1, process, core, until - begin);
}
