//! The lines of each core: the first level of counting (see `last_used`). Here is their memory, and
//! which task owns them; `file_line` counts.
//!
//! A line is valid while the task that it was given to runs. Whoever changes which task runs calls
//! [`disown`]. If a switch goes unnoticed the stack tells, as each task has its own and the context of
//! a program is on it.

use bubble_common::kernel::file::FileKey;

use crate::settings::setting;
use crate::sum::IN;

/// Number of cores that have lines. Cores beyond work without.
const MAX_CORES: u64 = 1024;
/// Smallest size of a task's stack, in bytes.
pub const STACK_SIZE: u64 = 16 * 1024;
/// Distance to a stack that matches no address in the kernel.
const NO_STACK: u64 = 1 << 63;

/// Sums of one process and one file, in one direction.
#[repr(C)]
pub struct Line {
    /// Address of the file's mount. While a program changes the line: address of the line itself, and
    /// a program that preempts it must leave the line alone.
    pub mount: u64,
    /// Address of the task's stack, minus that of this line; or [`NO_STACK`].
    pub stack: u64,
    /// Address of the file's directory entry.
    pub dentry: u64,
    /// Generation and epoch in which the directory entry is that file's.
    pub stamp: u64,
    /// Bytes moved since the line was last flushed.
    pub bytes: u64,
    /// Calls that moved them.
    pub ops: u64,
    /// Process and file.
    pub key: FileKey,
    /// Directory entry of the file used last without the line. A file used twice gets the line.
    pub next: u64,
    /// Padding to a multiple of a cache line.
    pub padding: u64,
}

/// Lines by core and direction. A global, because its address is known without a look-up.
#[unsafe(no_mangle)]
static mut LINES: [[Line; 2]; MAX_CORES as usize] =
    // SAFETY: integers.
    unsafe { core::mem::zeroed() };

/// The line of a core, if the core has lines.
#[inline(always)]
pub fn line(core: u64, direction: u32) -> Option<*mut Line> {
    if core >= MAX_CORES {
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
pub fn this_core() -> u64 {
    // SAFETY: a helper without arguments.
    u64::from(unsafe { aya_ebpf::helpers::bpf_get_smp_processor_id() })
}

/// Whether a program is changing the line.
///
/// # Safety
/// It is the line of a core.
#[inline(always)]
pub unsafe fn is_busy(line: *mut Line) -> bool {
    // SAFETY: the caller's promise.
    unsafe { core::ptr::read_volatile(&raw const (*line).mount) == line as u64 }
}

/// Takes this core's lines from their task: another task runs from now on, or the same task as another
/// process.
#[inline(always)]
pub fn disown() {
    disown_lines_of(this_core());
}

/// Takes a core's lines from their task.
#[inline(always)]
pub fn disown_lines_of(core: u64) {
    if setting!(opens_by_function) != 0
        && let Some(line) = line(core, IN)
    {
        // SAFETY: the two lines of this core.
        unsafe {
            (&raw mut (*line).stack).write_volatile(NO_STACK);
            (&raw mut (*line.add(1)).stack).write_volatile(NO_STACK);
        }
    }
}
