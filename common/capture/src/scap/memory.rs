//! Memory of processes, from calls and switches.

use super::rows::Rows;
use super::state::State;
use super::thread::{Owner, ReportedMemory, Thread};
use super::view::View;
use crate::recording::io::report_implausible;
use crate::recording::process::{Sizes, memory_from_kib};
use crate::sink::Sink;
use crate::time::SECOND;

/// Reports the memory of a call's process; the sizes are the parameters from `first` on.
pub(super) fn report_call<S: Sink>(
    state: &mut State,
    rows: &mut Rows,
    thread: u32,
    view: &View<'_>,
    first: u8,
    sink: &mut S,
) {
    let owner = rows.owner(state, thread, view.event.at, sink);
    let machine = state.machine.memory_kib();
    if let Some(thread) = state.threads.get_mut(thread) {
        report(thread, owner, machine, view, first, sink);
    }
}

/// Reports the memory of a thread's process on a machine that has `machine` KiB: virtual, resident
/// and swapped-out KiB are the parameters from `first` on.
#[inline]
pub(super) fn report<S: Sink>(
    thread: &mut Thread,
    owner: Owner,
    machine: u64,
    view: &View<'_>,
    first: u8,
    sink: &mut S,
) {
    let Owner::Process {
        container, process, ..
    } = owner
    else {
        return;
    };
    let (Some(vm), Some(rss)) = (view.u32(first), view.u32(first + 1)) else {
        return;
    };
    // The highest of a second counts; mostly it was reported already.
    let at = view.event.at;
    let second = at / SECOND;
    let reported = &mut thread.reported_memory;
    if vm == 0 || (reported.second == second && reported.vm >= vm && reported.rss >= rss) {
        return;
    }
    let swap = view.u32(first + 2).unwrap_or_default();
    match memory_from_kib([vm, rss, swap].map(u64::from), machine) {
        Sizes::Of(memory) => {
            *reported = ReportedMemory { second, vm, rss };
            sink.memory(at, process, memory);
        }
        Sizes::None => {}
        Sizes::Implausible => report_implausible(at, Some(container), sink),
    }
}
