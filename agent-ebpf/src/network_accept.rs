//! What system calls do with sockets beside sending and receiving: connections that
//! are accepted, those of Unix sockets, and what is spliced out of one. (TCP's own are seen in `network_tcp`, which knows their end.)

use bubble_common::kernel::network::{NetworkKey, family, protocol};

use crate::{
    btf::Kernel,
    file::IN,
    generation,
    network::{add, describe},
    network_exit,
    network_tcp::{network_count_connect, network_count_failure},
    running,
    syscall::socket_of,
};

/// `EINPROGRESS`, `EALREADY`, `EISCONN`, `EINTR` and `EAGAIN`: it has not failed (yet).
const UNDECIDED: [i32; 5] = [-115, -114, -106, -4, -11];

/// A connection was accepted: `file` is its socket.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_accepted(file: u64) -> u32 {
    if let Some(key) = key_of(file) {
        network_count_connect(&key);
    }
    0
}

/// A socket was connected, or could not be: `result` is 0, or the error.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_connected(file: u64, result: i32) -> u32 {
    if UNDECIDED.contains(&result) {
        return 0;
    }
    match key_of(file) {
        Some(key) if key.family == family::UNIX && result < 0 => {
            network_count_failure(&key, result.unsigned_abs());
        }
        Some(key) if key.protocol == protocol::UNIX_STREAM => {
            network_count_connect(&key);
        }
        _ => {}
    }
    0
}

/// Bytes were spliced out of a socket.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_spliced(file: u64, bytes: u64) -> u32 {
    match key_of(file) {
        Some(key)
            if network_exit::in_use()
                || matches!(key.protocol, protocol::TCP | protocol::UNIX_STREAM) =>
        {
            add(generation::current(), &key, IN, bytes, 1);
        }
        // Others are read in the usual way, and counted there.
        _ => {}
    }
    0
}

#[inline(always)]
fn key_of(file: u64) -> Option<NetworkKey> {
    let socket = socket_of(file as Kernel)?;
    let running = running::counted()?;
    let mut key = NetworkKey::default();
    describe(socket, &running.key, &mut key);
    Some(key)
}
