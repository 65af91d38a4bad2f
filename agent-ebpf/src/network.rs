//! Sockets: bytes and operations by process and connection.
//!
//! Whatever the call is (`send`, `write`, `sendfile`, io_uring), all that a socket sends or receives
//! passes one place in the kernel, and is counted there. As with files, the last-used cache comes before
//! the map (see `last_used`).
//!
//! Which end connected and which accepted is known while a TCP connection is made (`network_tcp`); for
//! Unix sockets it follows from their names. A datagram's peer is in the message and not in the socket:
//! `network_peer` finds it.

use aya_ebpf::helpers::generated::bpf_get_socket_cookie;
use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use bubble_common::kernel::cpu_state::CpuState;
use bubble_common::kernel::network::{NetworkKey, NetworkLast, NetworkOffsets, family, protocol};
use bubble_common::kernel::settings::Settings;

use crate::access::{Access, Typed, Untyped};
use crate::btf::{KernelPtr, address, offset};
use crate::cpu_state::counted;
use crate::last_used::{self, is_same};
use crate::network_key::{PEEK_FLAGS, describe};
use crate::network_sum::add;
use crate::settings::setting;
use crate::sum::{IN, OUT};
use crate::{generation, network_peer};

// TP_PROTO(struct sock *sk, int ret, int flags): net/socket.c, call_trace_sock_send_length()
#[btf_tracepoint(function = "sock_send_length")]
fn sock_sent(ctx: BtfTracePointContext) -> i32 {
    moved(ctx.arg(0), ctx.arg(1), OUT);
    0
}

// TP_PROTO(struct sock *sk, int ret, int flags): net/socket.c, call_trace_sock_recv_length()
#[btf_tracepoint(function = "sock_recv_length")]
fn sock_received(ctx: BtfTracePointContext) -> i32 {
    let flags: i32 = ctx.arg(2);
    if flags & PEEK_FLAGS == 0 {
        moved(ctx.arg(0), ctx.arg(1), IN);
    }
    0
}

/// Counts what a socket sent or received. `result` is the number of bytes, or an error.
#[inline(always)]
pub fn moved(socket: KernelPtr, result: i32, direction: u32) -> Option<()> {
    if result < 0 {
        return None;
    }
    let state = counted()?;
    let bytes = result as u64;
    // SAFETY: this core's state.
    if unsafe { add_to_last_used(state, socket, direction, bytes) } {
        return Some(());
    }
    // Gives the socket a cookie if it has none, which tells it from the next one at its address.
    // SAFETY: the helper takes a typed pointer, as the hooks of sockets have it.
    unsafe { bpf_get_socket_cookie(socket.cast_mut().cast()) };
    network_add_uncached(address(socket), direction, bytes);
    Some(())
}

/// Adds to the last-used cache; false if the connection is not in it.
///
/// # Safety
/// `state` is this core's.
#[inline(always)]
unsafe fn add_to_last_used(
    state: *mut CpuState,
    socket: KernelPtr,
    direction: u32,
    bytes: u64,
) -> bool {
    let cookie: u64 = Typed::read(socket, offset!(NetworkOffsets, cookie));
    let generation = generation::current();
    // SAFETY: the caller's promise; the mark keeps off other programs.
    unsafe {
        let last: *mut NetworkLast =
            last_used::entry(&raw mut (*state).connections, generation, direction, cookie);
        if !last_used::acquire_valid(last, generation) {
            return false;
        }
        let matches = (*last).socket == socket as u64
            && (*last).cookie == cookie
            && (*last).addresses == Typed::read::<u64>(socket, offset!(NetworkOffsets, addresses))
            && (*last).ports == Typed::read::<u32>(socket, offset!(NetworkOffsets, ports))
            && is_same(&(*last).key.process, &(*state).running.key);
        if matches {
            (*last).bytes += bytes;
            (*last).ops += 1;
        }
        last_used::release(last, generation);
        matches
    }
}

/// Counts what moved through a connection that is not in the last-used cache: determines its key, and
/// enters it into the cache.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn network_add_uncached(socket: u64, direction: u32, bytes: u64) -> u32 {
    let socket = socket as KernelPtr;
    let Some(state) = counted() else {
        return 0;
    };
    let generation = generation::current();
    let mut key = NetworkKey::default();
    // SAFETY: this core's state.
    describe(socket, unsafe { &(*state).running.key }, &mut key);
    if key.protocol == protocol::UDP || key.protocol == protocol::UNIX_DATAGRAM {
        // Each may have another peer, so they never enter the cache.
        let is_counted_by_message =
            setting!(datagrams) == Settings::PEER_OF_MESSAGE && key.family != family::NONE;
        if is_counted_by_message && key.protocol == protocol::UDP {
            return 0;
        }
        if setting!(datagrams) == Settings::PEER_AT_EXIT
            && network_peer::defer(&key, direction, bytes)
        {
            return 0;
        }
        add(generation, &key, direction, bytes, 1);
        return 0;
    }
    // SAFETY: this core's state.
    unsafe { remember(state, generation, socket, &key, direction, bytes) };
    0
}

/// Enters a connection into the last-used cache.
///
/// # Safety
/// `state` is this core's.
#[inline(always)]
unsafe fn remember(
    state: *mut CpuState,
    generation: u64,
    socket: KernelPtr,
    key: &NetworkKey,
    direction: u32,
    bytes: u64,
) {
    let cookie = Untyped::read(socket, offset!(NetworkOffsets, cookie));
    // SAFETY: the caller's promise; the mark keeps off other programs.
    unsafe {
        let last: *mut NetworkLast =
            last_used::entry(&raw mut (*state).connections, generation, direction, cookie);
        let Some(old) = last_used::acquire(last) else {
            add(generation, key, direction, bytes, 1);
            return;
        };
        if old == generation {
            let old = (*last).key;
            add(generation, &old, direction, (*last).bytes, (*last).ops);
        }
        (*last).socket = socket as u64;
        (*last).cookie = cookie;
        (*last).addresses = Untyped::read(socket, offset!(NetworkOffsets, addresses));
        (*last).ports = Untyped::read(socket, offset!(NetworkOffsets, ports));
        (*last).key = *key;
        (*last).bytes = bytes;
        (*last).ops = 1;
        last_used::release(last, generation);
    }
}
