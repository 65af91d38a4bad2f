//! Bytes that went through an open file. The hooks come here; it decides whether the file is a socket,
//! and calls the one concern that counts it: `file` or `network_exit`.
//!
//! A file in the last-used cache is not a socket, so that the question arises only when it is not there.

use bubble_common::kernel::cpu_state::CpuState;
use bubble_common::kernel::key::ProcessKey;

use crate::access::{Access, Typed, Untyped};
use crate::btf::{KernelPtr, as_file, can_cast};
use crate::cpu_state::{counted_process, is_ignored};
use crate::descriptor::is_socket;
use crate::file::{add_to_last_used, file_add_uncached, moved_elsewhere};
use crate::file_chain::Location;
use crate::file_sum::FileCounts;
use crate::sum::IN;
use crate::{network_accept, network_exit};

/// Counts `bytes` that the process on this core moved between itself and `file`.
#[inline(always)]
pub fn moved<A: Access>(state: *mut CpuState, file: KernelPtr, direction: u32, bytes: u64) {
    let at = Location::of::<A>(file);
    let counts = FileCounts::moved(direction, bytes);
    // SAFETY: the callers have it from `counted`.
    if !unsafe { add_to_last_used::<A>(state, file, &at, None, &counts) } {
        transfer_uncached(A::address(file), direction, bytes);
    }
}

/// Like [`moved`], through a pointer without a type.
#[inline(always)]
pub fn moved_by_any(state: *mut CpuState, file: KernelPtr, direction: u32, bytes: u64) {
    if can_cast() {
        moved::<Typed>(state, as_file(file), direction, bytes);
    } else {
        moved::<Untyped>(state, file, direction, bytes);
    }
}

/// Like [`moved_by_any`], for rare calls: does not look into the cache first, which makes it short.
#[inline(always)]
pub fn moved_rarely(file: KernelPtr, direction: u32, bytes: u64) {
    transfer_uncached(file as u64, direction, bytes);
}

/// Counts bytes of a file that is not in the last-used cache, or of a socket.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn transfer_uncached(file: u64, direction: u32, bytes: u64) -> u32 {
    if !is_socket(file as KernelPtr) {
        return file_add_uncached(file, direction, bytes, 0);
    }
    if let Some(process) = counted_process() {
        network_exit::count(file, process, direction, bytes);
    }
    0
}

/// Counts bytes that `process`, which does not run here, moved between itself and `file`.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn transfer_elsewhere(
    process: *const ProcessKey,
    file: u64,
    direction: u32,
    bytes: u64,
) -> u32 {
    if process.is_null() {
        return 0;
    }
    // SAFETY: the callers pass a reference.
    let process = unsafe { *process };
    if is_ignored(process.cgroup) {
        return 0;
    }
    if is_socket(file as KernelPtr) {
        network_exit::count(file, &process, direction, bytes);
    } else {
        moved_elsewhere(&process, file as KernelPtr, direction, bytes);
    }
    0
}

/// Counts bytes that were spliced out of a file. A stream socket passes its pages to the pipe, and not
/// through a message, so the hooks of sockets do not see them.
#[inline(always)]
pub fn spliced(file: KernelPtr, bytes: u64) {
    if is_socket(file) {
        network_accept::network_spliced(file as u64, bytes);
    } else {
        moved_rarely(file, IN, bytes);
    }
}
