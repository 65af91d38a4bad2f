//! The maps of waits: level 3 of counting (see `last_used`).

use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use bubble_common::kernel::cpu::CpuLast;
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::loss::Cause;
use bubble_common::kernel::wait::{State, WaitSum};

use crate::log::{self, Limit};
use crate::loss::lost;
use crate::sum::{atomic_add, sum};

#[map]
static WAITS_0: HashMap<ProcessKey, WaitSum> = HashMap::with_max_entries(16_384, 0);
#[map]
static WAITS_1: HashMap<ProcessKey, WaitSum> = HashMap::with_max_entries(16_384, 0);

/// Adds the waits of an entry of the cache to the map.
#[inline(always)]
pub fn wait_add_all(last: &CpuLast) {
    if last.waits.ns.iter().fold(0, |all, ns| all | ns) == 0 {
        return;
    }
    // On this function's stack: before 6.2 the verifier accepts no other memory of a caller as a key.
    let process = last.process;
    match sum!(
        WAITS_0,
        WAITS_1,
        last.generation,
        &process,
        &WaitSum::default()
    ) {
        Some(sum) => add(sum, &last.waits),
        None => full(last.waits.ns.iter().sum()),
    }
}

/// Adds two waits of a process to the map: for a core, and in `state`.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn wait_add(
    process: *const ProcessKey,
    generation: u64,
    core: u64,
    state: u32,
    slept: u64,
) -> u32 {
    if process.is_null() {
        return 0;
    }
    // SAFETY: a reference of the caller.
    let process = unsafe { *process };
    match sum!(WAITS_0, WAITS_1, generation, &process, &WaitSum::default()) {
        Some(sum) => {
            for index in 0..State::COUNT {
                let ns = if index as u32 == state { slept } else { 0 };
                let ns = if index == State::CORE as usize {
                    ns + core
                } else {
                    ns
                };
                if ns != 0 {
                    // SAFETY: a pointer to the map's value, to which other cores add as well.
                    unsafe { atomic_add(&raw mut (*sum).ns[index], ns) };
                }
            }
        }
        None => full(core + slept),
    }
    0
}

#[inline(always)]
fn add(sum: *mut WaitSum, waits: &WaitSum) {
    for state in 0..State::COUNT {
        if waits.ns[state] != 0 {
            // SAFETY: a pointer to the map's value, to which other cores add as well.
            unsafe { atomic_add(&raw mut (*sum).ns[state], waits.ns[state]) };
        }
    }
}

#[inline(always)]
fn full(ns: u64) {
    lost(Cause::WAIT, ns);
    log::limit(Limit::WAIT_MAP, ns);
}
