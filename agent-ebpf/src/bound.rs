//! What the compiler must not do: lose the bounds of numbers that are found at run time, which every
//! verifier has to follow, and change the order of what is written.

use core::arch::asm;

/// All that was written before this is written before what follows: the compiler would move a mark that
/// keeps others out past what it is for. An instruction it is not, as what is kept out is on this core.
#[inline(always)]
pub fn in_order() {
    // SAFETY: it does nothing; that it may look at memory is all that the compiler sees.
    unsafe { asm!("", options(nostack, preserves_flags)) };
}

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
