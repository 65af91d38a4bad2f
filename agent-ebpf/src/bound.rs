//! Lengths that are found at run time, in a form that every verifier follows.

/// `value`, of which no more than the bits of `mask` are set.
///
/// A comparison would do for the compiler, and that is the trouble: it keeps the
/// value in several registers and compares one of them, which older verifiers do
/// not connect. So the value goes by a way that the compiler cannot see through,
/// and is masked where the verifier looks.
#[inline(always)]
pub fn masked(value: u64, mask: u64) -> usize {
    let mut hidden = 0;
    // SAFETY: a variable of our own.
    let value = unsafe {
        core::ptr::write_volatile(&raw mut hidden, value);
        core::ptr::read_volatile(&raw const hidden)
    };
    (value & mask) as usize
}
