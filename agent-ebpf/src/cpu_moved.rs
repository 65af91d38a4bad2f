//! A process that is moved to another cgroup while its threads run on other cores than the one that moves
//! it. Each of these cores learns it at once; else it would count for the former cgroup until the thread
//! leaves the core, or until the end of the second.
//!
//! The core that moves the process replaces the other core's note of who runs there by
//! [`MOVED`]. Whatever happens there next finds that the note is not that of its
//! task, and determines anew who it is, as it does after a switch that went unnoticed.

use core::ffi::c_void;
use core::intrinsics::{AtomicOrdering, atomic_cxchg};

use aya_ebpf::helpers::generated::bpf_loop;
use bubble_common::kernel::cpu_state::MOVED;
use bubble_common::kernel::loss::Cause;
use bubble_common::kernel::task::TaskOffsets;

use crate::access::{Access as _, Untyped};
use crate::bound::hidden;
use crate::btf::{KernelPtr, address, offset};
use crate::cpu_state::cpu_state_of;
use crate::line::{disown_lines_of, this_core};
use crate::loss::lost;
use crate::settings::setting;
use crate::task;

/// What was moved, and the core that moved it.
#[repr(C)]
struct Moved {
    /// The task that was moved; 0 if all of its process were.
    task: u64,
    /// Id of the process.
    process: u64,
    core: u64,
}

/// Tells the other cores that `task`, or its whole process, is in another cgroup from now on.
#[inline(always)]
pub fn tell_cores(task: KernelPtr, whole_process: bool) {
    let cores = setting!(cores);
    if cores < 2 {
        return;
    }
    let mut moved = Moved {
        task: if whole_process {
            hidden(0)
        } else {
            address(task)
        },
        process: task::process_id(task).into(),
        core: this_core(),
    };
    let tell: extern "C" fn(u32, *mut Moved) -> i64 = tell_core;
    // SAFETY: the callback's second argument is the one passed here.
    unsafe {
        bpf_loop(cores, tell as *mut c_void, (&raw mut moved).cast(), 0);
    }
}

extern "C" fn tell_core(core: u32, moved: *mut Moved) -> i64 {
    // SAFETY: `bpf_loop` passes what `tell_cores` gave it.
    let moved = unsafe { &*moved };
    if u64::from(core) == moved.core {
        return 0;
    }
    let Some(state) = cpu_state_of(core) else {
        return 0;
    };
    // SAFETY: that core may change all of it meanwhile. It takes what is written here only if `task` was
    // still that task when this core replaced it. Only one process is moved at a time
    // (`cgroup_mutex` of kernel/cgroup/cgroup.c), so no other core writes them.
    unsafe {
        let running = &raw mut (*state).running;
        let noted = core::ptr::read_volatile(&raw const (*running).task);
        let is_again = noted == MOVED;
        let task = if is_again {
            core::ptr::read_volatile(&raw const (*running).moved)
        } else {
            noted
        };
        let process: u32 = Untyped::read(task as KernelPtr, offset!(TaskOffsets, task_tgid));
        if u64::from(process) != moved.process || (moved.task != 0 && moved.task != task) {
            return 0;
        }
        let used: u64 = Untyped::read(
            task as KernelPtr,
            offset!(TaskOffsets, task_sum_exec_runtime),
        );
        let last = core::ptr::read_volatile(&raw const (*running).moved_last);
        if !is_again {
            core::ptr::write_volatile(&raw mut (*running).moved, task);
            core::ptr::write_volatile(&raw mut (*running).moved_at, used);
        }
        core::ptr::write_volatile(&raw mut (*running).moved_last, used);
        let (_, replaced) = atomic_cxchg::<
            u64,
            { AtomicOrdering::SeqCst },
            { AtomicOrdering::SeqCst },
        >(&raw mut (*running).task, noted, MOVED);
        if !replaced {
            return 0;
        }
        let is_counted = core::ptr::read_volatile(&raw const (*running).counted) != 0;
        if is_again && is_counted && used > last {
            lost(Cause::MOVED, used - last);
        }
        disown_lines_of(u64::from(core));
    }
    0
}
