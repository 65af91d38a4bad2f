//! What happens when another task runs on a core, or the same task as another process: charge the old
//! one, move the sums in its lines to the maps, note the new one.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::macros::{btf_tracepoint, raw_tracepoint};
use aya_ebpf::programs::{BtfTracePointContext, RawTracePointContext};

use crate::btf::KernelPtr;
use crate::cpu::charge;
use crate::cpu_state::{cpu_state, set_running_cached, set_running_charged};
use crate::settings::setting;
use crate::suspended::{resume, suspend};
use crate::wait::{charge_wait, depart};
use crate::{file_line, task, wait};

// TP_PROTO(bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state)
#[btf_tracepoint(function = "sched_switch")]
fn sched_switch(ctx: BtfTracePointContext) -> i32 {
    let preempted: i32 = ctx.arg(0);
    let previous: KernelPtr = ctx.arg(1);
    let next: KernelPtr = ctx.arg(2);
    // Since 5.18.
    let why = if setting!(waits) != 0 { ctx.arg(3) } else { 0 };
    try_sched_switch(preempted & 0xff != 0, previous, next, why);
    0
}

#[inline(always)]
fn try_sched_switch(preempted: bool, previous: KernelPtr, next: KernelPtr, why: u32) -> Option<()> {
    let state = cpu_state()?;
    let now = wait::now();
    // SAFETY: this core's state; interrupts are off during a switch.
    unsafe {
        charge(state, previous);
        charge_wait(state, previous, now);
        depart(state, previous, preempted, why, now);
        suspend(&(*state).running, previous);
        set_running_cached(state, next);
        (*state).running.arrived = now;
        resume(&mut (*state).running, next);
    }
    Some(())
}

/// Moves the sums of a core's lines to the maps, charges the task that runs there, and determines anew
/// who that is. The agent runs it on each core each second, by `BPF_PROG_TEST_RUN`; it arrives as an
/// interrupt.
///
/// The argument is the core's number. If that core is offline, the program runs on another one, and
/// nobody is charged. Returns 1 if a line was being changed, so that the agent has to call again.
#[raw_tracepoint]
fn cpu_flush(ctx: RawTracePointContext) -> i32 {
    let core: u64 = ctx.arg(0);
    // SAFETY: it interrupts this core, or the agent has found that core to be offline.
    let flushed = unsafe { file_line::flush(core) };
    // SAFETY: a helper without arguments.
    if core == u64::from(unsafe { bpf_get_smp_processor_id() }) {
        try_cpu_flush();
    }
    i32::from(!flushed)
}

#[inline(always)]
fn try_cpu_flush() -> Option<()> {
    let state = cpu_state()?;
    // SAFETY: this core's state.
    if unsafe { core::ptr::read_volatile(&raw const (*state).running.busy) } != 0 {
        // The interrupted program is doing the same.
        return None;
    }
    let task = task::current();
    // SAFETY: nothing else changes the state until this interrupt is over.
    unsafe {
        charge(state, task);
        charge_wait(state, task, 0);
        set_running_charged(&raw mut (*state).running, task);
    }
    Some(())
}

/// Charges the task that runs here, and determines anew which process it is: it has called `exec`, or
/// was moved to another cgroup.
#[inline(always)]
pub fn process_changed(task: KernelPtr) -> Option<()> {
    let state = cpu_state()?;
    // SAFETY: this core's state; no task is switched while a tracepoint's program runs, and the flag
    // keeps off the interrupt of `cpu_flush`.
    unsafe {
        let running = &raw mut (*state).running;
        let busy = &raw mut (*running).busy;
        core::ptr::write_volatile(busy, 1);
        charge(state, task);
        charge_wait(state, task, 0);
        set_running_charged(running, task);
        core::ptr::write_volatile(busy, 0);
    }
    Some(())
}
