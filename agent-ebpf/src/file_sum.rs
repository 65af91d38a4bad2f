//! The maps of file sums: levels 3 and 4 of counting (see `last_used`).

use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use bubble_common::kernel::cpu_state::side;
use bubble_common::kernel::file::{FileKey, FileSum, OTHER};
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::loss::Cause;

use crate::log::{self, Limit};
use crate::loss::lost;
use crate::sum::{IN, atomic_add, sum};

#[map]
static FILES_0: HashMap<FileKey, FileSum> = HashMap::with_max_entries(32_768, 0);
#[map]
static FILES_1: HashMap<FileKey, FileSum> = HashMap::with_max_entries(32_768, 0);

/// By process, what found the maps above full. A process that opens a million files stays exact.
#[map]
static FILE_OTHERS_0: HashMap<ProcessKey, FileSum> = HashMap::with_max_entries(16_384, 0);
#[map]
static FILE_OTHERS_1: HashMap<ProcessKey, FileSum> = HashMap::with_max_entries(16_384, 0);

/// What a process did with a file.
#[derive(Clone, Copy)]
pub struct FileCounts {
    /// Into the process or out of it.
    pub direction: u32,
    /// Bytes moved.
    pub bytes: u64,
    /// Calls that moved them.
    pub ops: u64,
    /// Number of opens.
    pub opens: u64,
}

impl FileCounts {
    /// One call that moved bytes.
    #[inline(always)]
    pub const fn moved(direction: u32, bytes: u64) -> Self {
        Self {
            direction,
            bytes,
            ops: 1,
            opens: 0,
        }
    }
}

/// Adds to the maps of the generation.
#[inline(always)]
pub fn add(generation: u64, key: &FileKey, counts: &FileCounts) {
    let side = side(generation, counts.direction);
    file_add(key, side, counts.bytes, counts.ops, counts.opens);
}

/// Adds pages that page faults brought in.
#[inline(always)]
pub fn add_pages(generation: u64, key: &FileKey, pages: u64) {
    if let Some(sum) = sum_of(generation, key, 0) {
        // SAFETY: a pointer to the map's value, to which other cores add as well.
        unsafe { atomic_add(&raw mut (*sum).mapped_pages, pages) };
    }
}

/// Adds time that a thread of `process` waited for a file.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn file_add_wait(
    process: *const ProcessKey,
    file: u64,
    generation: u64,
    ns: u64,
) -> u32 {
    if process.is_null() {
        return 0;
    }
    let key = FileKey {
        // SAFETY: a reference of the caller.
        process: unsafe { *process },
        file,
    };
    if let Some(sum) = sum_of(generation, &key, 0) {
        // SAFETY: a pointer to the map's value, to which other cores add as well.
        unsafe { atomic_add(&raw mut (*sum).waited_ns, ns) };
    }
    0
}

/// The sum of a process and a file. `None` if there is no room for it, which is a loss of `bytes`.
#[inline(always)]
fn sum_of(generation: u64, key: &FileKey, bytes: u64) -> Option<*mut FileSum> {
    let zero = FileSum::default();
    let mut sum = None;
    if key.file != OTHER {
        sum = sum!(FILES_0, FILES_1, generation, key, &zero);
        if sum.is_none() {
            log::limit(Limit::FILE_MAP, bytes);
        }
    }
    if sum.is_none() {
        sum = sum!(
            FILE_OTHERS_0,
            FILE_OTHERS_1,
            generation,
            &key.process,
            &zero
        );
    }
    if sum.is_none() {
        lost(Cause::FILE, bytes);
        log::limit(Limit::FILE_OTHERS_MAP, bytes);
    }
    sum
}

/// `side` combines generation and direction: see [`side`].
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn file_add(
    key: *const FileKey,
    side: u64,
    bytes: u64,
    ops: u64,
    opens: u64,
) -> u32 {
    if key.is_null() {
        return 0;
    }
    // SAFETY: `add` passes a reference.
    let key = unsafe { *key };
    let (generation, direction) = (side >> 1, side as u32 & 1);
    let Some(sum) = sum_of(generation, &key, bytes) else {
        return 0;
    };
    // SAFETY: a pointer to the map's value, to which other cores add as well.
    unsafe {
        if direction == IN {
            atomic_add(&raw mut (*sum).bytes_in, bytes);
            atomic_add(&raw mut (*sum).ops_in, ops);
        } else {
            atomic_add(&raw mut (*sum).bytes_out, bytes);
            atomic_add(&raw mut (*sum).ops_out, ops);
        }
        if opens != 0 {
            atomic_add(&raw mut (*sum).opens, opens);
        }
    }
    0
}
