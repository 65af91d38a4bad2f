//! TCP connections that are made, accepted, or fail.
//!
//! A connection comes to be in an interrupt, when whoever runs is not its owner:
//! so the owner is noted when it begins to connect.

use aya_ebpf::{
    macros::{btf_tracepoint, map},
    maps::LruHashMap,
    programs::BtfTracePointContext,
};
use bubble_common::kernel::{
    loss::Cause,
    network::{NetworkKey, NetworkOffsets, NetworkRecord, role},
    process::ProcessKey,
    record::Kind,
};

use crate::{
    btf::{Kernel, address, offset},
    file::{Access, Typed, atomic_add},
    generation,
    loss::lost,
    network::{describe, sum_of},
    record, running,
};

/// What is known of a TCP socket.
#[repr(C)]
#[derive(Clone, Copy)]
struct Tcp {
    /// Who connects; zero for one that was accepted.
    process: ProcessKey,
    role: u32,
    unused: u32,
}

/// By address of the `struct sock`, until it is closed.
#[map]
static NETWORK_TCP: LruHashMap<u64, Tcp> = LruHashMap::with_max_entries(65_536, 0);

/// States of `net/tcp_states.h`.
const ESTABLISHED: i32 = 1;
const SYN_SENT: i32 = 2;
const SYN_RECEIVED: i32 = 3;
const CLOSE: i32 = 7;
const IPPROTO_TCP: u16 = 6;

/// Which end of a connection a socket is.
#[inline(always)]
pub fn role_of(socket: Kernel) -> u8 {
    match NETWORK_TCP.get_ptr(&(socket as u64)) {
        // SAFETY: a pointer into the map's value.
        Some(tcp) => unsafe { (*tcp).role as u8 },
        None => role::UNKNOWN,
    }
}

// TP_PROTO(const struct sock *sk, const int oldstate, const int newstate): net/ipv4/af_inet.c
#[btf_tracepoint(function = "inet_sock_set_state")]
fn tcp_state(ctx: BtfTracePointContext) -> i32 {
    try_tcp_state(ctx.arg(0), ctx.arg(1), ctx.arg(2));
    0
}

#[inline(always)]
fn try_tcp_state(socket: Kernel, old: i32, new: i32) -> Option<()> {
    if Typed::read::<u16>(socket, offset!(NetworkOffsets, protocol)) != IPPROTO_TCP {
        return None;
    }
    let place = address(socket);
    match (old, new) {
        (_, SYN_SENT) => {
            let process = running::counted()?.key;
            let tcp = Tcp {
                process,
                role: role::CLIENT.into(),
                unused: 0,
            };
            let _ = NETWORK_TCP.insert(&place, &tcp, 0);
        }
        (SYN_RECEIVED, ESTABLISHED) => {
            let tcp = Tcp {
                process: ProcessKey::default(),
                role: role::SERVER.into(),
                unused: 0,
            };
            let _ = NETWORK_TCP.insert(&place, &tcp, 0);
        }
        (SYN_SENT, ESTABLISHED) => {
            network_tcp_connected(place);
        }
        (SYN_SENT, CLOSE) => {
            network_tcp_failed(place, Typed::read(socket, offset!(NetworkOffsets, error)));
            let _ = NETWORK_TCP.remove(&place);
        }
        (_, CLOSE) => {
            let _ = NETWORK_TCP.remove(&place);
        }
        _ => {}
    }
    Some(())
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn network_tcp_connected(socket: u64) -> u32 {
    if let Some(key) = key_of(socket) {
        network_count_connect(&key);
    }
    0
}

/// `error` is 0 when the program itself gave up.
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

/// The connection of a socket whose owner was noted.
#[inline(always)]
fn key_of(socket: u64) -> Option<NetworkKey> {
    let tcp = NETWORK_TCP.get_ptr(&socket)?;
    let mut key = NetworkKey::default();
    // SAFETY: a pointer into the map's value.
    describe(socket as Kernel, unsafe { &(*tcp).process }, &mut key);
    Some(key)
}

/// Counts a connection that was made or accepted.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_count_connect(key: *const NetworkKey) -> u32 {
    if key.is_null() {
        return 0;
    }
    // SAFETY: our callers hand over a reference.
    match sum_of(generation::current(), unsafe { &*key }) {
        // SAFETY: a pointer into the map's value, which other cores add to as well.
        Some(sum) => unsafe { atomic_add(&raw mut (*sum).connects, 1) },
        None => lost(Cause::NETWORK, 0),
    }
    0
}

/// Counts a connection that failed, and tells of it.
#[inline(never)]
#[unsafe(no_mangle)]
pub extern "C" fn network_count_failure(key: *const NetworkKey, error: u32) -> u32 {
    if key.is_null() {
        return 0;
    }
    // SAFETY: our callers hand over a reference.
    let key = unsafe { &*key };
    match sum_of(generation::current(), key) {
        // SAFETY: a pointer into the map's value, which other cores add to as well.
        Some(sum) => unsafe { atomic_add(&raw mut (*sum).failures, 1) },
        None => lost(Cause::NETWORK, 0),
    }
    record::send(&NetworkRecord {
        header: record::header(Kind::CONNECTION_FAILED, key.process),
        key: *key,
        error,
        unused: 0,
    });
    0
}
