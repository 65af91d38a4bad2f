//! Who runs on this core: worked out once when a task is switched in, so that
//! what is hooked far more often finds it in one place.
//!
//! Whatever changes the answer while the task runs (exec, a move to another
//! cgroup) comes by here too. The scratch is one a core; programs that may be
//! interrupted while they change it say so by `busy`.

use aya_ebpf::{
    helpers::bpf_get_current_task_btf,
    macros::map,
    maps::{HashMap, PerCpuArray},
};
use bubble_common::kernel::{
    offsets::TaskOffsets,
    process::ProcessKey,
    recent::{self, CGROUPS, Core, Running, Seen},
    settings::Settings,
};

use crate::{
    bound::masked,
    btf::{Kernel, field, load, offset},
    file_line, generation,
    settings::setting,
};

/// `PF_KTHREAD` of the kernel's `sched.h`: kernel threads, and the idle task.
const KERNEL_THREAD: u32 = 0x0020_0000;

#[map]
static CORE: PerCpuArray<Core> = PerCpuArray::with_max_entries(1, 0);

/// Cgroups that are not counted, and the host's own among them: the agent fills it. A core that has
/// looked one up asks again in the next second (see [`switch`]).
#[map]
static IGNORED: HashMap<u64, u32> = HashMap::with_max_entries(16_384, 0);

/// This core.
#[inline(always)]
pub fn core() -> Option<*mut Core> {
    CORE.get_ptr_mut(0)
}

/// This core and the task that runs here, when what its process does is counted.
///
/// Valid as long as the program runs: whatever changes who runs in between changes it for the better.
#[inline(always)]
pub fn counted_task() -> Option<(*mut Core, Kernel)> {
    let core = core()?;
    let task = current();
    // SAFETY: this core's value of the map; volatile as `running_correct` changes it.
    if unsafe { core::ptr::read_volatile(&raw const (*core).running.task) } != task as u64 {
        // A switch went by unseen, as happens: without this the bytes would be another's.
        running_correct();
    }
    // SAFETY: likewise.
    let counted = unsafe { core::ptr::read_volatile(&raw const (*core).running.counted) };
    (counted != 0).then_some((core, task))
}

/// This core, when what the process that runs here does is counted: see [`counted_task`].
#[inline(always)]
pub fn counted_core() -> Option<*mut Core> {
    counted_task().map(|(core, _)| core)
}

/// The process that runs here, when what it does is counted.
#[inline(always)]
pub fn counted() -> Option<&'static Running> {
    // SAFETY: this core's value of a map that is never freed while we run.
    counted_core().map(|core| unsafe { &(*core).running })
}

/// What this core did last with files or connections is at that place: see [`recent::index`].
#[inline(always)]
pub fn last_index(side: u64, hash: u64) -> usize {
    masked::<{ recent::COUNT as i32 - 1 }>(recent::index(side, hash) as u64)
}

/// Whether two keys are of one process. As whole words: it is asked for every operation.
#[inline(always)]
pub fn is_same(one: &ProcessKey, other: &ProcessKey) -> bool {
    let last = |key: &ProcessKey| {
        // SAFETY: both halves of a word, which is aligned as the key is.
        unsafe { (&raw const key.pid).cast::<u64>().read() }
    };
    one.start == other.start && last(one) == last(other) && one.cgroup == other.cgroup
}

/// Works out anew who runs here.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn running_correct() -> u32 {
    if let Some(core) = core() {
        // SAFETY: this core's scratch; the flag keeps the interrupt of `cpu_flush` off.
        unsafe {
            let here = &raw mut (*core).running;
            let busy = &raw mut (*here).busy;
            core::ptr::write_volatile(busy, 1);
            catch_up(here, current());
            core::ptr::write_volatile(busy, 0);
        }
    }
    0
}

/// Notes that `task` has been running on this core since the scheduler picked it, which went by unseen.
///
/// # Safety
/// `here` is this core's scratch.
#[inline(always)]
pub unsafe fn catch_up(here: *mut Running, task: Kernel) {
    let picked: u64 = field!(task, task_prev_sum_exec_runtime);
    // SAFETY: the caller's promise.
    unsafe {
        set(here, task);
        (*here).since = picked;
    }
}

/// The task that runs here.
#[inline(always)]
pub fn current() -> Kernel {
    // SAFETY: a helper without arguments; it gives a typed pointer.
    unsafe { bpf_get_current_task_btf() }
        .cast::<u8>()
        .cast_const()
}

/// Whether the task belongs to the kernel.
#[inline(always)]
pub fn is_kernel_thread(task: Kernel) -> bool {
    let flags: u32 = field!(task, task_flags);
    flags & KERNEL_THREAD != 0
}

/// Id of the cgroup by which the agent tells containers apart.
#[inline(always)]
pub fn cgroup_of(task: Kernel) -> u64 {
    let set: Kernel = field!(task, task_cgroups);
    let controller = setting!(controller);
    let cgroup: Kernel = if controller == Settings::UNIFIED {
        field!(set, css_set_dfl_cgrp)
    } else {
        let first = offset!(TaskOffsets, css_set_subsys);
        // SAFETY: an element of the array of pointers in a typed struct.
        let state: Kernel = unsafe { load(set.add(controller as usize * 8), first) };
        field!(state, css_cgroup)
    };
    id_of(cgroup)
}

/// Id of a cgroup.
#[inline(always)]
pub fn id_of(cgroup: Kernel) -> u64 {
    let node: Kernel = field!(cgroup, cgroup_kn);
    field!(node, kernfs_node_id)
}

/// Which process, running which program, in which cgroup a task belongs to.
#[inline(always)]
pub fn key_of(task: Kernel) -> ProcessKey {
    let leader: Kernel = field!(task, task_group_leader);
    let exec: u64 = field!(task, task_self_exec_id);
    ProcessKey {
        cgroup: cgroup_of(task),
        start: field!(leader, task_start_boottime),
        pid: field!(task, task_tgid),
        exec: exec as u32,
    }
}

/// Whether the agent has said that this cgroup is of no interest.
#[inline(always)]
pub fn is_ignored(cgroup: u64) -> bool {
    IGNORED.get_ptr(&cgroup).is_some()
}

/// CPU time that a task has used, ns: up to its last switch, or to the last tick while it runs.
#[inline(always)]
pub fn cpu_time(task: Kernel) -> u64 {
    field!(task, task_sum_exec_runtime)
}

/// Notes that from now on `task` runs on this core.
///
/// # Safety
/// `here` is this core's scratch.
#[inline(always)]
pub unsafe fn set(here: *mut Running, task: Kernel) {
    // SAFETY: the caller's promise.
    let running = unsafe { &mut *here };
    let mine = begin(running, task);
    running.counted = u32::from(mine && !is_ignored(running.key.cgroup));
}

/// The same when a task is switched in, which is often: asks once a second whether a cgroup is counted.
///
/// # Safety
/// `core` is this core's value of the map, and nothing interrupts.
#[inline(always)]
pub unsafe fn switch(core: *mut Core, task: Kernel) {
    // SAFETY: the caller's promise.
    unsafe {
        let running = &mut (*core).running;
        if !begin(running, task) {
            running.counted = 0;
            return;
        }
        let cgroup = running.key.cgroup;
        let generation = generation::current();
        let seen: *mut Seen = (&raw mut (*core).cgroups)
            .cast::<Seen>()
            .add(cgroup as usize % CGROUPS);
        if (*seen).cgroup != cgroup || (*seen).generation != generation {
            (*seen).cgroup = cgroup;
            (*seen).generation = generation;
            (*seen).counted = u64::from(!is_ignored(cgroup));
        }
        running.counted = (*seen).counted as u32;
    }
}

/// Notes who runs and since when; whether it is a process, and not a thread of the kernel's.
#[inline(always)]
fn begin(running: &mut Running, task: Kernel) -> bool {
    file_line::forget();
    running.task = task as u64;
    let mine = !is_kernel_thread(task);
    if mine {
        running.since = cpu_time(task);
        running.key = key_of(task);
    }
    mine
}
