//! Reading kernel structs by plain loads.
//!
//! A typed pointer is an argument of a BTF tracepoint, or was loaded through such a pointer. The verifier
//! knows its struct, and the kernel catches faults, so a plain load may read it. That is one instruction,
//! where `bpf_probe_read_kernel` is a call. Only the agent knows the offsets of fields: the instructions
//! here hold the field's number as a placeholder (see `kernel::offsets` of the shared types).

use core::arch::asm;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use bubble_common::kernel::offsets::{
    CAST_PLACEHOLDER, LOAD_PLACEHOLDER, MAX_FIELDS, TYPE_DENTRY, TYPE_FILE, TYPE_NUMBER,
    VALUE_PLACEHOLDER,
};

/// A pointer into the kernel. The verifier may know its type; Rust does not.
pub type KernelPtr = *const u8;

/// A field of a kernel struct, by number. Made by [`offset`].
#[derive(Clone, Copy)]
pub struct At<const N: u32>;

/// The value that the agent has filled in for this number.
macro_rules! value {
    ($number:expr) => {{
        let value: u64;
        // SAFETY: moves a number to a register.
        unsafe {
            asm!(
                "{} = {}", out(reg) value, const VALUE_PLACEHOLDER + $number as i32,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        value as u32
    }};
}

/// An [`At`] of any number.
pub trait Offset: Copy {
    /// The number.
    const NUMBER: u32;

    /// Bytes from the beginning of the struct.
    #[inline(always)]
    fn bytes(self) -> u32 {
        value!(Self::NUMBER)
    }
}

impl<const N: u32> Offset for At<N> {
    const NUMBER: u32 = {
        assert!(N < MAX_FIELDS);
        N
    };
}

/// A field of one of the structs declared by `offsets!`.
macro_rules! offset {
    ($of:ty, $field:ident) => {
        $crate::btf::At::<{ <$of>::number(core::mem::offset_of!($of, $field)) }>
    };
}
pub(crate) use offset;

/// Loads the field `at` of the struct at `base`, of 1, 2, 4, 8 or 16 bytes.
///
/// # Safety
/// `base` is a typed pointer (see above) and not null, or the verifier rejects the program. Any bytes
/// are a valid `T`.
#[inline(always)]
pub unsafe fn load<T: Copy, O: Offset>(base: KernelPtr, _: O) -> T {
    const { assert!(matches!(size_of::<T>(), 1 | 2 | 4 | 8 | 16)) };
    macro_rules! word {
        ($base:expr, $instruction:literal) => {{
            let word: u64;
            asm!(
                $instruction, lateout(reg) word, in(reg) $base, const LOAD_PLACEHOLDER as u32 + O::NUMBER,
                options(pure, readonly, nostack, preserves_flags)
            );
            word
        }};
    }
    // SAFETY: the verifier has checked type and offset; a fault reads as zero. The value is at the
    // beginning of the words, as the target is little-endian.
    unsafe {
        let words: [u64; 2] = match size_of::<T>() {
            1 => [word!(base, "{} = *(u8 *)({} + {})"), 0],
            2 => [word!(base, "{} = *(u16 *)({} + {})"), 0],
            4 => [word!(base, "{} = *(u32 *)({} + {})"), 0],
            8 => [word!(base, "{} = *(u64 *)({} + {})"), 0],
            _ => [
                word!(base, "{} = *(u64 *)({} + {})"),
                word!(base.add(8), "{} = *(u64 *)({} + {})"),
            ],
        };
        core::mem::transmute_copy(&words)
    }
}

/// Whether a pointer can be given a type, and then be read by plain loads.
#[inline(always)]
pub fn can_cast() -> bool {
    value!(TYPE_FILE) != 0
}

/// Gives `pointer` the type `struct file`. Only if [`can_cast`].
#[inline(always)]
pub fn as_file(pointer: KernelPtr) -> KernelPtr {
    cast(pointer, value!(TYPE_FILE))
}

/// Gives `pointer` the type `struct dentry`. Only if [`can_cast`].
#[inline(always)]
pub fn as_dentry(pointer: KernelPtr) -> KernelPtr {
    cast(pointer, value!(TYPE_DENTRY))
}

/// The number at this kernel address. Only if [`can_cast`].
#[inline(always)]
pub fn number_at(address: KernelPtr) -> u64 {
    let typed = cast(address, value!(TYPE_NUMBER));
    // SAFETY: a typed pointer to a struct that begins with such a number.
    unsafe { typed.cast::<u64>().read_volatile() }
}

#[inline(always)]
fn cast(pointer: KernelPtr, kind: u32) -> KernelPtr {
    // SAFETY: the agent fills in the kernel function `void *bpf_rdonly_cast(const void *obj__ign, u32
    // btf_id__k)`. It returns its argument, and costs nothing.
    let function: unsafe extern "C" fn(KernelPtr, u32) -> KernelPtr =
        unsafe { core::mem::transmute(CAST_PLACEHOLDER as usize) };
    // SAFETY: likewise. The result may only be read, and a fault reads as zero.
    unsafe { function(pointer, kind) }
}

/// The address of a typed pointer, as a number.
///
/// It is needed for global functions (`extern "C"`, `no_mangle`). The verifier checks those once, and not
/// at each call; without them the larger programs take minutes to load. In return they take only numbers
/// and pointers to our structs as arguments.
#[inline(always)]
pub fn address(pointer: KernelPtr) -> u64 {
    let mut address = 0;
    // SAFETY: copies one variable to another of the same size. By a helper, because the verifier would
    // still see a pointer in what plain code moves.
    unsafe {
        bpf_probe_read_kernel(
            (&raw mut address).cast(),
            size_of::<u64>() as u32,
            (&raw const pointer).cast(),
        );
    }
    address
}

/// Loads a field of a task, or of a struct that a task points to.
macro_rules! field {
    ($base:expr, $field:ident) => {{
        let at = $crate::btf::offset!(bubble_common::kernel::task::TaskOffsets, $field);
        // SAFETY: `base` is a typed pointer: all callers have it from a tracepoint's arguments.
        unsafe { $crate::btf::load($base, at) }
    }};
}
pub(crate) use field;
