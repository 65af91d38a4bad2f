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
use bubble_common::kernel::{
    cpu::{CpuKey, CpuLast},
    loss::Cause,
    process::ProcessKey,
    recent::{self, Core},
};

use crate::{
    bound::masked,
    btf::Kernel,
    file_line,
    generation::{self, sum},
    loss::lost,
    running,
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
    let core = running::core()?;
    // SAFETY: this core's scratch; interrupts are off while tasks are switched.
    unsafe {
        charge(core, previous);
        running::switch(core, next);
    }
    Some(())
}

/// Charges the task of this core (run by the agent on each core, by BPF_PROG_TEST_RUN), works out anew
/// who that is, and moves to the maps what the core's lines hold. It comes as an interrupt.
///
/// The argument is the core, which may be another than this when it is offline: then there is nobody to
/// charge. The result is 1 when a line was just being changed, so that it must come again.
#[raw_tracepoint]
fn cpu_flush(ctx: RawTracePointContext) -> i32 {
    let core: u64 = ctx.arg(0);
    // SAFETY: it is an interrupt of this core, or the agent has found that one to be offline.
    let flushed = unsafe { file_line::flush(core) };
    // SAFETY: a helper without arguments.
    if core == u64::from(unsafe { bpf_get_smp_processor_id() }) {
        try_cpu_flush();
    }
    i32::from(!flushed)
}

#[inline(always)]
fn try_cpu_flush() -> Option<()> {
    let core = running::core()?;
    // SAFETY: this core's scratch.
    if unsafe { core::ptr::read_volatile(&raw const (*core).running.busy) } != 0 {
        // The program that was interrupted is just doing that.
        return None;
    }
    let task = running::current();
    // SAFETY: nothing else changes the scratch until this interrupt is over.
    unsafe {
        charge(core, task);
        running::set(&raw mut (*core).running, task);
    }
    Some(())
}

/// Adds what `task`, which runs here, used since it was last charged.
///
/// # Safety
/// `core` is this core's scratch, and nothing else changes it meanwhile.
#[inline(always)]
pub unsafe fn charge(core: *mut Core, task: Kernel) {
    // SAFETY: the caller's promise.
    let running = unsafe { &mut (*core).running };
    if running.task != task as u64 {
        // SAFETY: likewise.
        unsafe { running::catch_up(running, task) };
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
    let generation = generation::current();
    let index = recent::cpu_index(generation, running.key.pid) as u64;
    let index = masked::<{ recent::CPU_COUNT as i32 - 1 }>(index);
    // SAFETY: an entry of this core's value of the map; the caller keeps others out.
    let last = unsafe { &mut *(&raw mut (*core).cpu).cast::<CpuLast>().add(index) };
    if last.generation == generation {
        if running::is_same(&last.process, &running.key) {
            last.ns += used;
            return;
        }
        cpu_add(&last.process, generation, last.ns);
    }
    last.generation = generation;
    last.process = running.key;
    last.ns = used;
}

/// Adds to the map.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn cpu_add(process: *const ProcessKey, generation: u64, ns: u64) -> u32 {
    if process.is_null() {
        return 0;
    }
    let key = CpuKey {
        // SAFETY: `charge` hands over a reference.
        process: unsafe { *process },
        // SAFETY: a helper without arguments.
        core: unsafe { bpf_get_smp_processor_id() },
        unused: 0,
    };
    match sum!(CPU_0, CPU_1, generation, &key, &0) {
        // SAFETY: a pointer into the map's value, which only this core writes.
        Some(sum) => unsafe { *sum += ns },
        None => lost(Cause::CPU, ns),
    }
    0
}
