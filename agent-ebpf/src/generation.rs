//! Sums are kept in pairs of maps, `NAME_0` and `NAME_1`, of which one is being
//! written. Each second the agent counts the number here up, waits until no
//! program runs that saw the old one (an RCU grace period: programs run inside
//! of one read section), and only then reads and empties the other map. So no
//! sum is read while it is written, none is lost, and none is counted twice.

use bubble_common::kernel::recent::FIRST_GENERATION;

/// In memory that the agent may write (section `.data`), which the verifier reads directly.
#[unsafe(no_mangle)]
static mut GENERATION: u64 = FIRST_GENERATION;

/// The generation. The lowest bit says which map of each pair is being written.
///
/// Asked once by a program, and the answer kept: two answers may differ.
#[inline(always)]
pub fn current() -> u64 {
    // SAFETY: nobody has a reference to it; volatile as the agent changes it.
    unsafe { core::ptr::read_volatile(&raw const GENERATION) }
}

/// Whether a generation writes the second map of each pair, rather than the first.
#[inline(always)]
pub fn is_second(generation: u64) -> bool {
    generation & 1 != 0
}

/// The value of `key` in the map of this generation, made anew where there is none; nothing
/// when the map is full.
///
/// It is a macro and not a function over the two maps, so that each look-up
/// names one map: the verifier then turns it into direct code.
macro_rules! sum {
    ($first:ident, $second:ident, $generation:expr, $key:expr, $new:expr) => {{
        let key = $key;
        if $crate::generation::is_second($generation) {
            $crate::generation::entry(&$second, key, $new)
        } else {
            $crate::generation::entry(&$first, key, $new)
        }
    }};
}
pub(crate) use sum;

/// The value of `key`, made anew (`new`) where there is none; nothing when the map is full.
#[inline(always)]
pub fn entry<K, V>(map: &aya_ebpf::maps::HashMap<K, V>, key: &K, new: &V) -> Option<*mut V> {
    if let Some(value) = map.get_ptr_mut(key) {
        return Some(value);
    }
    // Another core may have made it in between, which is as good.
    let _ = map.insert(key, new, u64::from(aya_ebpf::bindings::BPF_NOEXIST));
    map.get_ptr_mut(key)
}
