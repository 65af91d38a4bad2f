//! Running totals of what could not be counted or reported. The agent passes them on.

use aya_ebpf::macros::map;
use aya_ebpf::maps::PerCpuArray;
use bubble_common::kernel::loss::{Cause, Lost};

#[map]
static LOSSES: PerCpuArray<Lost> = PerCpuArray::with_max_entries(Cause::COUNT, 0);

/// Counts a loss; the unit of `amount` depends on the cause.
#[inline(always)]
pub fn lost(cause: Cause, amount: u64) {
    if let Some(lost) = LOSSES.get_ptr_mut(cause.0) {
        // SAFETY: a pointer to this core's value of the map.
        unsafe {
            (*lost).count += 1;
            (*lost).amount += amount;
        }
    }
}
