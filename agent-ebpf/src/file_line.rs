//! Counting in lines: the first level of counting (see `last_used`), for a task that uses the same file
//! again and again. It takes fewer instructions than any other level.
//!
//! Its sums have no generation. `cpu_flush` moves its sums to the maps each second. If it finds the line
//! busy again and again, the sums are counted in the next generation.

use core::arch::asm;

use bubble_common::kernel::cpu_state::side;
use bubble_common::kernel::file::{FileLast, FileOffsets};

use crate::access::{Access as _, Typed};
use crate::bound::barrier;
use crate::btf::{KernelPtr, address, field, offset};
use crate::file_sum::file_add;
use crate::line::{Line, STACK_SIZE, is_busy, line, this_core};
use crate::settings::setting;
use crate::sum::{IN, OUT};
use crate::{generation, task};

/// The number of this core, and `context` unchanged.
///
/// Since 6.12 the kernel replaces this call by inline code. It then removes the two moves to and from the
/// stack, about which the compiler cannot know. Nothing else may be on the stack of such a program.
#[inline(always)]
fn this_core_beside(context: *const u64) -> (u64, *const u64) {
    let (core, same);
    // SAFETY: the helper `bpf_get_smp_processor_id`, without arguments; its clobbers are declared.
    unsafe {
        asm!(
            "*(u64 *)(r10 - 8) = r1",
            "call 8",
            "r1 = *(u64 *)(r10 - 8)",
            inout("r1") context => same, out("r0") core,
            out("r2") _, out("r3") _, out("r4") _, out("r5") _,
        );
    }
    (core, same)
}

/// `from` minus `to`, in bytes. The verifier accepts no other way to make a number of two pointers.
#[inline(always)]
fn distance(from: *const u64, to: *mut Line) -> u64 {
    let distance;
    // SAFETY: changes only this number.
    unsafe {
        asm!(
            "{} -= {}", inout(reg) from => distance, in(reg) to,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    distance
}

/// Adds to this core's line what a function moved, if the line is of this task and this file. Otherwise
/// returns the file and the function's result, unless that is an error.
///
/// `context` is the program's: the arguments of the function, the first of which is the file, and its
/// result at index `RESULT`.
#[inline(always)]
pub fn add<const RESULT: usize>(context: *const u64, direction: u32) -> Option<(KernelPtr, i64)> {
    let (core, context) = this_core_beside(context);
    // SAFETY: see above.
    let (file, result) = unsafe {
        (
            context.cast::<KernelPtr>().read_volatile(),
            context.add(RESULT).cast::<i64>().read_volatile(),
        )
    };
    if result < 0 {
        return None;
    }
    if let Some(line) = line(core, direction)
        // SAFETY: this core's line.
        && unsafe { try_add(line, context, file, result as u64) }
    {
        return None;
    }
    Some((file, result))
}

/// Adds `bytes` to a line if it is of this file, and of the task on whose stack `context` is.
///
/// # Safety
/// It is this core's line.
#[inline(always)]
unsafe fn try_add(line: *mut Line, context: *const u64, file: KernelPtr, bytes: u64) -> bool {
    let mount: KernelPtr = Typed::read(file, offset!(FileOffsets, file_mount));
    // SAFETY: the caller's promise; the mark keeps off other programs.
    unsafe {
        let mark = &raw mut (*line).mount;
        if core::ptr::read_volatile(mark) != mount as u64 {
            return false;
        }
        core::ptr::write_volatile(mark, line as u64);
        barrier();
        let stack = (&raw const (*line).stack).read_volatile();
        let matches = distance(context, line).wrapping_sub(stack) < STACK_SIZE
            && (*line).stamp == generation::stamp()
            && {
                let dentry: KernelPtr = Typed::read(file, offset!(FileOffsets, file_dentry));
                (*line).dentry == dentry as u64
            };
        if matches {
            (*line).bytes += bytes;
            (*line).ops += 1;
        }
        barrier();
        core::ptr::write_volatile(mark, mount as u64);
        matches
    }
}

/// Gives the line to the file of `last` if that was also the file used before.
///
/// # Safety
/// `last` is this core's entry for what its process does to a file now.
#[inline(always)]
pub unsafe fn offer(last: *const FileLast, stamp: u64, direction: u32) {
    // Where opens are not counted in the kernel's functions, reads and writes are not either, and nothing
    // uses the lines.
    if setting!(opens_by_function) == 0 {
        return;
    }
    let Some(line) = line(this_core(), direction) else {
        return;
    };
    let stack: u64 = field!(task::current(), task_stack);
    // SAFETY: the caller's promise; the mark keeps off other programs.
    unsafe {
        let mark = &raw mut (*line).mount;
        let dentry = (*last).dentry;
        // A name without a hash: only the operations tell the file from others. All pipes are one file.
        let is_pseudo = (*last).name != 0 && first_half(&raw const (*last).name) == 0;
        if is_pseudo || is_busy(line) {
            return;
        }
        if (*line).next != dentry {
            (*line).next = dentry;
            return;
        }
        core::ptr::write_volatile(mark, line as u64);
        barrier();
        if (*line).ops != 0 {
            move_to_map(line, direction);
        }
        (*line).dentry = dentry;
        (*line).stamp = stamp;
        (*line).key = (*last).key;
        (&raw mut (*line).stack).write_volatile(stack.wrapping_sub(address(line as KernelPtr)));
        barrier();
        core::ptr::write_volatile(mark, (*last).mount);
    }
}

/// The hash in a name's hash and length.
///
/// # Safety
/// `name` may be read.
#[inline(always)]
pub unsafe fn first_half(name: *const u64) -> u32 {
    // SAFETY: the caller's promise; little-endian.
    unsafe { name.cast::<u32>().read() }
}

/// Moves the sums of a line to the maps.
///
/// # Safety
/// Nothing else changes the line meanwhile.
#[inline(always)]
unsafe fn move_to_map(line: *mut Line, direction: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        let side = side(generation::current(), direction);
        file_add(&raw const (*line).key, side, (*line).bytes, (*line).ops, 0);
        (*line).bytes = 0;
        (*line).ops = 0;
    }
}

/// Moves the sums of a core's lines to the maps; false if a program there is changing one of them.
///
/// # Safety
/// It interrupts that core, or nothing runs there.
#[inline(always)]
pub unsafe fn flush(core: u64) -> bool {
    let mut complete = true;
    for direction in [IN, OUT] {
        if let Some(line) = line(core, direction) {
            // SAFETY: the caller's promise.
            unsafe {
                if is_busy(line) {
                    complete = false;
                } else if (*line).ops != 0 {
                    move_to_map(line, direction);
                }
            }
        }
    }
    complete
}
