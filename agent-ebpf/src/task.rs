//! Reading tasks and cgroups: keys, ids, CPU time.

use aya_ebpf::helpers::bpf_get_current_task_btf;
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::settings::Settings;
use bubble_common::kernel::task::TaskOffsets;

use crate::btf::{KernelPtr, field, load, offset};
use crate::settings::setting;

/// `PF_KTHREAD` of `linux/sched.h`: kernel threads, among them the idle task.
const KERNEL_THREAD: u32 = 0x0020_0000;

/// The task that runs here.
#[inline(always)]
pub fn current() -> KernelPtr {
    // SAFETY: a helper without arguments, which returns a typed pointer.
    unsafe { bpf_get_current_task_btf() }
        .cast::<u8>()
        .cast_const()
}

/// Whether the task is a kernel thread.
#[inline(always)]
pub fn is_kernel_thread(task: KernelPtr) -> bool {
    let flags: u32 = field!(task, task_flags);
    flags & KERNEL_THREAD != 0
}

/// Id of the thread.
#[inline(always)]
pub fn id(task: KernelPtr) -> u32 {
    field!(task, task_pid)
}

/// Id of the process.
#[inline(always)]
pub fn process_id(task: KernelPtr) -> u32 {
    field!(task, task_tgid)
}

/// When the process of the task was forked, ns since boot.
#[inline(always)]
pub fn start(task: KernelPtr) -> u64 {
    let leader: KernelPtr = field!(task, task_group_leader);
    field!(leader, task_start_boottime)
}

/// Whether the task is the leader of its thread group.
#[inline(always)]
pub fn is_leader(task: KernelPtr) -> bool {
    let pid: u32 = field!(task, task_pid);
    let tgid: u32 = field!(task, task_tgid);
    pid == tgid
}

/// The key of the task's process.
#[inline(always)]
pub fn key_of(task: KernelPtr) -> ProcessKey {
    let leader: KernelPtr = field!(task, task_group_leader);
    let exec: u64 = field!(task, task_self_exec_id);
    ProcessKey {
        cgroup: cgroup_of(task),
        start: field!(leader, task_start_boottime),
        pid: field!(task, task_tgid),
        exec: exec as u32,
    }
}

/// Id of the task's cgroup, in the hierarchy by which the agent identifies containers.
#[inline(always)]
fn cgroup_of(task: KernelPtr) -> u64 {
    let set: KernelPtr = field!(task, task_cgroups);
    let controller = setting!(controller);
    let cgroup: KernelPtr = if controller == Settings::UNIFIED {
        field!(set, css_set_dfl_cgrp)
    } else {
        let first = offset!(TaskOffsets, css_set_subsys);
        // SAFETY: an element of an array of pointers in a typed struct.
        let state: KernelPtr = unsafe { load(set.add(controller as usize * 8), first) };
        field!(state, css_cgroup)
    };
    cgroup_id(cgroup)
}

/// Id of a cgroup: the id of its kernfs node.
#[inline(always)]
pub fn cgroup_id(cgroup: KernelPtr) -> u64 {
    let node: KernelPtr = field!(cgroup, cgroup_kn);
    field!(node, kernfs_node_id)
}

/// Number of the cgroup's hierarchy; 0 is v2.
#[inline(always)]
pub fn hierarchy_of(cgroup: KernelPtr) -> u32 {
    let root: KernelPtr = field!(cgroup, cgroup_root);
    field!(root, cgroup_root_hierarchy_id)
}

/// CPU time that the task has used, ns: up to its last switch, or to the last tick while it runs.
#[inline(always)]
pub fn cpu_time(task: KernelPtr) -> u64 {
    field!(task, task_sum_exec_runtime)
}
