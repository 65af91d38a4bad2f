//! The registers of a system call: its number, which selects its actions, and its arguments.

use bubble_common::kernel::calls::x86;
use bubble_common::kernel::syscall::{CALL_COUNT, Calls, RegisterOffsets, TS_COMPAT};

use crate::access::{Access, Typed};
use crate::btf::{KernelPtr, offset};

/// Actions of each system call.
#[unsafe(no_mangle)]
static CALL_ACTIONS: Calls = x86();

/// Actions of the system call for both kinds of programs; 0 for most calls. See [`Calls`].
#[inline(always)]
pub fn actions(registers: KernelPtr) -> i32 {
    let number: u64 = Typed::read(registers, offset!(RegisterOffsets, number));
    if number >= CALL_COUNT as u64 {
        return 0;
    }
    // SAFETY: below the length.
    unsafe {
        core::ptr::read_volatile((&raw const CALL_ACTIONS).cast::<i32>().add(number as usize))
    }
}

/// Number of the system call plus 1.
#[inline(always)]
pub fn call_number(registers: KernelPtr) -> u64 {
    let number: u64 = Typed::read(registers, offset!(RegisterOffsets, number));
    number.wrapping_add(1)
}

/// Whether the task is in a system call of a 32-bit program.
#[inline(always)]
pub fn is_narrow(task: KernelPtr) -> bool {
    let status: u32 = Typed::read(task, offset!(RegisterOffsets, task_status));
    status & TS_COMPAT != 0
}

/// Action of the system call that the task is in.
#[inline(always)]
pub fn action(registers: KernelPtr, narrow: bool) -> u8 {
    let both = actions(registers);
    if narrow {
        (both >> 8) as u8
    } else {
        both as u8
    }
}

/// `ENOSYS` of `asm-generic/errno.h`.
const ENOSYS: i64 = 38;

/// Whether the task is within the system call of its registers. The kernel's entry sets the result to
/// `-ENOSYS`, and the call itself replaces it. Work after the end of a call, and a worker of io_uring,
/// which has a copy of its creator's registers, have another result.
#[inline(always)]
pub fn is_in_call(registers: KernelPtr) -> bool {
    let result: u64 = Typed::read(registers, offset!(RegisterOffsets, result));
    result as i64 == -ENOSYS
}

/// Argument `N` of the system call, counted from 0. `narrow`: of a 32-bit program.
#[inline(always)]
pub fn argument<A: Access, const N: u32>(registers: KernelPtr, narrow: bool) -> u64 {
    if !narrow {
        return match N {
            0 => A::read(registers, offset!(RegisterOffsets, argument_0)),
            1 => A::read(registers, offset!(RegisterOffsets, argument_1)),
            2 => A::read(registers, offset!(RegisterOffsets, argument_2)),
            3 => A::read(registers, offset!(RegisterOffsets, argument_3)),
            _ => A::read(registers, offset!(RegisterOffsets, argument_4)),
        };
    }
    let argument: u64 = match N {
        0 => A::read(registers, offset!(RegisterOffsets, narrow_0)),
        1 => A::read(registers, offset!(RegisterOffsets, narrow_1)),
        2 => A::read(registers, offset!(RegisterOffsets, argument_2)),
        3 => A::read(registers, offset!(RegisterOffsets, argument_1)),
        _ => A::read(registers, offset!(RegisterOffsets, argument_0)),
    };
    argument & 0xffff_ffff
}

/// Argument `N` as a descriptor.
#[inline(always)]
pub fn descriptor<const N: u32>(registers: KernelPtr, narrow: bool) -> u32 {
    argument::<Typed, N>(registers, narrow) as u32
}
