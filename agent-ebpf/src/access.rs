//! Reading fields of kernel structs, in either of two ways.
//!
//! | way | how | when |
//! |---|---|---|
//! | [`Typed`] | a plain load | the verifier knows the type of the pointer |
//! | [`Untyped`] | the helper `bpf_probe_read_kernel` | it does not |

use aya_ebpf::helpers::generated::bpf_probe_read_kernel;

use crate::btf::{self, KernelPtr, Offset, load};

/// How a field of a kernel struct is read.
pub trait Access {
    /// Whether a pointer that was read as a number can be followed too.
    const CAN_CONTINUE: bool;

    /// Reads the field `at` of the struct at `base`; zero if it cannot be read.
    fn read<T: Copy>(base: KernelPtr, at: impl Offset) -> T;

    /// Reads two adjacent fields, the first of which is `at`, with as few reads as possible.
    fn pair<T: Copy>(base: KernelPtr, at: impl Offset) -> [T; 2];

    /// The pointer as a number: see [`btf::address`].
    fn address(pointer: KernelPtr) -> u64;
}

/// Access through a pointer that has a type for the verifier.
pub struct Typed;
/// Access through any other pointer.
pub struct Untyped;

impl Access for Typed {
    const CAN_CONTINUE: bool = false;

    #[inline(always)]
    fn read<T: Copy>(base: KernelPtr, at: impl Offset) -> T {
        // SAFETY: the pointer is typed, which is all that `load` needs.
        unsafe { load(base, at) }
    }

    #[inline(always)]
    fn pair<T: Copy>(base: KernelPtr, at: impl Offset) -> [T; 2] {
        // The verifier allows a load to cover one field only.
        [
            Self::read(base, at),
            Self::read(base.wrapping_add(size_of::<T>()), at),
        ]
    }

    #[inline(always)]
    fn address(pointer: KernelPtr) -> u64 {
        btf::address(pointer)
    }
}

impl Access for Untyped {
    const CAN_CONTINUE: bool = true;

    #[inline(always)]
    fn read<T: Copy>(base: KernelPtr, at: impl Offset) -> T {
        Self::at(base.wrapping_add(at.bytes() as usize))
    }

    #[inline(always)]
    fn pair<T: Copy>(base: KernelPtr, at: impl Offset) -> [T; 2] {
        Self::read(base, at)
    }

    #[inline(always)]
    fn address(pointer: KernelPtr) -> u64 {
        pointer as u64
    }
}

impl Untyped {
    /// Reads the value at a kernel address; zero if it cannot be read.
    #[inline(always)]
    pub fn at<T: Copy>(address: KernelPtr) -> T {
        let mut value = core::mem::MaybeUninit::<T>::uninit();
        // SAFETY: the helper takes any address and writes zeros where it cannot read. Only integers and
        // addresses are read, for which zero is valid. The result is ignored, because each check would
        // double the paths that the verifier has to follow.
        unsafe {
            bpf_probe_read_kernel(
                value.as_mut_ptr().cast(),
                size_of::<T>() as u32,
                address.cast(),
            );
            value.assume_init()
        }
    }
}
