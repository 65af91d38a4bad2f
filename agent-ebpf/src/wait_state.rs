//! What a thread that sleeps waits for: by its state, the system call that it is in, and the file that
//! the call uses.

use aya_ebpf::helpers::generated::bpf_task_pt_regs;
use bubble_common::kernel::cpu_state::Running;
use bubble_common::kernel::syscall::{Action, CALL_COUNT, RegisterOffsets};
use bubble_common::kernel::wait::{IN_IOWAIT, State, WaitCalls, x86};

use crate::access::{Access as _, Typed};
use crate::btf::{At, KernelPtr, load, offset};
use crate::descriptor::{PIPE, SOCKET, TYPE_MASK, file_of, mode_and_flags};
use crate::registers::{action, call_number, descriptor, is_in_call, is_narrow};
use crate::settings::setting;

/// `__TASK_STOPPED`, `__TASK_TRACED`, `TASK_FROZEN` of `linux/sched.h`.
const STOPPED: u32 = 0x4 | 0x8 | 0x8000;

/// Types of files of `linux/stat.h`.
const REGULAR: u16 = 0o100_000;
const BLOCK: u16 = 0o060_000;
const DIRECTORY: u16 = 0o040_000;
/// `S_ANON_INODE` of `linux/fs.h`: an eventfd, timerfd and the like, which had no type before.
const ANONYMOUS: u32 = 1 << 19;

/// The states of sleeping in each system call.
#[unsafe(no_mangle)]
static WAIT_CALLS: WaitCalls = x86();

/// What `task` waits for, which does not run. `state` is its `__state`, not 0. `before` is the last
/// result, which `restart_syscall` continues.
#[inline(never)]
pub fn wait_state(task: KernelPtr, state: u32, before: u32) -> u32 {
    if state & STOPPED != 0 {
        return State::STOPPED.into();
    }
    // SAFETY: the byte of the task that has the bit.
    let byte: u8 = unsafe { load(task, At::<IN_IOWAIT>) };
    let in_iowait = u32::from(byte) & setting!(in_iowait) != 0;
    // SAFETY: a typed pointer to a task; the result is typed too.
    let registers = unsafe { bpf_task_pt_regs(task as *mut _) } as KernelPtr;
    let called = of_call(task, registers, before);
    // io_uring sets the mark for whatever it waits for.
    if in_iowait && called != u32::from(State::EVENTS) {
        return State::DISK.into();
    }
    called
}

/// The row in the table of the call that these registers are in: a state, or one of the numbers beyond. 0 if
/// there is none. `narrow`: of a 32-bit program.
#[inline(always)]
pub fn state_of_call(registers: KernelPtr, narrow: bool) -> u8 {
    let number: u64 = Typed::read(registers, offset!(RegisterOffsets, number));
    if number >= CALL_COUNT as u64 || !is_in_call(registers) {
        return 0;
    }
    // SAFETY: below the length.
    let both = unsafe {
        core::ptr::read_volatile((&raw const WAIT_CALLS).cast::<u8>().add(number as usize))
    };
    if narrow { both >> 4 } else { both & 15 }
}

/// The file of the call that `task`, which runs on this core, is in, if the call is one on a descriptor. Of
/// `sendfile` it is the file that is read if `reads`, and otherwise the one that is written.
#[inline(always)]
pub fn file_of_call(running: &Running, task: KernelPtr, reads: bool) -> Option<KernelPtr> {
    // SAFETY: a typed pointer to a task; the result is typed too.
    let registers = unsafe { bpf_task_pt_regs(task as *mut _) } as KernelPtr;
    let narrow = is_narrow(task);
    if !matches!(
        state_of_call(registers, narrow),
        State::BY_FILE | State::DISK_OF_FILE | State::NETWORK_OF_FILE
    ) {
        return None;
    }
    let is_second = reads && action(registers, narrow) == Action::SENDFILE;
    // It may have left its core in this call before, and the descriptor may lead elsewhere since (`suspended`).
    let call = &running.call;
    if reads && call.number == call_number(registers) && call.first != 0 {
        return Some(call.first as KernelPtr);
    }
    let number = if is_second {
        descriptor::<1>(registers, narrow)
    } else {
        descriptor::<0>(registers, narrow)
    };
    file_of(task, number)
}

#[inline(always)]
fn of_call(task: KernelPtr, registers: KernelPtr, before: u32) -> u32 {
    let narrow = is_narrow(task);
    match state_of_call(registers, narrow) {
        0 => State::OTHER.into(),
        State::RESTART => before,
        State::DISK_OF_FILE => State::DISK.into(),
        State::NETWORK_OF_FILE => State::NETWORK.into(),
        State::BY_FILE => of_file(task, descriptor::<0>(registers, narrow)),
        state => state.into(),
    }
}

/// The state of sleeping in an operation on a descriptor.
#[inline(always)]
fn of_file(task: KernelPtr, number: u32) -> u32 {
    let Some(file) = file_of(task, number) else {
        return State::OTHER.into();
    };
    let (mode, flags) = mode_and_flags(file);
    let state = match mode & TYPE_MASK {
        SOCKET => State::NETWORK,
        PIPE => State::PIPE,
        REGULAR if flags & ANONYMOUS == 0 => State::DISK,
        BLOCK | DIRECTORY => State::DISK,
        REGULAR | 0 => State::EVENTS,
        _ => State::OTHER,
    };
    state.into()
}
