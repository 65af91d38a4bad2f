//! The last-used cache of each core: a few sums that were added to lately, in front of the maps.
//!
//! # Levels of counting
//!
//! A program adds to the first level that holds the sum. Each level is slower than the one before.
//!
//! | level | holds the sum of | file | moves on when |
//! |---|---|---|---|
//! | 1. line | this task and this file, by core and direction | `line`, `file_line` | flushed each second, or given to another file |
//! | 2. last-used cache | 16 files, 16 connections by core, direction and generation; 8 processes by core and generation | here | an entry is replaced, or the agent reads it |
//! | 3. map | every (process, file), (process, connection), (process, core), by generation | `file_sum`, `network_sum`, `cpu`, `wait_sum` | the agent reads it |
//! | 4. map of others | every process, by generation: what found level 3 full | `file_sum`, `network_sum` | the agent reads it |
//! | 5. loss | what found level 4 full too | `loss` | the agent reads it |
//!
//! Only files opened through the kernel's own functions have level 1. CPU time and waits have no level 4.
//!
//! # Protocol of an entry
//!
//! The generation of an entry is its state:
//!
//! | generation | the entry is |
//! |---|---|
//! | the current one | valid |
//! | an older one | empty: the agent has read it |
//! | [`BUSY`] | being changed by a program that was preempted: hands off |
//!
//! Programs of one core can preempt each other, so an entry is marked busy while it is changed. No other
//! core touches it, so no lock is needed. Entries for CPU time need no mark: interrupts are off, or
//! `Running::busy` is set.

use core::ptr::{read_volatile, write_volatile};

use bubble_common::kernel::cpu_state::{BUSY, ENTRIES, index, side};
use bubble_common::kernel::file::FileLast;
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::network::NetworkLast;

use crate::bound::{barrier, masked};

/// An entry of the cache.
pub trait Entry {
    /// Where its generation is.
    fn generation(entry: *mut Self) -> *mut u64;
}

impl Entry for FileLast {
    #[inline(always)]
    fn generation(entry: *mut Self) -> *mut u64 {
        entry.cast()
    }
}

impl Entry for NetworkLast {
    #[inline(always)]
    fn generation(entry: *mut Self) -> *mut u64 {
        entry.cast()
    }
}

const _: () = assert!(core::mem::offset_of!(FileLast, stamp) == 0);
const _: () = assert!(core::mem::offset_of!(NetworkLast, generation) == 0);

/// The entry for a hash.
///
/// # Safety
/// `entries` is part of this core's state.
#[inline(always)]
pub unsafe fn entry<E: Entry>(
    entries: *mut [E; ENTRIES],
    generation: u64,
    direction: u32,
    hash: u64,
) -> *mut E {
    let index = index(side(generation, direction), hash) as u64;
    let index = masked::<{ ENTRIES as i32 - 1 }>(index);
    // SAFETY: below the length.
    unsafe { entries.cast::<E>().add(index) }
}

/// Marks the entry busy if it is valid; false if it is not. [`release`] follows.
///
/// # Safety
/// `entry` is part of this core's state.
#[inline(always)]
pub unsafe fn acquire_valid<E: Entry>(entry: *mut E, generation: u64) -> bool {
    let mark = E::generation(entry);
    // SAFETY: the caller's promise.
    unsafe {
        if read_volatile(mark) != generation {
            return false;
        }
        write_volatile(mark, BUSY);
    }
    barrier();
    true
}

/// Marks the entry busy, and returns the generation that it had; `None` if it is busy already.
/// [`release`] follows.
///
/// # Safety
/// `entry` is part of this core's state.
#[inline(always)]
pub unsafe fn acquire<E: Entry>(entry: *mut E) -> Option<u64> {
    let mark = E::generation(entry);
    // SAFETY: the caller's promise.
    let old = unsafe { read_volatile(mark) };
    if old == BUSY {
        return None;
    }
    // SAFETY: likewise.
    unsafe { write_volatile(mark, BUSY) };
    barrier();
    Some(old)
}

/// Makes an entry valid that this program has acquired.
///
/// # Safety
/// `entry` is part of this core's state.
#[inline(always)]
pub unsafe fn release<E: Entry>(entry: *mut E, generation: u64) {
    barrier();
    // SAFETY: the caller's promise.
    unsafe { write_volatile(E::generation(entry), generation) };
}

/// Whether two keys are of the same process. Compares whole words, as it runs for every operation.
#[inline(always)]
pub fn is_same(one: &ProcessKey, other: &ProcessKey) -> bool {
    let last_word = |key: &ProcessKey| {
        // SAFETY: `pid` and `exec` fill a word, which is aligned as the key is.
        unsafe { (&raw const key.pid).cast::<u64>().read() }
    };
    one.start == other.start && last_word(one) == last_word(other) && one.cgroup == other.cgroup
}
