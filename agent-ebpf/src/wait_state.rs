//! What a thread that sleeps waits for: by its state, the system call that it is in, and the file that
//! the call uses.

use aya_ebpf::helpers::generated::bpf_task_pt_regs;
use bubble_common::kernel::syscall::{CALL_COUNT, RegisterOffsets};
use bubble_common::kernel::wait::{IN_IOWAIT, State, WaitCalls, x86};

use crate::access::{Access as _, Typed};
use crate::btf::{At, KernelPtr, load, offset};
use crate::descriptor::{file_of, mode_and_flags};
use crate::registers::{descriptor, is_in_call, is_narrow};
use crate::settings::setting;

/// `__TASK_STOPPED`, `__TASK_TRACED`, `TASK_FROZEN` of `linux/sched.h`.
const STOPPED: u32 = 0x4 | 0x8 | 0x8000;

/// `S_IFMT` and the types of `linux/stat.h`.
const TYPE_MASK: u16 = 0o170_000;
const SOCKET: u16 = 0o140_000;
const REGULAR: u16 = 0o100_000;
const BLOCK: u16 = 0o060_000;
const DIRECTORY: u16 = 0o040_000;
const PIPE: u16 = 0o010_000;
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

#[inline(always)]
fn of_call(task: KernelPtr, registers: KernelPtr, before: u32) -> u32 {
    let number: u64 = Typed::read(registers, offset!(RegisterOffsets, number));
    if number >= CALL_COUNT as u64 || !is_in_call(registers) {
        return State::OTHER.into();
    }
    // SAFETY: below the length.
    let both = unsafe {
        core::ptr::read_volatile((&raw const WAIT_CALLS).cast::<u8>().add(number as usize))
    };
    let narrow = is_narrow(task);
    match if narrow { both >> 4 } else { both & 15 } {
        0 => State::OTHER.into(),
        State::RESTART => before,
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
