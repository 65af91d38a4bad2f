//! TCP connections that are made, accepted, or fail. A multipath connection (MPTCP, RFC 8684) is one
//! connection: its subflows have sockets of their own, which the program does not see.

use aya_ebpf::macros::btf_tracepoint;
use aya_ebpf::programs::BtfTracePointContext;
use bubble_common::kernel::network::{NetworkKey, NetworkOffsets};
use bubble_common::kernel::offsets::ABSENT;

use crate::access::{Access, Typed, Untyped};
use crate::btf::{KernelPtr, Offset as _, address, offset};
use crate::cpu_state::counted_process;
use crate::network_key::describe;
use crate::network_role::{forget, note_client, note_server, owner_of};
use crate::network_sum::{network_count_connect, network_count_failure};

/// States of `net/tcp_states.h`.
const ESTABLISHED: i32 = 1;
const SYN_SENT: i32 = 2;
const SYN_RECEIVED: i32 = 3;
const CLOSE: i32 = 7;
const IPPROTO_TCP: u16 = 6;
const IPPROTO_MPTCP: u16 = 262;

// TP_PROTO(const struct sock *sk, const int oldstate, const int newstate): net/ipv4/af_inet.c
#[btf_tracepoint(function = "inet_sock_set_state")]
fn tcp_state(ctx: BtfTracePointContext) -> i32 {
    try_tcp_state(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

#[inline(always)]
fn try_tcp_state(sock: KernelPtr, old: i32, new: i32) -> Option<()> {
    let is_multipath = match Typed::read::<u16>(sock, offset!(NetworkOffsets, protocol)) {
        IPPROTO_TCP => false,
        IPPROTO_MPTCP => true,
        _ => return None,
    };
    let socket = address(sock);
    match (old, new) {
        (_, SYN_SENT) => note_client(&socket, *counted_process()?),
        (SYN_SENT, ESTABLISHED) => {
            if is_multipath || !is_subflow(sock) {
                network_tcp_connected(socket);
            }
        }
        (SYN_RECEIVED, ESTABLISHED) => note_server(&socket),
        // The socket of a connection that was accepted is a copy of the listener.
        (_, ESTABLISHED) if is_multipath => note_server(&socket),
        (SYN_SENT, CLOSE) => {
            // The socket that the program has gets its error later than its state; the subflow has both.
            if !is_multipath {
                network_tcp_failed(socket, Typed::read(sock, offset!(NetworkOffsets, error)));
            }
            forget(&socket);
        }
        (_, CLOSE) => forget(&socket),
        _ => {}
    }
    Some(())
}

/// Whether the socket is a subflow of a multipath connection: the program has another one, which sends
/// and receives.
#[inline(always)]
fn is_subflow(sock: KernelPtr) -> bool {
    offset!(NetworkOffsets, is_multipath).bytes() != ABSENT
        && Untyped::read::<u8>(sock, offset!(NetworkOffsets, is_multipath)) != 0
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn network_tcp_connected(socket: u64) -> u32 {
    if let Some(key) = key_of(socket) {
        network_count_connect(&key);
    }
    0
}

/// `error` is 0 if the program itself gave up.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn network_tcp_failed(socket: u64, error: u32) -> u32 {
    if error != 0
        && let Some(key) = key_of(socket)
    {
        network_count_failure(&key, error);
    }
    0
}

/// The connection of a socket, if its owner is known.
#[inline(always)]
fn key_of(socket: u64) -> Option<NetworkKey> {
    let owner = owner_of(&socket)?;
    let mut key = NetworkKey::default();
    describe(socket as KernelPtr, owner, &mut key);
    Some(key)
}
