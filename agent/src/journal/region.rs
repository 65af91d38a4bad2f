//! Memory that outlives the agent: a mapped array of the kernel, which a pin keeps alive.

use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::ptr::NonNull;
use std::sync::atomic::AtomicU64;

/// Numbers at the beginning of a region.
pub(super) const WORDS: usize = 512;
const HEADER: usize = WORDS * size_of::<u64>();

/// Shared memory: some numbers, and bytes behind them.
#[derive(Debug)]
pub(super) struct Region {
    base: NonNull<u8>,
    bytes: usize,
}

// SAFETY: the numbers are atomic, and each part of the bytes has one owner: a `Log`.
unsafe impl Send for Region {}
// SAFETY: likewise.
unsafe impl Sync for Region {}

impl Region {
    /// Size of a region with `bytes` behind its numbers.
    pub(super) const fn size(bytes: usize) -> usize {
        HEADER + bytes
    }

    /// Maps `bytes` bytes of a descriptor; without one, of memory that ends with the process.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub(super) fn map(descriptor: Option<BorrowedFd<'_>>, bytes: usize) -> io::Result<Self> {
        let sharing = match descriptor {
            Some(_) => libc::MAP_SHARED,
            None => libc::MAP_PRIVATE | libc::MAP_ANONYMOUS,
        };
        // SAFETY: a new mapping at an address that the kernel chooses.
        let base = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                bytes,
                libc::PROT_READ | libc::PROT_WRITE,
                sharing,
                descriptor.map_or(-1, |descriptor| descriptor.as_raw_fd()),
                0,
            )
        };
        if base == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let base = NonNull::new(base.cast()).ok_or_else(io::Error::last_os_error)?;
        Ok(Self { base, bytes })
    }

    /// The number at `index`.
    pub(super) fn word(&self, index: usize) -> &AtomicU64 {
        assert!(index < WORDS, "a region has {WORDS} numbers");
        // SAFETY: within the mapping, aligned, and only ever accessed as an atomic.
        unsafe { self.base.cast::<AtomicU64>().add(index).as_ref() }
    }

    /// Copies `from` to the position `at` behind the numbers. The owner of that part calls it.
    pub(super) fn write(&self, at: usize, from: &[u8]) {
        let end = at.checked_add(from.len());
        assert!(
            end.is_some_and(|end| end <= self.bytes - HEADER),
            "a write beyond the end of a region"
        );
        // SAFETY: within the mapping, as checked; the part has one owner, so nothing else accesses it.
        unsafe {
            let to = self.base.add(HEADER + at).as_ptr();
            std::ptr::copy_nonoverlapping(from.as_ptr(), to, from.len());
        }
    }

    /// A copy of `length` bytes at the position `at` behind the numbers. The owner of that part calls
    /// it.
    pub(super) fn read(&self, at: usize, length: usize) -> Vec<u8> {
        let end = at.checked_add(length);
        assert!(
            end.is_some_and(|end| end <= self.bytes - HEADER),
            "a read beyond the end of a region"
        );
        let mut copy = vec![0; length];
        // SAFETY: as in `write`.
        unsafe {
            let from = self.base.add(HEADER + at).as_ptr();
            std::ptr::copy_nonoverlapping(from, copy.as_mut_ptr(), length);
        }
        copy
    }
}

impl Drop for Region {
    fn drop(&mut self) {
        // SAFETY: the mapping that `map` made; no reference to it outlives `self`. A failure leaves it.
        unsafe { libc::munmap(self.base.as_ptr().cast(), self.bytes) };
    }
}
