//! What the task that runs on a core does to one file again and again: summed in fewer instructions
//! than anything else here, before the last files of the core (`file`) are asked.
//!
//! A core has a [`Line`] for each direction. It is of one process and one file, and good as long as
//! the same task runs: whatever changes who runs makes its core's lines [`forget`] that task. Should
//! that go by unseen, the stack tells, which is a task's own: a program's context is on it.
//!
//! The lines know no generation. `cpu_flush` moves what they hold to the maps each second; what a
//! line gets while that comes by again and again in vain is counted in the next.

use core::arch::asm;

use bubble_common::kernel::{
    file::{FileKey, FileLast, FileOffsets},
    recent::side,
};

use crate::{
    bound::in_order,
    btf::{Kernel, address, field, offset},
    file::{Access as _, IN, OUT, Typed, file_add, first_half},
    generation, running,
    settings::setting,
};

/// Cores that have lines; those beyond do without.
const CORES: u64 = 1024;
/// Bytes from the beginning of a task's stack that are its stack, at least.
const STACK: u64 = 16 * 1024;
/// No stack is so far from anything in the kernel.
const NO_STACK: u64 = 1 << 63;

/// One process and one file.
#[repr(C)]
struct Line {
    /// Address of the file's mount; of the line itself while a program changes it, which one that
    /// preempts it must then leave alone.
    mount: u64,
    /// How far behind this line the stack of the task begins, or [`NO_STACK`].
    stack: u64,
    /// Address of the file's directory entry.
    dentry: u64,
    /// Hash of its name.
    name: u32,
    /// Zero.
    unused: u32,
    /// Bytes moved, since they were last moved to the maps.
    bytes: u64,
    /// Calls that moved them.
    ops: u64,
    /// Process and file.
    key: FileKey,
    /// Directory entry of what was last done by another way: what is done twice gets the line.
    next: u64,
    /// Room up to a multiple of what a core fetches at once.
    room: u64,
}

/// A core's, by direction. Global, as its place is then known without a look-up.
#[unsafe(no_mangle)]
static mut LINES: [[Line; 2]; CORES as usize] =
    // SAFETY: integers.
    unsafe { core::mem::zeroed() };

/// The line of a core.
#[inline(always)]
fn line(core: u64, direction: u32) -> Option<*mut Line> {
    if core >= CORES {
        return None;
    }
    let first = (&raw mut LINES).cast::<[Line; 2]>();
    // SAFETY: below the length.
    Some(unsafe {
        first
            .add(core as usize)
            .cast::<Line>()
            .add(direction as usize)
    })
}

/// The number of this core.
#[inline(always)]
fn this_core() -> u64 {
    // SAFETY: a helper without arguments.
    u64::from(unsafe { aya_ebpf::helpers::bpf_get_smp_processor_id() })
}

/// The number of this core; beside it `context`, which comes through.
///
/// Kernels that replace this call by code (6.12 and later) then leave out the two moves to and from
/// the stack, which the compiler cannot know of. Nothing else may be on the stack of such a program.
#[inline(always)]
fn this_core_beside(context: *const u64) -> (u64, *const u64) {
    let (core, same);
    // SAFETY: the helper `bpf_get_smp_processor_id`, without arguments; what it may change is said.
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

/// Bytes from `to` to `from`: the verifier takes no other way to make a number of two pointers.
#[inline(always)]
fn distance(from: *const u64, to: *mut Line) -> u64 {
    let distance;
    // SAFETY: it changes nothing but this number.
    unsafe {
        asm!(
            "{} -= {}", inout(reg) from => distance, in(reg) to,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    distance
}

/// Adds what a function moved between the task that runs here and a file, when that is what this
/// core's line is of. Else gives the file and the result, unless that is an error.
///
/// `context` is the program's: the function's arguments, of which the file is the first, and at
/// `RESULT` what it returned.
#[inline(always)]
pub fn add<const RESULT: usize>(context: *const u64, direction: u32) -> Option<(Kernel, i64)> {
    let (core, context) = this_core_beside(context);
    // SAFETY: see above.
    let (file, result) = unsafe {
        (
            context.cast::<Kernel>().read_volatile(),
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

/// Adds `bytes` to a line if it is of this file and the task on whose stack `context` is.
///
/// # Safety
/// It is this core's line.
#[inline(always)]
unsafe fn try_add(line: *mut Line, context: *const u64, file: Kernel, bytes: u64) -> bool {
    let mount: Kernel = Typed::read(file, offset!(FileOffsets, file_mount));
    // SAFETY: the caller's promise; the mark keeps others out.
    unsafe {
        let mark = &raw mut (*line).mount;
        if core::ptr::read_volatile(mark) != mount as u64 {
            return false;
        }
        core::ptr::write_volatile(mark, line as u64);
        in_order();
        let stack = (&raw const (*line).stack).read_volatile();
        let mine = distance(context, line).wrapping_sub(stack) < STACK && {
            let dentry: Kernel = Typed::read(file, offset!(FileOffsets, file_dentry));
            (*line).dentry == dentry as u64
                && (*line).name == Typed::read::<u32>(dentry, offset!(FileOffsets, dentry_name))
        };
        if mine {
            (*line).bytes += bytes;
            (*line).ops += 1;
        }
        in_order();
        core::ptr::write_volatile(mark, mount as u64);
        mine
    }
}

/// Gives the line to what `last` is of, if that is what was done before, too.
///
/// # Safety
/// `last` is an entry of this core's for what its process does to a file now.
#[inline(always)]
pub unsafe fn offer(last: *const FileLast, direction: u32) {
    // As are opens, reads and writes are counted by functions, or else by nothing that asks the lines.
    if setting!(opens_by_function) == 0 {
        return;
    }
    let Some(line) = line(this_core(), direction) else {
        return;
    };
    let stack: u64 = field!(running::current(), task_stack);
    // SAFETY: the caller's promise; the mark keeps others out.
    unsafe {
        let mark = &raw mut (*line).mount;
        let dentry = (*last).dentry;
        if is_busy(line) {
            return;
        }
        if (*line).next != dentry {
            (*line).next = dentry;
            return;
        }
        core::ptr::write_volatile(mark, line as u64);
        in_order();
        if (*line).ops != 0 {
            empty(line, direction);
        }
        (*line).dentry = dentry;
        (*line).name = first_half(&raw const (*last).name);
        (*line).key = (*last).key;
        (&raw mut (*line).stack).write_volatile(stack.wrapping_sub(address(line as Kernel)));
        in_order();
        core::ptr::write_volatile(mark, (*last).mount);
    }
}

/// Whether a program is just changing a line.
///
/// # Safety
/// It is a core's line.
#[inline(always)]
unsafe fn is_busy(line: *mut Line) -> bool {
    // SAFETY: the caller's promise.
    unsafe { core::ptr::read_volatile(&raw const (*line).mount) == line as u64 }
}

/// Moves what a line holds to the maps.
///
/// # Safety
/// Nobody else changes the line meanwhile.
#[inline(always)]
unsafe fn empty(line: *mut Line, direction: u32) {
    // SAFETY: the caller's promise.
    unsafe {
        let place = side(generation::current(), direction);
        file_add(&raw const (*line).key, place, (*line).bytes, (*line).ops, 0);
        (*line).bytes = 0;
        (*line).ops = 0;
    }
}

/// Another task runs on this core from now on, or the same as another process.
#[inline(always)]
pub fn forget() {
    if setting!(opens_by_function) != 0
        && let Some(line) = line(this_core(), IN)
    {
        // SAFETY: the two lines of this core.
        unsafe {
            (&raw mut (*line).stack).write_volatile(NO_STACK);
            (&raw mut (*line.add(1)).stack).write_volatile(NO_STACK);
        }
    }
}

/// Moves to the maps what the lines of a core hold; false when a program there is just changing one.
///
/// # Safety
/// It interrupts that core, or nothing runs there.
#[inline(always)]
pub unsafe fn flush(core: u64) -> bool {
    let mut done = true;
    for direction in [IN, OUT] {
        if let Some(line) = line(core, direction) {
            // SAFETY: the caller's promise.
            unsafe {
                if is_busy(line) {
                    done = false;
                } else if (*line).ops != 0 {
                    empty(line, direction);
                }
            }
        }
    }
    done
}
