//! The ring buffer, through which rare things are told in the order in which
//! they happened.
//!
//! The agent looks into it by itself several times a second; it is woken only
//! when much is waiting, as a wake-up costs more than the record.

use aya_ebpf::{
    bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP},
    helpers::{bpf_ktime_get_boot_ns, bpf_ringbuf_output},
    macros::map,
    maps::RingBuf,
};
use bubble_common::kernel::{
    Plain,
    loss::Cause,
    process::ProcessKey,
    record::{Header, Kind},
};

use crate::loss::lost;

/// Bytes waiting from which on the agent is woken.
const WAKE_AT: u64 = 256 * 1024;

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(4 * 1024 * 1024, 0);

/// The head of a record that is written now.
#[inline(always)]
pub fn header(kind: Kind, process: ProcessKey) -> Header {
    Header {
        kind,
        unused: 0,
        // SAFETY: a helper without arguments.
        at: unsafe { bpf_ktime_get_boot_ns() },
        process,
    }
}

/// Sends a record of one size.
#[inline(always)]
pub fn send<T: Plain>(record: &T) {
    // SAFETY: as many bytes as the type has.
    unsafe {
        send_bytes(
            core::ptr::from_ref(record).cast(),
            size_of::<T>() as u64,
            false,
        )
    }
}

/// Sends a record of one size, and wakes the agent.
#[inline(always)]
pub fn send_urgently<T: Plain>(record: &T) {
    // SAFETY: as many bytes as the type has.
    unsafe {
        send_bytes(
            core::ptr::from_ref(record).cast(),
            size_of::<T>() as u64,
            true,
        )
    }
}

/// Sends `length` bytes, which the verifier must be able to bound; wakes the agent when `urgent`.
///
/// # Safety
/// So many bytes can be read there.
#[inline(always)]
pub unsafe fn send_bytes(bytes: *const u8, length: u64, urgent: bool) {
    let flags = if urgent || EVENTS.query(u64::from(BPF_RB_AVAIL_DATA)) > WAKE_AT {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    };
    // SAFETY: the map is a ring buffer, and the caller vouches for the bytes.
    let result = unsafe {
        bpf_ringbuf_output(
            (&raw const EVENTS).cast_mut().cast(),
            bytes.cast_mut().cast(),
            length,
            u64::from(flags),
        )
    };
    if result < 0 {
        lost(Cause::RING, length);
    }
}
