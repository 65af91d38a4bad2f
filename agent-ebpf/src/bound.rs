//! Numbers that are found at run time, in a form that every verifier follows.

use core::arch::asm;

/// `value`, of which no more than the bits of `MASK` are set, which may be all that it has.
///
/// A comparison would do for the compiler, and that is the trouble: it keeps the
/// value in several registers and compares one of them, which older verifiers do
/// not connect; and what has its bounds already the compiler does not mask again, where
/// those verifiers have lost them (in an `or`). So it is masked by an instruction that it cannot see through.
#[inline(always)]
pub fn masked<const MASK: i32>(value: u64) -> usize {
    let mut value = value;
    // SAFETY: it changes nothing but this number.
    unsafe {
        asm!("{} &= {}", inout(reg) value, const MASK, options(pure, nomem, nostack, preserves_flags));
    }
    value as usize
}
