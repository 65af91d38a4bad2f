//! The generation of the sums, and the epoch of paths.
//!
//! Sums are kept in pairs of maps, `NAME_0` and `NAME_1`; one of each pair is written. Each second the
//! agent increments the generation, waits until no program runs that read the old one (an RCU grace
//! period: a program runs within one read section), and then reads and empties the other map. So no
//! sum is read while it is written, lost, or counted twice.
//!
//! An epoch is a time during which no directory entry was found to lead to another path than before
//! (`file_number`). What the cores remember about files is valid in one epoch. Both are one number, the
//! *stamp*, so that one comparison tests both. The epoch begins at 0 in each generation, since the agent
//! writes the whole number: nothing that is remembered outlives a generation.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use bubble_common::kernel::cpu_state::FIRST_GENERATION;

/// Generation in the lower half, epoch in the upper one. The agent writes it (section `.data`). The
/// verifier reads it without a look-up.
#[unsafe(no_mangle)]
static mut GENERATION: u64 = FIRST_GENERATION;

/// One epoch.
pub const EPOCH: u64 = 1 << 32;

/// The current generation. Its lowest bit selects the map of each pair.
///
/// A program reads it once and keeps the value, as two reads may differ.
#[inline(always)]
pub fn current() -> u64 {
    // SAFETY: no reference to it exists; volatile because the agent changes it. Little-endian.
    u64::from(unsafe { core::ptr::read_volatile((&raw const GENERATION).cast::<u32>()) })
}

/// The current generation and epoch.
#[inline(always)]
pub fn stamp() -> u64 {
    // SAFETY: no reference to it exists; volatile because others change it.
    unsafe { core::ptr::read_volatile(&raw const GENERATION) }
}

/// Begins an epoch: all cores forget which number each file has.
#[inline(always)]
pub fn begin_epoch() {
    // SAFETY: a global, to which other cores add as well.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(&raw mut GENERATION, EPOCH) };
}

/// Whether the generation writes the second map of each pair.
#[inline(always)]
pub fn is_second(generation: u64) -> bool {
    generation & 1 != 0
}
