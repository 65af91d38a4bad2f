//! What system calls do with sockets beside sending and receiving: connections that
//! are accepted, those of Unix sockets, and what is spliced out of one. (TCP's own are seen in `network_tcp`, which knows their end.)

use bubble_common::kernel::network::{NetworkKey, family, protocol};

use crate::{
    btf::Kernel,
    file::IN,
    generation,
    network::{add, describe},
    network_tcp::{count_connect, count_failure},
    running,
    syscall::socket_of,
};

/// `EINPROGRESS`, `EALREADY`, `EISCONN`, `EINTR` and `EAGAIN`: it has not failed (yet).
const UNDECIDED: [i64; 5] = [-115, -114, -106, -4, -11];

/// A connection was accepted: `file` is its socket.
#[inline(never)]
pub fn accepted(file: Kernel) -> u32 {
    if let Some(key) = key_of(file) {
        count_connect(&key);
    }
    0
}

/// A socket was connected.
#[inline(never)]
pub fn connected(file: Kernel) -> u32 {
    match key_of(file) {
        Some(key) if key.protocol == protocol::UNIX_STREAM => count_connect(&key),
        _ => {}
    }
    0
}

/// A socket could not be connected.
#[inline(never)]
pub fn refused(file: Kernel, result: i64) -> u32 {
    if UNDECIDED.contains(&result) {
        return 0;
    }
    match key_of(file) {
        Some(key) if key.family == family::UNIX => count_failure(&key, (-result) as u32),
        _ => {}
    }
    0
}

/// Bytes were spliced out of a socket.
#[inline(never)]
pub fn spliced(file: Kernel, bytes: u64) -> u32 {
    match key_of(file) {
        Some(key) if matches!(key.protocol, protocol::TCP | protocol::UNIX_STREAM) => {
            add(generation::second(), &key, IN, bytes, 1);
        }
        // Others are read in the usual way, and counted there.
        _ => {}
    }
    0
}

#[inline(always)]
fn key_of(file: Kernel) -> Option<NetworkKey> {
    let socket = socket_of(file)?;
    let running = running::counted()?;
    let mut key = NetworkKey::default();
    describe(socket, &running.key, &mut key);
    Some(key)
}
