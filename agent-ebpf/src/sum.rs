//! Sums in hash maps, to which all cores add.

use core::intrinsics::{AtomicOrdering, atomic_xadd};

use aya_ebpf::bindings::BPF_NOEXIST;
use aya_ebpf::maps::HashMap;

/// Direction: into the process.
pub const IN: u32 = 0;
/// Direction: out of the process.
pub const OUT: u32 = 1;

/// Adds to a number that other cores may add to at the same time.
///
/// # Safety
/// `number` is in the value of a map, or a global.
#[inline(always)]
pub unsafe fn atomic_add(number: *mut u64, amount: u64) {
    // SAFETY: the caller's promise; values of maps and globals are aligned.
    unsafe { atomic_xadd::<u64, u64, { AtomicOrdering::Relaxed }>(number, amount) };
}

/// The value of `$key` in the generation's map of a pair, inserted as `$new` if missing. `None` if the
/// map is full.
///
/// A macro, not a function over the two maps, so that each look-up names one map: the verifier then
/// inlines it.
macro_rules! sum {
    ($first:ident, $second:ident, $generation:expr, $key:expr, $new:expr) => {{
        let key = $key;
        if $crate::generation::is_second($generation) {
            $crate::sum::get_or_insert(&$second, key, $new)
        } else {
            $crate::sum::get_or_insert(&$first, key, $new)
        }
    }};
}
pub(crate) use sum;

/// The value of `key`, inserted as `new` if missing. `None` if the map is full.
#[inline(always)]
pub fn get_or_insert<K, V>(map: &HashMap<K, V>, key: &K, new: &V) -> Option<*mut V> {
    if let Some(value) = map.get_ptr_mut(key) {
        return Some(value);
    }
    // If another core inserts it in between, this fails and the value is there all the same.
    let _ = map.insert(key, new, u64::from(BPF_NOEXIST));
    map.get_ptr_mut(key)
}
