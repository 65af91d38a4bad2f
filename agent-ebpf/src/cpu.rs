//! CPU time by process and core.
//!
//! The scheduler's own count (`se.sum_exec_runtime`) is added up, so the sum over the processes of a
//! cgroup equals what the cgroup itself reports, to the nanosecond. `switch` charges a task when it is
//! switched out, and once a second while it runs.

use aya_ebpf::helpers::bpf_get_smp_processor_id;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use bubble_common::kernel::cpu::{CpuKey, CpuLast};
use bubble_common::kernel::cpu_state::{CPU_ENTRIES, CpuState, cpu_index};
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::loss::Cause;
use bubble_common::kernel::wait::WaitSum;

use crate::bound::masked;
use crate::btf::KernelPtr;
use crate::cpu_state::set_running_late;
use crate::last_used::is_same;
use crate::log::{self, Limit};
use crate::loss::lost;
use crate::sum::sum;
use crate::wait_sum::wait_add_all;
use crate::{generation, task};

#[map]
static CPU_0: HashMap<CpuKey, u64> = HashMap::with_max_entries(16_384, 0);
#[map]
static CPU_1: HashMap<CpuKey, u64> = HashMap::with_max_entries(16_384, 0);

/// Charges `task`, which runs here, for its CPU time since it was last charged.
///
/// # Safety
/// `state` is this core's, and nothing else changes it meanwhile.
#[inline(always)]
pub unsafe fn charge(state: *mut CpuState, task: KernelPtr) {
    // SAFETY: the caller's promise.
    let running = unsafe { &mut (*state).running };
    if running.task != task as u64 {
        // SAFETY: likewise.
        unsafe { set_running_late(running, task) };
    }
    if running.former_ns != 0 {
        cpu_add(
            &raw const running.former,
            generation::current(),
            running.former_ns,
        );
        running.former_ns = 0;
    }
    if running.counted == 0 {
        return;
    }
    let total = task::cpu_time(task);
    if total <= running.since {
        return;
    }
    let used = total - running.since;
    running.since = total;
    // SAFETY: likewise.
    unsafe { last(state).ns += used };
}

/// The entry of this core for the process that runs there, in this generation. What it held for another
/// process goes to the maps.
///
/// # Safety
/// `state` is this core's, and nothing else changes it meanwhile.
#[inline(always)]
pub unsafe fn last<'a>(state: *mut CpuState) -> &'a mut CpuLast {
    // SAFETY: the caller's promise.
    let running = unsafe { &(*state).running };
    let generation = generation::current();
    let index = cpu_index(generation, running.key.pid) as u64;
    let index = masked::<{ CPU_ENTRIES as i32 - 1 }>(index);
    // SAFETY: an entry of this core's state; the caller keeps off others.
    let last = unsafe { &mut *(&raw mut (*state).cpu).cast::<CpuLast>().add(index) };
    if last.generation != generation || !is_same(&last.process, &running.key) {
        if last.generation == generation {
            last_add(last);
        }
        last.generation = generation;
        last.process = running.key;
        last.ns = 0;
        last.waits = WaitSum::default();
    }
    last
}

/// Adds an entry to the maps.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn last_add(last: *const CpuLast) -> u32 {
    if last.is_null() {
        return 0;
    }
    // SAFETY: a reference of the caller.
    let last = unsafe { &*last };
    if last.ns != 0 {
        cpu_add(&last.process, last.generation, last.ns);
    }
    wait_add_all(last);
    0
}

/// Adds to the map.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn cpu_add(process: *const ProcessKey, generation: u64, ns: u64) -> u32 {
    if process.is_null() {
        return 0;
    }
    let key = CpuKey {
        // SAFETY: `last_add` passes a reference.
        process: unsafe { *process },
        // SAFETY: a helper without arguments.
        core: unsafe { bpf_get_smp_processor_id() },
        unused: 0,
    };
    match sum!(CPU_0, CPU_1, generation, &key, &0) {
        // SAFETY: a pointer to the map's value, which only this core writes.
        Some(sum) => unsafe { *sum += ns },
        None => {
            lost(Cause::CPU, ns);
            log::limit(Limit::CPU_MAP, ns);
        }
    }
    0
}
