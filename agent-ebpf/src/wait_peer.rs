//! The connection that a thread waits for: that of the system call in which it goes to sleep.
//!
//! It is described when the thread leaves its core, as the call holds the socket only until its end, and again each
//! second, as a socket may be connected to another peer. A listening
//! socket, for which `accept` waits, has no peer, as an unconnected datagram socket has none.

use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use bubble_common::kernel::file::FileOffsets;
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::loss::Cause;
use bubble_common::kernel::network::NetworkKey;

use crate::access::{Access, Typed, Untyped};
use crate::btf::{KernelPtr, address, as_file, can_cast, offset};
use crate::cpu_state::cpu_state;
use crate::descriptor::{is_socket, socket_of};
use crate::log::{self, Limit};
use crate::loss::lost;
use crate::network_key::describe;
use crate::network_sum::network_add_wait;
use crate::task;
use crate::wait_state::file_of_call;

/// The connection that a thread waited for last.
#[repr(C)]
struct Waiting {
    /// When the thread was created: addresses of tasks are used again.
    start: u64,
    key: NetworkKey,
}

/// By address of the task.
#[map]
static WAIT_PEERS: LruHashMap<u64, Waiting> = LruHashMap::with_max_entries(16_384, 0);

/// The socket of the call that the task of this core is in, as a file.
#[inline(always)]
fn socket_in_call() -> Option<KernelPtr> {
    let state = cpu_state()?;
    // SAFETY: this core's state.
    let running = unsafe { &(*state).running };
    let file = file_of_call(running, task::current(), false)?;
    is_socket(file).then_some(file)
}

/// Number of the inode of the socket that the task of this core, which goes to sleep, waits for. It is not used
/// again. 0 if there is none.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn wait_socket() -> u64 {
    fn number<A: Access>(file: KernelPtr) -> u64 {
        let inode: KernelPtr = A::read(file, offset!(FileOffsets, file_inode));
        A::read(inode, offset!(FileOffsets, inode_number))
    }
    match socket_in_call() {
        Some(file) if can_cast() => number::<Typed>(as_file(file)),
        Some(file) => number::<Untyped>(file),
        None => 0,
    }
}

/// Notes the connection that the task of this core, which goes to sleep, waits for. `start`: when the task was
/// created. Returns 0 if there is none.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn wait_note_peer(start: u64) -> u64 {
    note_peer(start).is_some().into()
}

#[inline(always)]
fn note_peer(start: u64) -> Option<()> {
    let state = cpu_state()?;
    let socket = socket_of(socket_in_call()?)?;
    let mut waiting = Waiting {
        start,
        key: NetworkKey::default(),
    };
    // SAFETY: this core's state.
    describe(socket, unsafe { &(*state).running.key }, &mut waiting.key);
    WAIT_PEERS
        .insert(&address(task::current()), &waiting, 0)
        .ok()
}

/// Adds the time that a thread of `process` waited for the connection that was noted for it.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn wait_add_peer(
    process: *const ProcessKey,
    task: u64,
    start: u64,
    generation: u64,
    ns: u64,
) -> u32 {
    if process.is_null() {
        return 0;
    }
    // SAFETY: a pointer to the map's value, which only the core of this task changes.
    let waiting = WAIT_PEERS
        .get_ptr(&task)
        .map(|waiting| unsafe { &*waiting });
    match waiting {
        Some(waiting) if waiting.start == start => {
            let key = NetworkKey {
                // SAFETY: a reference of the caller.
                process: unsafe { *process },
                ..waiting.key
            };
            network_add_wait(&key, generation, ns);
        }
        _ => {
            lost(Cause::NETWORK, 0);
            log::limit(Limit::NETWORK_MAP, ns);
        }
    }
    0
}
