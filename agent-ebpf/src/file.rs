//! Files: bytes, operations and opens by process and file.
//!
//! The hooks (`file_vfs`, `syscall`, `file_uring`) say which file and how much; here it is added up.
//! What one process does to one file again and again is added to the last-used cache first, because the
//! map costs more than all the rest (see `last_used`).
//!
//! A file is identified by its path, which each open computes anew (`file_chain`). Until the next epoch
//! (`generation`), its mount, its directory entry and the hash of its name stand for that path. Sockets
//! never come here, so no byte counts twice.
//!
//! Bytes that move through a descriptor opened before a rename count under the former path until the
//! next epoch or second, and then under the new one.
//!
//! No hook sees what is read or written through memory mappings.

use bubble_common::kernel::cpu_state::{CpuState, generation_of};
use bubble_common::kernel::file::{FileKey, FileLast, FileOffsets, UNKNOWN};
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::loss::Cause;

use crate::access::{Access, Typed, Untyped};
use crate::btf::{KernelPtr, as_file, can_cast, offset};
use crate::cpu_state::{counted, counted_process};
use crate::file_chain::{Location, chain};
use crate::file_line::{self, first_half};
use crate::file_path::{FileIdentity, file_number, identity};
use crate::file_sum::{self, FileCounts};
use crate::generation::{self, EPOCH};
use crate::last_used::{self, is_same};
use crate::log::{self, Limit};
use crate::loss::lost;
use crate::sum::{IN, OUT};
use crate::task;

/// `__O_TMPFILE` of `asm-generic/fcntl.h`: the file has no name, but a number that is no part of its hash.
const TEMPORARY: u32 = 0o20_000_000;

/// Adds to the last-used cache; false if the file, which is at `at`, is not in it. `path` is the hash of
/// the path, if the file is opened now. An open file had its path compared then: see `generation`.
///
/// # Safety
/// `state` is this core's.
#[inline(always)]
pub unsafe fn add_to_last_used<A: Access>(
    state: *mut CpuState,
    file: KernelPtr,
    at: &Location,
    path: Option<u64>,
    counts: &FileCounts,
) -> bool {
    let stamp = generation::stamp();
    // SAFETY: the caller's promise; the mark keeps off other programs.
    unsafe {
        let last: *mut FileLast = last_used::entry(
            &raw mut (*state).files,
            stamp,
            counts.direction,
            at.name.into(),
        );
        if !last_used::acquire_valid(last, stamp) {
            return false;
        }
        let matches = (*last).dentry == at.dentry as u64
            && (*last).mount == at.mount as u64
            && first_half(&raw const (*last).name) == at.name
            && is_same(&(*last).key.process, &(*state).running.key)
            && match path {
                Some(path) => (*last).check == path,
                None => {
                    at.name != 0 || {
                        let operations: KernelPtr =
                            A::read(file, offset!(FileOffsets, file_operations));
                        (*last).check == operations as u64
                    }
                }
            };
        if matches {
            (*last).bytes += counts.bytes;
            (*last).ops += counts.ops;
            (*last).opens += counts.opens;
            if path.is_none() {
                file_line::offer(last, stamp, counts.direction);
            }
        }
        last_used::release(last, stamp);
        matches
    }
}

/// The number of `file` if it is in the last-used cache, whatever was done to it.
///
/// # Safety
/// `state` is this core's, and nothing interrupts.
#[inline(always)]
unsafe fn number_in_cache<A: Access>(state: *mut CpuState, file: KernelPtr) -> Option<u64> {
    let at = Location::of::<A>(file);
    if at.name == 0 {
        return None;
    }
    let stamp = generation::stamp();
    for direction in [IN, OUT] {
        // SAFETY: the caller's promise. An entry that a preempted program changes has another stamp.
        unsafe {
            let last: *mut FileLast =
                last_used::entry(&raw mut (*state).files, stamp, direction, at.name.into());
            if core::ptr::read_volatile(&raw const (*last).stamp) == stamp
                && (*last).dentry == at.dentry as u64
                && (*last).mount == at.mount as u64
                && first_half(&raw const (*last).name) == at.name
                && is_same(&(*last).key.process, &(*state).running.key)
            {
                return Some((*last).key.file);
            }
        }
    }
    None
}

/// The number of `file`, which is not a socket, as the process that runs here sees it.
///
/// # Safety
/// `state` is this core's, and nothing interrupts.
#[inline(always)]
pub unsafe fn number_of(state: *mut CpuState, file: KernelPtr) -> u64 {
    /// # Safety
    /// That of `number_of`.
    #[inline(always)]
    unsafe fn number<A: Access>(state: *mut CpuState, file: KernelPtr) -> u64 {
        // SAFETY: the caller's promise.
        match unsafe { number_in_cache::<A>(state, file) } {
            Some(number) => number,
            None => file_number(&mut identity::<A>(file)),
        }
    }
    // SAFETY: the caller's promise.
    unsafe {
        if can_cast() {
            number::<Typed>(state, as_file(file))
        } else {
            number::<Untyped>(state, file)
        }
    }
}

/// Counts an open of `file` by the process that runs on this core.
#[inline(always)]
pub fn opened<A: Access>(state: *mut CpuState, file: KernelPtr) {
    let counts = FileCounts {
        direction: IN,
        bytes: 0,
        ops: 0,
        opens: 1,
    };
    let at = Location::of::<A>(file);
    let flags: u32 = A::read(file, offset!(FileOffsets, file_flags));
    let path = if flags & TEMPORARY == 0 {
        chain::<A>(task::current(), at)
    } else {
        0
    };
    // SAFETY: the callers have it from `counted`.
    if path == 0 || !unsafe { add_to_last_used::<A>(state, file, &at, Some(path), &counts) } {
        file_add_uncached(A::address(file), IN, 0, 1);
    }
}

/// Like [`opened`], through a pointer without a type.
#[inline(always)]
pub fn opened_by_any(state: *mut CpuState, file: KernelPtr) {
    if can_cast() {
        opened::<Typed>(state, as_file(file));
    } else {
        opened::<Untyped>(state, file);
    }
}

/// Counts bytes of a file whose descriptor is already closed.
#[inline(always)]
pub fn moved_unknown(direction: u32, bytes: u64) {
    file_unknown(direction, bytes, 1, 0);
}

/// Counts an open of a file whose descriptor is already closed.
#[inline(always)]
pub fn opened_unknown() {
    // Its directory entry may have been another file's.
    generation::begin_epoch();
    file_unknown(IN, 0, 0, 1);
}

/// Counts what was done to a file whose descriptor is already closed.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn file_unknown(direction: u32, bytes: u64, ops: u64, opens: u64) -> u32 {
    if let Some(process) = counted_process() {
        let key = FileKey {
            process: *process,
            file: UNKNOWN,
        };
        let counts = FileCounts {
            direction,
            bytes,
            ops,
            opens,
        };
        file_sum::add(generation::current(), &key, &counts);
        lost(Cause::PATH, bytes);
        log::limit(Limit::DESCRIPTOR, bytes);
    }
    0
}

/// Counts bytes that `process`, which does not run here, moved between itself and `file`.
///
/// A function of its own, as older kernels have little stack.
#[inline(never)]
pub fn moved_elsewhere(process: &ProcessKey, file: KernelPtr, direction: u32, bytes: u64) {
    let key = FileKey {
        process: *process,
        file: file_number(&mut identity::<Untyped>(file)),
    };
    let counts = FileCounts::moved(direction, bytes);
    file_sum::add(generation::current(), &key, &counts);
}

/// Counts a transfer to or from a file that is not in the last-used cache, or an open of it: determines
/// its number, and enters it into the cache. `opens` is 1 or 0.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn file_add_uncached(file: u64, direction: u32, bytes: u64, opens: u64) -> u32 {
    let Some(state) = counted() else {
        return 0;
    };
    let file = file as KernelPtr;
    // Before the path is read: in a later epoch it may be another.
    let stamp = generation::stamp();
    let mut identity = if can_cast() {
        identity::<Typed>(as_file(file))
    } else {
        identity::<Untyped>(file)
    };
    let number = file_number(&mut identity);
    // SAFETY: this core's state.
    unsafe {
        let counts = FileCounts {
            direction,
            bytes,
            ops: 1 - opens,
            opens,
        };
        remember(state, stamp, number, &identity, &counts);
    }
    0
}

/// Adds to the file's entry of the last-used cache, which may replace another file's.
///
/// # Safety
/// `state` is this core's.
#[inline(always)]
unsafe fn remember(
    state: *mut CpuState,
    stamp: u64,
    number: u64,
    identity: &FileIdentity,
    counts: &FileCounts,
) {
    let generation = generation_of(stamp);
    // SAFETY: the caller's promise; the mark keeps off other programs.
    unsafe {
        let last: *mut FileLast = last_used::entry(
            &raw mut (*state).files,
            stamp,
            counts.direction,
            identity.name,
        );
        let process = &raw const (*state).running.key;
        let acquired = if identity.is_elusive() {
            None
        } else {
            last_used::acquire(last)
        };
        let Some(old) = acquired else {
            let key = FileKey {
                process: *process,
                file: number,
            };
            file_sum::add(generation, &key, counts);
            return;
        };
        let is_current = generation_of(old) == generation;
        if is_current && (*last).key.file == number && is_same(&(*last).key.process, &*process) {
            (*last).bytes += counts.bytes;
            (*last).ops += counts.ops;
            (*last).opens += counts.opens;
        } else {
            if is_current {
                let sum = FileCounts {
                    direction: counts.direction,
                    bytes: (*last).bytes,
                    ops: (*last).ops,
                    opens: (*last).opens,
                };
                file_sum::add(generation, &(*last).key, &sum);
            }
            (*last).key.process = *process;
            (*last).key.file = number;
            (*last).bytes = counts.bytes;
            (*last).ops = counts.ops;
            (*last).opens = counts.opens;
        }
        (*last).mount = identity.mount;
        (*last).dentry = identity.dentry;
        (*last).name = identity.name;
        (*last).check = identity.check;
        // If others have begun epochs too, the entry is of an older one.
        let begun = u64::from(identity.has_begun) * EPOCH;
        last_used::release(last, stamp + begun);
    }
}
