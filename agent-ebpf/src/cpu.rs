//! CPU time by process and core.
//!
//! What is summed is the scheduler's own count (`se.sum_exec_runtime`), so the
//! sum over the processes of a cgroup is what the cgroup itself says, to the
//! nanosecond. A task is charged when it is switched out; one that never yields
//! is charged by `cpu_flush`, which the agent runs on each core each second.

use aya_ebpf::{
    helpers::bpf_get_smp_processor_id,
    macros::{btf_tracepoint, map, raw_tracepoint},
    maps::HashMap,
    programs::{BtfTracePointContext, RawTracePointContext},
};
use bubble_common::kernel::{cpu::CpuKey, loss::Cause};

use crate::{
    btf::Kernel,
    generation::sum,
    loss::lost,
    running::{self, Running},
};

#[map]
static CPU_0: HashMap<CpuKey, u64> = HashMap::with_max_entries(16_384, 0);
#[map]
static CPU_1: HashMap<CpuKey, u64> = HashMap::with_max_entries(16_384, 0);

// TP_PROTO(bool preempt, struct task_struct *prev, struct task_struct *next, unsigned int prev_state)
#[btf_tracepoint(function = "sched_switch")]
fn sched_switch(ctx: BtfTracePointContext) -> i32 {
    let previous: Kernel = ctx.arg(1);
    let next: Kernel = ctx.arg(2);
    try_sched_switch(previous, next);
    0
}

#[inline(always)]
fn try_sched_switch(previous: Kernel, next: Kernel) -> Option<()> {
    let here = running::here()?;
    // SAFETY: this core's scratch; interrupts are off while tasks are switched.
    unsafe {
        charge(here, previous);
        running::set(here, next);
    }
    Some(())
}

/// Charges the task of this core (run by the agent on each core, by BPF_PROG_TEST_RUN), and works
/// out anew who that is. It comes as an interrupt.
#[raw_tracepoint]
fn cpu_flush(_ctx: RawTracePointContext) -> i32 {
    try_cpu_flush();
    0
}

#[inline(always)]
fn try_cpu_flush() -> Option<()> {
    let here = running::here()?;
    // SAFETY: this core's scratch.
    if unsafe { core::ptr::read_volatile(&raw const (*here).busy) } != 0 {
        // The program that was interrupted is just doing that.
        return None;
    }
    let task = running::current();
    // SAFETY: nothing else changes the scratch until this interrupt is over.
    unsafe {
        charge(here, task);
        running::set(here, task);
    }
    Some(())
}

/// Adds what `task`, which runs here, used since it was last charged.
///
/// # Safety
/// `here` is this core's scratch.
#[inline(always)]
pub unsafe fn charge(here: *mut Running, task: Kernel) {
    // SAFETY: the caller's promise.
    let running = unsafe { &mut *here };
    if running.task != task as u64 {
        // SAFETY: likewise.
        unsafe { running::catch_up(here, task) };
    }
    if running.counted == 0 {
        return;
    }
    let total = running::cpu_time(task);
    if total <= running.since {
        return;
    }
    let used = total - running.since;
    running.since = total;
    let key = CpuKey {
        process: running.key,
        // SAFETY: a helper without arguments.
        core: unsafe { bpf_get_smp_processor_id() },
        unused: 0,
    };
    match sum!(CPU_0, CPU_1, &key, &0) {
        // SAFETY: a pointer into the map's value, which only this core writes.
        Some(sum) => unsafe { *sum += used },
        None => lost(Cause::CPU, used),
    }
}
