//! Reading the kernel's structs.
//!
//! A typed pointer (an argument of a BTF tracepoint, or what was loaded through
//! one) can be read by plain loads: the verifier knows the struct, and the kernel
//! catches a fault. That costs an instruction where `bpf_probe_read_kernel` costs
//! a call. It asks for a constant offset; ours are globals in frozen read-only
//! memory, which the verifier takes for constants. Hence the volatile reads: the
//! compiler must not know their values, which come only when the agent starts.

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use bubble_common::kernel::offsets::TaskOffsets;

/// Where the fields of tasks are.
#[unsafe(no_mangle)]
static TASK: TaskOffsets = TaskOffsets::NONE;

/// A typed pointer into the kernel: the verifier knows its type, Rust need not.
pub type Kernel = *const u8;

/// The offsets of tasks; take single fields by [`offset`].
#[inline(always)]
pub fn task() -> *const TaskOffsets {
    &raw const TASK
}

/// Reads one offset out of a global.
macro_rules! offset {
    ($of:expr, $field:ident) => {{
        #[allow(unused_unsafe, reason = "it is used within unsafe blocks, too")]
        // SAFETY: the pointer is to a global of that type.
        let offset = unsafe { core::ptr::read_volatile(&raw const (*$of).$field) };
        offset
    }};
}
pub(crate) use offset;

/// Loads a `T` that is `offset` bytes into the struct at `base`.
///
/// # Safety
/// `base` is a typed pointer (see above), not null, and `offset` comes from a
/// global of offsets: else the verifier refuses the program.
#[inline(always)]
pub unsafe fn load<T: Copy>(base: Kernel, offset: u32) -> T {
    // SAFETY: the verifier has checked the type and the offset; a fault reads as zero.
    unsafe { core::ptr::read_volatile(base.add(offset as usize).cast::<T>()) }
}

/// The address in a typed pointer, as a number.
///
/// Functions with a name of their own (`extern "C"`, `no_mangle`) are looked at by the verifier
/// once and by themselves, and not in each place that calls them: without that the larger programs
/// take minutes to load. The price is that they are given numbers only, or pointers to our structs.
#[inline(always)]
pub fn address(pointer: Kernel) -> u64 {
    let mut address = 0;
    // SAFETY: as many bytes, from a variable to another. A helper takes them, as the verifier would
    // see a pointer in what is moved by plain code.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut address).cast(),
            size_of::<u64>() as u32,
            (&raw const pointer).cast(),
        );
    }
    address
}

/// Loads the field of a task (or of what hangs on it) that `TASK` has the offset of.
macro_rules! field {
    ($base:expr, $field:ident) => {{
        let offset = $crate::btf::offset!($crate::btf::task(), $field);
        // SAFETY: `base` is a typed pointer, as all callers have them from a
        // tracepoint's arguments, and the offset is out of the global.
        unsafe { $crate::btf::load($base, offset) }
    }};
}
pub(crate) use field;
