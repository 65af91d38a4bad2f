//! The maps of connection sums: levels 3 and 4 of counting (see `last_used`).

use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use bubble_common::kernel::cpu_state::side;
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::loss::Cause;
use bubble_common::kernel::network::{NetworkKey, NetworkRecord, NetworkSum};
use bubble_common::kernel::record::Kind;

use crate::log::{self, Limit};
use crate::loss::lost;
use crate::sum::{IN, atomic_add, sum};
use crate::{generation, record};

#[map]
static NETWORK_0: HashMap<NetworkKey, NetworkSum> = HashMap::with_max_entries(16_384, 0);
#[map]
static NETWORK_1: HashMap<NetworkKey, NetworkSum> = HashMap::with_max_entries(16_384, 0);

/// By process, what found the maps above full.
#[map]
static NETWORK_OTHERS_0: HashMap<ProcessKey, NetworkSum> = HashMap::with_max_entries(16_384, 0);
#[map]
static NETWORK_OTHERS_1: HashMap<ProcessKey, NetworkSum> = HashMap::with_max_entries(16_384, 0);

/// Adds to the maps of the generation.
#[inline(always)]
pub fn add(generation: u64, key: &NetworkKey, direction: u32, bytes: u64, ops: u64) {
    network_add(key, side(generation, direction), bytes, ops);
}

/// `side` combines generation and direction: see [`side`].
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn network_add(key: *const NetworkKey, side: u64, bytes: u64, ops: u64) -> u32 {
    if key.is_null() {
        return 0;
    }
    let (generation, direction) = (side >> 1, side as u32 & 1);
    // SAFETY: `add` passes a reference.
    let Some(sum) = sum_of(generation, unsafe { &*key }) else {
        lost(Cause::NETWORK, bytes);
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
    }
    0
}

/// Counts a connection that was made or accepted.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_count_connect(key: *const NetworkKey) -> u32 {
    if key.is_null() {
        return 0;
    }
    // SAFETY: the callers pass a reference.
    match sum_of(generation::current(), unsafe { &*key }) {
        // SAFETY: a pointer to the map's value, to which other cores add as well.
        Some(sum) => unsafe { atomic_add(&raw mut (*sum).connects, 1) },
        None => lost(Cause::NETWORK, 0),
    }
    0
}

/// Adds time that threads waited for a connection.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_add_wait(key: *const NetworkKey, generation: u64, ns: u64) -> u32 {
    if key.is_null() {
        return 0;
    }
    // SAFETY: the callers pass a reference.
    match sum_of(generation, unsafe { &*key }) {
        // SAFETY: a pointer to the map's value, to which other cores add as well.
        Some(sum) => unsafe { atomic_add(&raw mut (*sum).waited_ns, ns) },
        None => lost(Cause::NETWORK, 0),
    }
    0
}

/// Counts a connection attempt that failed, and sends a record of it.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_count_failure(key: *const NetworkKey, error: u32) -> u32 {
    if key.is_null() {
        return 0;
    }
    // SAFETY: the callers pass a reference.
    let key = unsafe { &*key };
    match sum_of(generation::current(), key) {
        // SAFETY: a pointer to the map's value, to which other cores add as well.
        Some(sum) => unsafe { atomic_add(&raw mut (*sum).failures, 1) },
        None => lost(Cause::NETWORK, 0),
    }
    record::send(&NetworkRecord {
        header: record::header(Kind::CONNECTION_FAILED, key.process),
        key: *key,
        error,
        unused: 0,
    });
    0
}

/// The sums of a connection, or those of the process if the map is full.
#[inline(always)]
fn sum_of(generation: u64, key: &NetworkKey) -> Option<*mut NetworkSum> {
    let key = *key;
    let zero = NetworkSum::default();
    let sum = sum!(NETWORK_0, NETWORK_1, generation, &key, &zero);
    if sum.is_some() {
        return sum;
    }
    log::limit(Limit::NETWORK_MAP, key.process.pid.into());
    let sum = sum!(
        NETWORK_OTHERS_0,
        NETWORK_OTHERS_1,
        generation,
        &key.process,
        &zero
    );
    if sum.is_none() {
        log::limit(Limit::NETWORK_OTHERS_MAP, key.process.pid.into());
    }
    sum
}
