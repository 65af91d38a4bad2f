//! Roles of TCP sockets: which end connected and which accepted, and who connects.
//!
//! A connection is completed in an interrupt, when its owner does not run. So `network_tcp` notes the
//! owner when the connection begins.

use aya_ebpf::macros::map;
use aya_ebpf::maps::LruHashMap;
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::network::role;

/// A TCP socket.
#[repr(C)]
#[derive(Clone, Copy)]
struct Tcp {
    /// The process that connects; zero for an accepted connection.
    process: ProcessKey,
    role: u32,
    unused: u32,
}

/// By address of the `struct sock`, until it is closed.
#[map]
static NETWORK_TCP: LruHashMap<u64, Tcp> = LruHashMap::with_max_entries(65_536, 0);

/// Notes that `process` connects through the socket.
#[inline(always)]
pub fn note_client(socket: &u64, process: ProcessKey) {
    let tcp = Tcp {
        process,
        role: role::CLIENT.into(),
        unused: 0,
    };
    let _ = NETWORK_TCP.insert(socket, &tcp, 0);
}

/// Notes that the socket is of an accepted connection.
#[inline(always)]
pub fn note_server(socket: &u64) {
    let tcp = Tcp {
        process: ProcessKey::default(),
        role: role::SERVER.into(),
        unused: 0,
    };
    let _ = NETWORK_TCP.insert(socket, &tcp, 0);
}

/// Forgets the socket, which is closed.
#[inline(always)]
pub fn forget(socket: &u64) {
    let _ = NETWORK_TCP.remove(socket);
}

/// The role of the socket.
#[inline(always)]
pub fn role_of(socket: &u64) -> u8 {
    match NETWORK_TCP.get_ptr(socket) {
        // SAFETY: a pointer to the map's value.
        Some(tcp) => unsafe { (*tcp).role as u8 },
        None => role::UNKNOWN,
    }
}

/// The process that connects through the socket.
#[inline(always)]
pub fn owner_of(socket: &u64) -> Option<&'static ProcessKey> {
    let tcp = NETWORK_TCP.get_ptr(socket)?;
    // SAFETY: a pointer to a value of a map that is not freed while programs run.
    Some(unsafe { &(*tcp).process })
}
