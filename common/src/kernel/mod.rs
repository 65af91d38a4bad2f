//! The plain structs that the eBPF programs and the agent share: keys and values
//! of the kernel's maps, records of its ring buffer, and the offsets that the
//! agent hands to the programs as globals.
//!
//! All are `repr(C)` without hidden padding, and their sizes are asserted at
//! compile time, because two different compilers build the two sides. One file
//! per concern, named like the files of both sides.

pub mod calls;
pub mod cgroup;
pub mod cpu;
pub mod cpu_state;
pub mod fields;
pub mod file;
pub mod key;
pub mod loss;
pub mod network;
pub mod offsets;
pub mod process;
pub mod record;
pub mod settings;
pub mod syscall;
pub mod task;
pub mod unseen;
pub mod wait;

/// A type without padding for which any bytes are a valid value: it may be read
/// from the kernel's bytes, and its own bytes may be hashed.
///
/// # Safety
/// `repr(C)`, made of integers and arrays of them, and no byte of it is padding.
pub unsafe trait Plain: Copy + 'static {
    /// Reads a value from the beginning of `bytes`; `None` if they are too few.
    fn read(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.get(..size_of::<Self>())?;
        // SAFETY: the slice is as long as the type, any bytes are a value of it
        // (the trait's contract), and the read need not be aligned.
        Some(unsafe { bytes.as_ptr().cast::<Self>().read_unaligned() })
    }

    /// The value's bytes.
    fn bytes(&self) -> &[u8] {
        // SAFETY: no byte of it is padding (the trait's contract), so all are initialised.
        unsafe { core::slice::from_raw_parts(core::ptr::from_ref(self).cast(), size_of::<Self>()) }
    }
}

// SAFETY: integers.
unsafe impl Plain for u32 {}
// SAFETY: integers.
unsafe impl Plain for u64 {}

/// Implements [`Plain`] for types and asserts their sizes.
macro_rules! plain {
    ($($name:ident is $size:literal bytes;)+) => { $(
        const _: () = assert!(size_of::<$name>() == $size);
        const _: () = assert!(align_of::<$name>() <= 8);
        // SAFETY: `repr(C)` of integers; the size above leaves no room for padding.
        unsafe impl $crate::kernel::Plain for $name {}
    )+ };
}
pub(crate) use plain;
