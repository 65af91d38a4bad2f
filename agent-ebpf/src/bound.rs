//! Numbers and writes that compiler and verifier must not take for more, or less, than they are: the
//! bounds of numbers, numbers that change in a loop, and the order of writes.

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

/// Always 0. The verifier does not know that, because it is in memory that may be written (`.bss`).
#[unsafe(no_mangle)]
static mut ZERO: u64 = 0;

/// Hides from the verifier which number `value` is.
///
/// Whatever the callback of `bpf_loop` reads from its context and compares has to be hidden. Older
/// verifiers (seen: 6.1) check the callback once, with the numbers of the first step, and remove the
/// branches that these do not take. They also take two contexts for the same if these differ in numbers
/// only.
#[inline(always)]
pub fn hidden(value: u64) -> u64 {
    // SAFETY: no reference to it exists; volatile, as the compiler must not know it either.
    value | unsafe { core::ptr::read_volatile(&raw const ZERO) }
}
