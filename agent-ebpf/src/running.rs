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
use bubble_common::kernel::{process::ProcessKey, settings::Settings};

use crate::{
    btf::{Kernel, field, load, offset},
    settings::setting,
};

/// `PF_KTHREAD` of the kernel's `sched.h`: kernel threads, and the idle task.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// What is known of the task on a core.
#[repr(C)]
pub struct Running {
    /// Whose time and bytes are counted now.
    pub key: ProcessKey,
    /// The task's CPU time up to which it has been charged, ns.
    pub since: u64,
    /// 0 while nothing is counted: a kernel thread, or a cgroup of no interest.
    pub counted: u32,
    /// Not 0 while a program changes this, which an interrupt must then leave alone.
    pub busy: u32,
    /// Address of the task that all this is about.
    pub task: u64,
}

#[map]
static RUNNING: PerCpuArray<Running> = PerCpuArray::with_max_entries(1, 0);

/// Cgroups that are not counted, and the host's own among them: the agent fills it.
#[map]
static IGNORED: HashMap<u64, u32> = HashMap::with_max_entries(16_384, 0);

/// This core's scratch.
#[inline(always)]
pub fn here() -> Option<*mut Running> {
    RUNNING.get_ptr_mut(0)
}

/// The process that runs here, when what it does is counted.
///
/// Valid as long as the program runs: whatever changes it in between changes it for the better.
#[inline(always)]
pub fn counted() -> Option<&'static Running> {
    let here = here()?;
    // SAFETY: a pointer into this core's value of a map that is never freed while we run.
    let running = unsafe { &*here };
    // SAFETY: likewise; volatile as `running_correct` changes what it points to.
    if unsafe { core::ptr::read_volatile(&raw const (*here).task) } != current() as u64 {
        // A switch went by unseen, as happens: without this the bytes would be another's.
        running_correct();
    }
    // SAFETY: likewise.
    let counted = unsafe { core::ptr::read_volatile(&raw const (*here).counted) };
    (counted != 0).then_some(running)
}

/// Works out anew who runs here.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn running_correct() -> u32 {
    if let Some(here) = here() {
        // SAFETY: this core's scratch; the flag keeps the interrupt of `cpu_flush` off.
        unsafe {
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
        let first = offset!(crate::btf::task(), css_set_subsys);
        // SAFETY: an element of the array of pointers in a typed struct.
        let state: Kernel = unsafe { load(set, first + controller * 8) };
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
    running.task = task as u64;
    if is_kernel_thread(task) {
        running.counted = 0;
        return;
    }
    running.since = cpu_time(task);
    running.key = key_of(task);
    running.counted = u32::from(!is_ignored(running.key.cgroup));
}
