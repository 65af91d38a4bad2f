//! Reading the kernel's structs.
//!
//! A typed pointer (an argument of a BTF tracepoint, or what was loaded through
//! one) can be read by plain loads: the verifier knows the struct, and the kernel
//! catches a fault. That costs an instruction where `bpf_probe_read_kernel` costs
//! a call. Where a field is, only the agent knows: the instructions here have the
//! field's number in the place of its offset (see `offsets` of the shared types).

use core::arch::asm;

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use bubble_common::kernel::offsets::{
    CAST_PLACE, LOAD_PLACE, MOST, TYPE_FILE, TYPE_NUMBER, VALUE_PLACE,
};

/// A typed pointer into the kernel: the verifier knows its type, Rust need not.
pub type Kernel = *const u8;

/// A field of a struct of the kernel, by number. Made by [`offset`].
#[derive(Clone, Copy)]
pub struct At<const N: u32>;

/// The number that the agent has put in the place of this one.
macro_rules! value {
    ($number:expr) => {{
        let value: u64;
        // SAFETY: it moves a number to a register.
        unsafe {
            asm!(
                "{} = {}", out(reg) value, const VALUE_PLACE + $number as i32,
                options(pure, nomem, nostack, preserves_flags)
            );
        }
        value as u32
    }};
}

/// What [`At`] is, whatever its number.
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
        assert!(N < MOST);
        N
    };
}

/// The field of one of the structs of `offsets!`.
macro_rules! offset {
    ($of:ty, $field:ident) => {
        $crate::btf::At::<{ <$of>::number(core::mem::offset_of!($of, $field)) }>
    };
}
pub(crate) use offset;

/// Loads the field `at` of the struct at `base`, of 1, 2, 4, 8 or 16 bytes.
///
/// # Safety
/// `base` is a typed pointer (see above), not null, and `T` is any bytes of its size:
/// else the verifier refuses the program.
#[inline(always)]
pub unsafe fn load<T: Copy, O: Offset>(base: Kernel, _: O) -> T {
    const { assert!(matches!(size_of::<T>(), 1 | 2 | 4 | 8 | 16)) };
    macro_rules! word {
        ($base:expr, $instruction:literal) => {{
            let word: u64;
            asm!(
                $instruction, lateout(reg) word, in(reg) $base, const LOAD_PLACE as u32 + O::NUMBER,
                options(pure, readonly, nostack, preserves_flags)
            );
            word
        }};
    }
    // SAFETY: the verifier has checked the type and the offset; a fault reads as zero. What is read
    // is at the beginning of the words, as this is little-endian.
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

/// Whether a pointer can be given a type: then it is read by plain loads.
#[inline(always)]
pub fn can_cast() -> bool {
    value!(TYPE_FILE) != 0
}

/// `pointer` as one to a `struct file`, whatever it is; where [`can_cast`] says so.
#[inline(always)]
pub fn as_file(pointer: Kernel) -> Kernel {
    cast(pointer, value!(TYPE_FILE))
}

/// What is in the kernel at this address; where [`can_cast`] says so.
#[inline(always)]
pub fn number_at(address: Kernel) -> u64 {
    let typed = cast(address, value!(TYPE_NUMBER));
    // SAFETY: a typed pointer now, to what begins with such a number.
    unsafe { typed.cast::<u64>().read_volatile() }
}

#[inline(always)]
fn cast(pointer: Kernel, kind: u32) -> Kernel {
    // SAFETY: the agent puts the number of the kernel's function there, `void
    // *bpf_rdonly_cast(const void *obj__ign, u32 btf_id__k)`: it gives the pointer back, and costs nothing.
    let function: unsafe extern "C" fn(Kernel, u32) -> Kernel =
        unsafe { core::mem::transmute(CAST_PLACE as usize) };
    // SAFETY: likewise; what it gives may only be read, and a fault reads as zero.
    unsafe { function(pointer, kind) }
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

/// Loads the field of a task, or of what hangs on it.
macro_rules! field {
    ($base:expr, $field:ident) => {{
        let at = $crate::btf::offset!(bubble_common::kernel::offsets::TaskOffsets, $field);
        // SAFETY: `base` is a typed pointer, as all callers have them from a tracepoint's arguments.
        unsafe { $crate::btf::load($base, at) }
    }};
}
pub(crate) use field;
