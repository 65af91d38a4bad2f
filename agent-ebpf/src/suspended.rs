//! System calls during which their thread left the core, such as a blocked read. Meanwhile another
//! thread can put another file behind the descriptor, by `dup2` or by `close` and `open`. At the end of
//! the call the descriptor then leads to the wrong file.
//!
//! So the files are noted when the thread leaves the core. The call holds them until its end. Only
//! processes whose descriptors several tasks share need this. What is replaced while the thread goes on
//! running goes unnoticed, which takes two cores and a moment of microseconds.

use aya_ebpf::helpers::generated::bpf_task_pt_regs;
use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use bubble_common::kernel::cpu_state::{Call, Running};
use bubble_common::kernel::file::FileOffsets;
use bubble_common::kernel::syscall::Action;

use crate::access::{Access, Typed};
use crate::btf::{KernelPtr, field, offset};
use crate::descriptor::file_of;
use crate::registers::{actions, call_number, descriptor, is_in_call, is_narrow};
use crate::settings::setting;

/// The call of each task that left its core in one, by address of the task.
#[map]
static SUSPENDED: LruHashMap<u64, Suspended> = LruHashMap::with_max_entries(8_192, 0);

/// No descriptor. Not an `Option`: the compiler would copy the number that it lacks, and the verifier refuse.
const NONE: u32 = u32::MAX;

/// A call, and its thread.
#[repr(C)]
struct Suspended {
    call: Call,
    /// Id of the thread: addresses of tasks are used again.
    pid: u64,
}

/// Whether other tasks can change the descriptors of this one.
#[inline(always)]
fn shares_descriptors(task: KernelPtr) -> bool {
    let files: KernelPtr = Typed::read(task, offset!(FileOffsets, task_files));
    // Reads as 0 when the task has none any more.
    let users: u32 = Typed::read(files, offset!(FileOffsets, files_count));
    users > 1
}

/// Notes the files of the call that `task` is in, which leaves this core.
#[inline(always)]
pub fn suspend(running: &Running, task: KernelPtr) {
    if running.counted == 0 || !shares_descriptors(task) {
        return;
    }
    // SAFETY: a typed pointer to a task; the result is typed too.
    let registers = unsafe { bpf_task_pt_regs(task as *mut _) } as KernelPtr;
    let both = actions(registers);
    if both > 0 && is_in_call(registers) {
        suspend_call(running, task, registers, both);
    }
}

#[inline(never)]
fn suspend_call(running: &Running, task: KernelPtr, registers: KernelPtr, both: i32) -> u32 {
    let narrow = is_narrow(task);
    let action = if narrow { both >> 8 } else { both } as u8;
    // Without the hook at syscall exit, only calls with two files need descriptors.
    if setting!(opens_by_function) != 0 && matches!(action, Action::READ | Action::WRITE) {
        return 0;
    }
    let arguments = [
        descriptor::<0>(registers, narrow),
        descriptor::<1>(registers, narrow),
        descriptor::<2>(registers, narrow),
    ];
    let (first, second) = match action {
        Action::READ | Action::WRITE | Action::VMSPLICE | Action::SEND_LENGTH => {
            (arguments[0], NONE)
        }
        Action::TEE => (arguments[1], NONE),
        Action::SENDFILE => (arguments[1], arguments[0]),
        Action::COPY => (arguments[0], arguments[2]),
        _ => return 0,
    };
    let number = call_number(registers);
    let call = if running.call.number == number {
        // It left a core in this call before.
        running.call
    } else {
        let file = |number| match file_of(task, number) {
            Some(file) => file as u64,
            None => 0,
        };
        Call {
            number,
            first: file(first),
            second: file(second),
        }
    };
    let pid: u32 = field!(task, task_pid);
    let suspended = Suspended {
        call,
        pid: pid.into(),
    };
    let _ = SUSPENDED.insert(&(task as u64), &suspended, 0);
    0
}

/// Notes the call in which `task`, which runs here from now on, left its core.
#[inline(always)]
pub fn resume(running: &mut Running, task: KernelPtr) {
    running.call = Call::default();
    if running.counted != 0 && shares_descriptors(task) {
        resume_call(running, task);
    }
}

#[inline(never)]
fn resume_call(running: &mut Running, task: KernelPtr) -> u32 {
    if let Some(suspended) = SUSPENDED.get_ptr_mut(&(task as u64)) {
        let pid: u32 = field!(task, task_pid);
        // SAFETY: a pointer to the map's value, which only the core of this task changes.
        unsafe {
            if (*suspended).pid == u64::from(pid) {
                running.call = (*suspended).call;
            }
            (*suspended).call = Call::default();
        }
    }
    0
}

/// Makes sure that the noted call, if there is one, is the one that ends here. [`end`] follows.
///
/// # Safety
/// `running` is part of this core's state.
#[inline(always)]
pub unsafe fn check(running: *mut Running, registers: KernelPtr) {
    // SAFETY: the caller's promise. No task is switched while a program runs.
    unsafe {
        if (*running).call.number != 0 && (*running).call.number != call_number(registers) {
            (*running).call = Call::default();
        }
    }
}

/// The file that a call used, if it was noted; otherwise the one behind the descriptor. `None` if that is
/// closed. `held` is a field of the noted call.
///
/// # Safety
/// `held` is part of this core's state.
#[inline(always)]
pub unsafe fn file_held(held: *const u64, task: KernelPtr, number: u32) -> Option<KernelPtr> {
    // SAFETY: the caller's promise. Volatile, so that it is read where it is needed.
    let file = unsafe { core::ptr::read_volatile(held) };
    if file != 0 {
        Some(file as KernelPtr)
    } else {
        file_of(task, number)
    }
}

/// Forgets the noted call.
///
/// # Safety
/// `running` is part of this core's state.
#[inline(always)]
pub unsafe fn end(running: *mut Running) {
    // SAFETY: the caller's promise.
    unsafe {
        if (*running).call.number != 0 {
            (*running).call = Call::default();
        }
    }
}
