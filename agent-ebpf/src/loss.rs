//! Running totals of what could not be held, so that the agent can say so.

use aya_ebpf::{macros::map, maps::PerCpuArray};
use bubble_common::kernel::loss::{Cause, Lost};

#[map]
static LOSSES: PerCpuArray<Lost> = PerCpuArray::with_max_entries(Cause::COUNT, 0);

/// Notes that something was lost, and how much (the unit is the cause's).
#[inline(always)]
pub fn lost(cause: Cause, amount: u64) {
    if let Some(lost) = LOSSES.get_ptr_mut(cause.0) {
        // SAFETY: a pointer into this core's value of the map.
        unsafe {
            (*lost).count += 1;
            (*lost).amount += amount;
        }
    }
}
