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
    network::{NetworkKey, NetworkRecord, role},
    process::ProcessKey,
    record::Kind,
};

use crate::{
    btf::{Kernel, offset},
    file::{Access, Typed, atomic_add},
    generation,
    loss::lost,
    network::{describe, offsets, sum_of},
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
    if Typed::read::<u16>(socket, offset!(offsets(), protocol)) != IPPROTO_TCP {
        return None;
    }
    let place = socket as u64;
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
            connected(socket, place);
        }
        (SYN_SENT, CLOSE) => {
            failed(socket, place);
            let _ = NETWORK_TCP.remove(&place);
        }
        (_, CLOSE) => {
            let _ = NETWORK_TCP.remove(&place);
        }
        _ => {}
    }
    Some(())
}

#[inline(always)]
fn connected(socket: Kernel, place: u64) -> Option<()> {
    let tcp = NETWORK_TCP.get_ptr(&place)?;
    let mut key = NetworkKey::default();
    // SAFETY: a pointer into the map's value.
    describe(socket, unsafe { &(*tcp).process }, &mut key);
    count_connect(&key);
    Some(())
}

/// Counts a connection that was made or accepted.
#[inline(always)]
pub fn count_connect(key: &NetworkKey) {
    match sum_of(generation::second(), key) {
        // SAFETY: a pointer into the map's value, which other cores add to as well.
        Some(sum) => unsafe { atomic_add(&raw mut (*sum).connects, 1) },
        None => lost(Cause::NETWORK, 0),
    }
}

#[inline(always)]
fn failed(socket: Kernel, place: u64) -> Option<()> {
    let tcp = NETWORK_TCP.get_ptr(&place)?;
    let error: u32 = Typed::read(socket, offset!(offsets(), error));
    if error == 0 {
        // The program itself gave up.
        return None;
    }
    let mut key = NetworkKey::default();
    // SAFETY: a pointer into the map's value.
    describe(socket, unsafe { &(*tcp).process }, &mut key);
    count_failure(&key, error);
    Some(())
}

/// Counts a connection that failed, and tells of it.
#[inline(always)]
pub fn count_failure(key: &NetworkKey, error: u32) {
    match sum_of(generation::second(), key) {
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
}
