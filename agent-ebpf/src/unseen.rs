//! I/O that no hook counts, by container. The agent reports each use as a loss.

use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use bubble_common::kernel::loss::{Cause, Lost};
use bubble_common::kernel::unseen::{Kind, UnseenKey};

use crate::generation;
use crate::loss::lost;
use crate::sum::{atomic_add, sum};

#[map]
static UNSEEN_0: HashMap<UnseenKey, Lost> = HashMap::with_max_entries(8192, 0);
#[map]
static UNSEEN_1: HashMap<UnseenKey, Lost> = HashMap::with_max_entries(8192, 0);

/// Notes `count` uncounted operations of a container, and their bytes as far as they are known.
#[inline(always)]
pub fn unseen(cgroup: u64, kind: Kind, count: u64, bytes: u64) {
    unseen_add(cgroup, kind.0, count, bytes);
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn unseen_add(cgroup: u64, kind: u32, count: u64, bytes: u64) -> u32 {
    let key = UnseenKey {
        cgroup,
        kind: Kind(kind),
        unused: 0,
    };
    let zero = Lost::default();
    match sum!(UNSEEN_0, UNSEEN_1, generation::current(), &key, &zero) {
        // SAFETY: a pointer to the map's value, to which other cores add as well.
        Some(sum) => unsafe {
            atomic_add(&raw mut (*sum).count, count);
            atomic_add(&raw mut (*sum).amount, bytes);
        },
        None => lost(Cause::FILE, bytes),
    }
    0
}
