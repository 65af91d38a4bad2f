//! Who runs on this core. It is determined once per switch, so that the hooks that run far more often
//! find it in one place.
//!
//! Whatever changes the answer while the task runs (exec, a move to another cgroup) updates it too, see
//! `switch`. There is one value per core. A program that may be interrupted while it changes the value
//! sets `busy` meanwhile.

use aya_ebpf::helpers::generated::bpf_map_lookup_percpu_elem;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, PerCpuArray};
use bubble_common::kernel::cpu_state::{CGROUPS, Call, CgroupCheck, CpuState, MOVED, Running};
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::loss::Cause;

use crate::btf::{KernelPtr, field};
use crate::loss::lost;
use crate::{generation, line, task};

#[map]
static CPU_STATE: PerCpuArray<CpuState> = PerCpuArray::with_max_entries(1, 0);

/// Cgroups that are not counted, such as the host's own. The agent fills it. A core that has looked one
/// up asks again in the next generation (see [`set_running_cached`]).
#[map]
static IGNORED: HashMap<u64, u32> = HashMap::with_max_entries(16_384, 0);

/// The state of this core.
#[inline(always)]
pub fn cpu_state() -> Option<*mut CpuState> {
    CPU_STATE.get_ptr_mut(0)
}

/// The state of another core. Only where `Settings::cores` is not 0.
#[inline(always)]
pub fn cpu_state_of(core: u32) -> Option<*mut CpuState> {
    let key = 0_u32;
    // SAFETY: a map and one of its keys; the helper refuses cores that there are not.
    let state = unsafe {
        bpf_map_lookup_percpu_elem(
            (&raw const CPU_STATE).cast_mut().cast(),
            (&raw const key).cast(),
            core,
        )
    };
    (!state.is_null()).then_some(state.cast())
}

/// The state of this core and the task that runs here; `None` if its process is not counted.
///
/// Valid until the program ends: whatever changes the state meanwhile only makes it more correct.
#[inline(always)]
pub fn counted_task() -> Option<(*mut CpuState, KernelPtr)> {
    let state = cpu_state()?;
    let task = task::current();
    // SAFETY: this core's value of the map; volatile as `cpu_state_correct` changes it.
    if unsafe { core::ptr::read_volatile(&raw const (*state).running.task) } != task as u64 {
        // A switch went unnoticed, which happens, or the process was moved to another cgroup. The bytes
        // must not go to the previous one.
        cpu_state_correct();
    }
    // SAFETY: likewise.
    let counted = unsafe { core::ptr::read_volatile(&raw const (*state).running.counted) };
    (counted != 0).then_some((state, task))
}

/// The state of this core; `None` if the process that runs here is not counted. See [`counted_task`].
#[inline(always)]
pub fn counted() -> Option<*mut CpuState> {
    counted_task().map(|(state, _)| state)
}

/// The process that runs here; `None` if it is not counted.
#[inline(always)]
pub fn counted_process() -> Option<&'static ProcessKey> {
    // SAFETY: this core's value of a map that is not freed while programs run.
    counted().map(|state| unsafe { &(*state).running.key })
}

/// Whether the agent ignores this cgroup.
#[inline(always)]
pub fn is_ignored(cgroup: u64) -> bool {
    IGNORED.get_ptr(&cgroup).is_some()
}

/// Determines anew who runs here.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn cpu_state_correct() -> u32 {
    if let Some(state) = cpu_state() {
        // SAFETY: this core's value; the flag keeps off the interrupt of `cpu_flush`.
        unsafe {
            let running = &raw mut (*state).running;
            let busy = &raw mut (*running).busy;
            core::ptr::write_volatile(busy, 1);
            set_running_late(running, task::current());
            core::ptr::write_volatile(busy, 0);
        }
    }
    0
}

/// Notes that `task` runs here, which is not the task that was noted: its process was moved to another
/// cgroup, or the switch went unnoticed. Then it has been running since the scheduler picked it.
///
/// # Safety
/// `running` is part of this core's state.
#[inline(always)]
pub unsafe fn set_running_late(running: *mut Running, task: KernelPtr) {
    // SAFETY: the caller's promise; volatile as other cores change them.
    unsafe {
        if core::ptr::read_volatile(&raw const (*running).task) == MOVED
            && core::ptr::read_volatile(&raw const (*running).moved) == task as u64
        {
            set_running_moved(running, task);
            return;
        }
    }
    let picked: u64 = field!(task, task_prev_sum_exec_runtime);
    // SAFETY: the caller's promise.
    unsafe {
        set_running(running, task);
        (*running).since = picked;
        // Which call it was in when it came here is not known.
        (*running).call = Call::default();
        (*running).arrived = 0;
    }
}

/// Determines anew which process `task` is, which runs here and has just been charged.
///
/// # Safety
/// `running` is part of this core's state.
#[inline(always)]
pub unsafe fn set_running_charged(running: *mut Running, task: KernelPtr) {
    // SAFETY: the caller's promise.
    unsafe {
        let charged = ((*running).counted != 0).then_some((*running).since);
        set_running(running, task);
        // What it has used since then is still to be charged.
        if let Some(charged) = charged {
            (*running).since = charged;
        }
    }
}

/// Notes that `task`, which has been running here, was moved to another cgroup. Until then its time is
/// that of the former process.
///
/// # Safety
/// `running` is part of this core's state.
#[inline(always)]
unsafe fn set_running_moved(running: *mut Running, task: KernelPtr) {
    // SAFETY: the caller's promise.
    unsafe {
        let (since, moved_at) = ((*running).since, (*running).moved_at);
        let moved_last = (*running).moved_last;
        if (*running).counted != 0 && moved_at > since {
            if (*running).former_ns == 0 {
                (*running).former = (*running).key;
                (*running).former_ns = moved_at - since;
            } else {
                // Moved twice since it was last charged: the time in the cgroup between.
                lost(Cause::MOVED, moved_at - since);
            }
        }
        set_running(running, task);
        (*running).since = since.max(moved_last);
    }
}

/// Notes that `task` runs here from now on.
///
/// # Safety
/// `running` is part of this core's state.
#[inline(always)]
pub unsafe fn set_running(running: *mut Running, task: KernelPtr) {
    // SAFETY: the caller's promise.
    let running = unsafe { &mut *running };
    let is_process = begin(running, task);
    running.counted = u32::from(is_process && !is_ignored(running.key.cgroup));
}

/// Like [`set_running`], for the frequent switch of tasks: looks a cgroup up once per generation.
///
/// # Safety
/// `state` is this core's value of the map, and nothing interrupts.
#[inline(always)]
pub unsafe fn set_running_cached(state: *mut CpuState, task: KernelPtr) {
    // SAFETY: the caller's promise.
    unsafe {
        let running = &mut (*state).running;
        if !begin(running, task) {
            running.counted = 0;
            return;
        }
        let cgroup = running.key.cgroup;
        let generation = generation::current();
        let check: *mut CgroupCheck = (&raw mut (*state).cgroups)
            .cast::<CgroupCheck>()
            .add(cgroup as usize % CGROUPS);
        if (*check).cgroup != cgroup || (*check).generation != generation {
            (*check).cgroup = cgroup;
            (*check).generation = generation;
            (*check).counted = u64::from(!is_ignored(cgroup));
        }
        running.counted = (*check).counted as u32;
    }
}

/// Notes who runs, and since when. Returns false for a kernel thread.
#[inline(always)]
fn begin(running: &mut Running, task: KernelPtr) -> bool {
    line::disown();
    running.task = task as u64;
    let is_process = !task::is_kernel_thread(task);
    if is_process {
        running.since = task::cpu_time(task);
        running.key = task::key_of(task);
    }
    is_process
}
