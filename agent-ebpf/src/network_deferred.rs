//! Datagrams whose counting is deferred to syscall exit, where the peer's address can be found
//! (`network_peer`).

use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use bubble_common::kernel::network::NetworkKey;

use crate::sum::atomic_add;

/// What the system call in progress has moved so far. It is removed when the call ends, in whatever way,
/// or the thread does.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Deferred {
    /// The socket's connection.
    pub key: NetworkKey,
    /// Bytes moved.
    pub bytes: u64,
    /// Messages, or calls that moved them.
    pub ops: u64,
    /// Into the process, or out of it.
    pub direction: u32,
    /// Action of the system call.
    pub action: u32,
    /// Id of the thread.
    pub thread: u32,
    /// Not 0 at the end of a call of a 32-bit program.
    pub narrow: u32,
}

impl Deferred {
    /// Whether it is from the same call as `other`. The kernel uses the address of a task again.
    #[inline(always)]
    pub fn is_of_call(&self, other: &Self) -> bool {
        self.thread == other.thread
            && self.action == other.action
            && self.direction == other.direction
            && self.key.process.pid == other.key.process.pid
            && self.key.process.start == other.key.process.start
    }
}

/// By address of the task.
#[map]
static NETWORK_DEFERRED: HashMap<u64, Deferred> = HashMap::with_max_entries(8192, 0);

/// Number of entries in the map. It is mostly 0, and then no system call has to look into the map.
#[unsafe(no_mangle)]
static mut NETWORK_DEFERRED_COUNT: u64 = 0;

/// Whether there is any entry.
#[inline(always)]
pub fn any() -> bool {
    // SAFETY: no reference to it exists; volatile because other cores change it.
    unsafe { core::ptr::read_volatile(&raw const NETWORK_DEFERRED_COUNT) != 0 }
}

/// The entry of a task.
#[inline(always)]
pub fn get(task: &u64) -> Option<*mut Deferred> {
    NETWORK_DEFERRED.get_ptr_mut(task)
}

/// Adds the entry of a task; false if the map is full.
#[inline(always)]
pub fn insert(task: &u64, deferred: &Deferred) -> bool {
    let inserted = NETWORK_DEFERRED.insert(task, deferred, 0).is_ok();
    if inserted {
        // SAFETY: a global of that type.
        unsafe { atomic_add(&raw mut NETWORK_DEFERRED_COUNT, 1) };
    }
    inserted
}

/// Removes the entry of a task.
#[inline(always)]
pub fn remove(task: &u64) {
    if NETWORK_DEFERRED.remove(task).is_ok() {
        // SAFETY: a global of that type.
        unsafe { atomic_add(&raw mut NETWORK_DEFERRED_COUNT, u64::MAX) };
    }
}
