//! The ring buffer of rare events, in the order in which they happened.
//!
//! The agent reads it several times a second by itself. It is woken only when much is waiting, as a
//! wake-up costs more than a record.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::{bpf_ktime_get_boot_ns, bpf_ringbuf_output};
use aya_ebpf::macros::map;
use aya_ebpf::maps::RingBuf;
use bubble_common::kernel::Plain;
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::loss::Cause;
use bubble_common::kernel::record::{Header, Kind};

use crate::log::{self, Limit};
use crate::loss::lost;

/// Number of waiting bytes from which on each record wakes the agent.
const WAKE_UP_BYTES: u64 = 256 * 1024;

#[map]
static EVENTS: RingBuf = RingBuf::with_byte_size(4 * 1024 * 1024, 0);

/// The header of a record, with the current time.
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

/// Sends a record of fixed size.
#[inline(always)]
pub fn send<T: Plain>(record: &T) {
    // SAFETY: the length is that of the type.
    unsafe {
        send_bytes(
            core::ptr::from_ref(record).cast(),
            size_of::<T>() as u64,
            false,
        )
    }
}

/// Sends a record of fixed size, and wakes the agent.
#[inline(always)]
pub fn send_urgently<T: Plain>(record: &T) {
    // SAFETY: the length is that of the type.
    unsafe {
        send_bytes(
            core::ptr::from_ref(record).cast(),
            size_of::<T>() as u64,
            true,
        )
    }
}

/// Sends `length` bytes, and wakes the agent if `urgent`. The verifier must be able to bound `length`.
///
/// # Safety
/// `length` bytes can be read at `bytes`.
#[inline(always)]
pub unsafe fn send_bytes(bytes: *const u8, length: u64, urgent: bool) {
    let flags = if urgent || EVENTS.query(u64::from(BPF_RB_AVAIL_DATA)) > WAKE_UP_BYTES {
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
        log::limit(Limit::EVENTS, length);
    }
}
