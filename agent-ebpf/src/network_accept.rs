//! What system calls do with sockets besides sending and receiving: accepted connections, connections of
//! Unix sockets, bytes spliced out of a socket, and those that TCP maps. (`network_tcp` counts TCP connections that are made.)

use aya_ebpf::helpers::bpf_probe_read_user;
use bubble_common::kernel::network::{NetworkKey, family, protocol, role};

use crate::access::Untyped;
use crate::btf::KernelPtr;
use crate::cpu_state::counted_process;
use crate::descriptor::socket_of;
use crate::network_key::describe;
use crate::network_name::network_name_at;
use crate::network_sum::{add, network_count_connect, network_count_failure};
use crate::registers::argument;
use crate::sum::IN;
use crate::{generation, network_exit};

/// `EINPROGRESS`, `EALREADY`, `EISCONN`, `EINTR` and `EAGAIN`: the attempt has not failed (yet).
const UNDECIDED: [i32; 5] = [-115, -114, -106, -4, -11];

/// Counts an accepted connection: `file` is its socket.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_accepted(file: u64) -> u32 {
    if let Some(key) = key_of(file) {
        network_count_connect(&key);
    }
    0
}

/// Counts a connection of a Unix socket, or an attempt that failed. `result` is 0 or the error.
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

/// Counts a Unix socket's attempt to connect that failed with `result`. The name of the peer is in the
/// kernel's `struct sockaddr_un` of `length` bytes at `address`.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_refused(file: u64, result: i32, address: u64, length: u32) -> u32 {
    count_refused(file, result, address, length, false);
    0
}

/// The same at the end of `connect`: its arguments are in the `struct pt_regs` at `registers`, those of a
/// 32-bit program if `narrow` is not 0.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_connect_failed(
    file: u64,
    result: i32,
    registers: u64,
    narrow: u32,
) -> u32 {
    let (registers, narrow) = (registers as KernelPtr, narrow != 0);
    let address = argument::<Untyped, 1>(registers, narrow);
    let length = argument::<Untyped, 2>(registers, narrow) as u32;
    count_refused(file, result, address, length, true);
    0
}

/// Inlined, as calls may be nested 8 deep at most.
#[inline(always)]
fn count_refused(file: u64, result: i32, address: u64, length: u32, in_user: bool) {
    if !UNDECIDED.contains(&result)
        && let Some(mut key) = key_of(file)
        && key.family == family::UNIX
    {
        key.peer[0] = network_name_at(address, length, in_user.into());
        key.role = role::CLIENT;
        network_count_failure(&key, result.unsigned_abs());
    }
}

/// Counts bytes spliced out of a socket.
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
        // Others are received in the usual way, and counted there.
        _ => {}
    }
    0
}

/// Counts what TCP mapped into the process, and what it copied since that was less than a page: the
/// fields `length` and `copybuf_len` of the `struct tcp_zerocopy_receive` at `option`, whose size is at
/// `size`.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_mapped(file: u64, option: u64, size: u64) -> u32 {
    // SAFETY: the helper takes any address.
    let (length, size, copied) = unsafe {
        (
            bpf_probe_read_user((option + 8) as *const u32).unwrap_or(0),
            bpf_probe_read_user(size as *const u32).unwrap_or(0),
            bpf_probe_read_user((option + 32) as *const i32).unwrap_or(0),
        )
    };
    let copied = if size >= 36 && copied > 0 { copied } else { 0 };
    if length == 0 && copied == 0 {
        return 0;
    }
    if let Some(key) = key_of(file) {
        let bytes = u64::from(length) + copied as u64;
        add(generation::current(), &key, IN, bytes, 1);
    }
    0
}

#[inline(always)]
fn key_of(file: u64) -> Option<NetworkKey> {
    let socket = socket_of(file as KernelPtr)?;
    let process = counted_process()?;
    let mut key = NetworkKey::default();
    describe(socket, process, &mut key);
    Some(key)
}
