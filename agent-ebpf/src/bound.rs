//! Two things that the compiler must not optimise away: the bounds of numbers, which every verifier has
//! to follow, and the order of writes.

use core::arch::asm;

/// Keeps the compiler from moving reads and writes across it, such as a mark that keeps other programs
/// off an entry. It emits no instruction: whoever the mark keeps off runs on this core.
#[inline(always)]
pub fn barrier() {
    // SAFETY: emits nothing; the compiler assumes that it accesses memory.
    unsafe { asm!("", options(nostack, preserves_flags)) };
}

/// Masks `value` with an instruction that the compiler cannot remove. The verifier needs the bound.
///
/// A comparison or a plain `&` is not enough. The compiler keeps the value in several registers and
/// compares one of them; older verifiers do not transfer the bound to the others. And the compiler
/// leaves out a mask that it can prove redundant, where those verifiers have lost the bound (in an `or`).
#[inline(always)]
pub fn masked<const MASK: i32>(value: u64) -> usize {
    let mut value = value;
    // SAFETY: changes only this number.
    unsafe {
        asm!("{} &= {}", inout(reg) value, const MASK, options(pure, nomem, nostack, preserves_flags));
    }
    value as usize
}
