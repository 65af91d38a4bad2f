//! Numbers of paths and of socket names. A text is sent to the agent once, when its number is new.
//!
//! The number is a hash of the text or of what identifies the file. `file_path` and `network_name` make
//! the number and the text; here is what they share: which numbers are known, the ring buffer, and the
//! scratch buffer in which a text is put together.

use aya_ebpf::bindings::{BPF_RB_AVAIL_DATA, BPF_RB_FORCE_WAKEUP, BPF_RB_NO_WAKEUP};
use aya_ebpf::helpers::bpf_ringbuf_output;
use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, PerCpuArray, RingBuf};
use bubble_common::kernel::file::{FIRST_PATH, FileRecord, OTHER, PATH_MAX};
use bubble_common::kernel::loss::Cause;

use crate::cpu_state::cpu_state;
use crate::generation;
use crate::log::{self, Limit};
use crate::loss::lost;
use crate::sum::{atomic_add, sum};

/// Numbers whose text was sent. The agent removes those that it forgets.
#[map]
static FILE_SEEN: HashMap<u64, u32> = HashMap::with_max_entries(16_384, 0);

/// Number of new texts of each cgroup in this generation.
#[map]
static FILE_NEW_0: HashMap<u64, u64> = HashMap::with_max_entries(16_384, 0);
#[map]
static FILE_NEW_1: HashMap<u64, u64> = HashMap::with_max_entries(16_384, 0);

/// Upper bound of a cgroup's new texts per second. A cgroup that opens files by the ten thousand leaves
/// space in [`FILE_SEEN`] for others. Far more than a segment holds.
const MAX_NEW_PER_SECOND: u64 = 4_096;

/// Texts have their own ring buffer: many new ones must not crowd out the exits of processes.
#[map]
static FILE_PATHS: RingBuf = RingBuf::with_byte_size(4 * 1024 * 1024, 0);

/// Number of waiting bytes from which on each record wakes the agent.
const WAKE_UP_BYTES: u64 = 1024 * 1024;

/// A text in the making. The record follows the text (see [`FileRecord`]). The padding is for the
/// verifier, which cannot know that a text that begins late is short.
#[repr(C)]
pub struct Scratch {
    /// The text, at the end of this array.
    pub text: [u8; PATH_MAX],
    /// The record.
    pub record: FileRecord,
    padding: [u8; PATH_MAX],
    busy: u64,
}

#[map]
static FILE_PATH: PerCpuArray<Scratch> = PerCpuArray::with_max_entries(1, 0);

/// Calls `fill` with this core's scratch buffer; `None` if a program that was preempted uses it.
#[inline(always)]
pub fn with_scratch<T>(fill: impl FnOnce(*mut Scratch) -> T) -> Option<T> {
    let scratch = FILE_PATH.get_ptr_mut(0)?;
    // SAFETY: this core's value of the map; a program that preempts this one sees `busy`.
    unsafe {
        if (*scratch).busy != 0 {
            return None;
        }
        core::ptr::write_volatile(&raw mut (*scratch).busy, 1);
        let result = fill(scratch);
        core::ptr::write_volatile(&raw mut (*scratch).busy, 0);
        Some(result)
    }
}

/// Whether the agent knows the text of `number`, or needs none.
#[inline(always)]
pub fn is_known(number: u64) -> bool {
    number < FIRST_PATH || FILE_SEEN.get_ptr(&number).is_some()
}

/// Makes sure that the agent knows `number`: calls `send_text` if it is new. Returns the number, or
/// [`OTHER`] if there is no room for it.
#[inline(always)]
pub fn register(number: u64, send_text: impl FnOnce() -> bool) -> u64 {
    if FILE_SEEN.get_ptr(&number).is_some() {
        return number;
    }
    if !may_add() {
        return OTHER;
    }
    if FILE_SEEN.insert(&number, &1, 0).is_err() {
        log::limit(Limit::PATH_MAP, number);
        return OTHER;
    }
    if !send_text() {
        // The next use tries again.
        let _ = FILE_SEEN.remove(&number);
        lost(Cause::PATH, 0);
        log::limit(Limit::PATH_SEND, number);
    }
    number
}

/// Counts one more new text of the cgroup that runs here; false if it has had too many.
#[inline(always)]
fn may_add() -> bool {
    let Some(state) = cpu_state() else {
        return false;
    };
    // SAFETY: this core's value of the map.
    let cgroup = unsafe { (*state).running.key.cgroup };
    // If this map is full, `FILE_SEEN` is the only bound.
    let Some(count) = sum!(FILE_NEW_0, FILE_NEW_1, generation::current(), &cgroup, &0) else {
        return true;
    };
    // SAFETY: a pointer to the map's value, to which other cores add as well.
    let new = unsafe {
        atomic_add(count, 1);
        core::ptr::read_volatile(count)
    };
    let may_add = new <= MAX_NEW_PER_SECOND;
    if !may_add {
        log::limit(Limit::NEW_PATHS, cgroup);
    }
    may_add
}

/// Mixes a number into a hash: a step of MurmurHash64A.
#[inline(always)]
pub fn mix(hash: u64, number: u64) -> u64 {
    const M: u64 = 0xc6a4_a793_5bd1_e995;
    let mut number = number.wrapping_mul(M);
    number ^= number >> 47;
    let hash = (hash ^ number.wrapping_mul(M)).wrapping_mul(M);
    hash ^ (hash >> 29)
}

/// Makes a number of a path of a hash: the smallest ones have another meaning.
#[inline(always)]
pub fn from_hash(hash: u64) -> u64 {
    if hash < FIRST_PATH {
        hash + FIRST_PATH
    } else {
        hash
    }
}

/// Sends the text from `start` on, and the record behind it; false if the ring buffer is full.
///
/// # Safety
/// `scratch` is this core's value of the map.
#[inline(always)]
pub unsafe fn send(scratch: *mut Scratch, start: usize) -> bool {
    let flags = if FILE_PATHS.query(u64::from(BPF_RB_AVAIL_DATA)) > WAKE_UP_BYTES {
        BPF_RB_FORCE_WAKEUP
    } else {
        BPF_RB_NO_WAKEUP
    };
    let start = start & (PATH_MAX - 1);
    // SAFETY: the map is a ring buffer, and the bytes are those of text and record.
    let sent = unsafe {
        bpf_ringbuf_output(
            (&raw const FILE_PATHS).cast_mut().cast(),
            scratch.cast::<u8>().add(start).cast(),
            (PATH_MAX - start + size_of::<FileRecord>()) as u64,
            u64::from(flags),
        )
    };
    sent == 0
}
