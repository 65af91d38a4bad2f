//! Sockets: bytes and operations by process and connection.
//!
//! Whatever the call was (`send`, `write`, `sendfile`, io_uring), what a socket
//! takes or gives passes one place in the kernel, and is counted there. As with
//! files, the last connections of a core are kept before the map ([`NetworkLast`]).
//!
//! Which end connected and which accepted is known while a TCP connection is
//! made (`network_tcp`); a Unix socket's names tell it. A datagram's peer is in
//! the message and not in the socket: `network_peer` finds it.
//!
//! Not seen: memory that TCP maps into the process (`TCP_ZEROCOPY_RECEIVE`).

use aya_ebpf::{
    helpers::generated::bpf_get_socket_cookie,
    macros::{btf_tracepoint, map},
    maps::HashMap,
    programs::BtfTracePointContext,
};
use bubble_common::kernel::{
    loss::Cause,
    network::{NetworkKey, NetworkLast, NetworkOffsets, NetworkSum, family, protocol},
    process::ProcessKey,
    recent::{BUSY, Core, side},
    settings::Settings,
};

use crate::{
    bound::in_order,
    btf::{Kernel, address, offset},
    file::{Access, IN, OUT, Typed, Untyped, atomic_add},
    generation::{self, sum},
    loss::lost,
    network_name::unix_names,
    network_peer, network_tcp, running,
    settings::setting,
};

#[map]
static NETWORK_0: HashMap<NetworkKey, NetworkSum> = HashMap::with_max_entries(16_384, 0);
#[map]
static NETWORK_1: HashMap<NetworkKey, NetworkSum> = HashMap::with_max_entries(16_384, 0);

/// What found no room above, by process.
#[map]
static NETWORK_OTHERS_0: HashMap<ProcessKey, NetworkSum> = HashMap::with_max_entries(16_384, 0);
#[map]
static NETWORK_OTHERS_1: HashMap<ProcessKey, NetworkSum> = HashMap::with_max_entries(16_384, 0);

/// Flags of `recvmsg` that look and do not take: `MSG_PEEK` and `MSG_ERRQUEUE` of `linux/socket.h`.
pub const LOOKING: i32 = 0x2 | 0x2000;

/// Address families and types of sockets, of `linux/socket.h` and `linux/net.h`.
const AF_UNIX: u16 = 1;
/// IPv4.
pub const AF_INET: u16 = 2;
/// IPv6.
pub const AF_INET6: u16 = 10;
const AF_NETLINK: u16 = 16;
const AF_PACKET: u16 = 17;
const AF_VSOCK: u16 = 40;
const SOCK_STREAM: u16 = 1;

// TP_PROTO(struct sock *sk, int ret, int flags): net/socket.c, call_trace_sock_send_length()
#[btf_tracepoint(function = "sock_send_length")]
fn sock_sent(ctx: BtfTracePointContext) -> i32 {
    passed(ctx.arg(0), ctx.arg(1), OUT);
    0
}

// TP_PROTO(struct sock *sk, int ret, int flags): net/socket.c, call_trace_sock_recv_length()
#[btf_tracepoint(function = "sock_recv_length")]
fn sock_received(ctx: BtfTracePointContext) -> i32 {
    let flags: i32 = ctx.arg(2);
    if flags & LOOKING == 0 {
        passed(ctx.arg(0), ctx.arg(1), IN);
    }
    0
}

/// Counts what a socket took or gave: `result` is bytes, or an error.
#[inline(always)]
pub fn passed(socket: Kernel, result: i32, direction: u32) -> Option<()> {
    if result < 0 {
        return None;
    }
    let core = running::counted_core()?;
    let cookie: u64 = Typed::read(socket, offset!(NetworkOffsets, cookie));
    let generation = generation::current();
    let index = running::last_index(side(generation, direction), cookie);
    let bytes = result as u64;
    // SAFETY: this core's value of the map; the mark keeps others out.
    unsafe {
        let last: *mut NetworkLast = (&raw mut (*core).connections)
            .cast::<NetworkLast>()
            .add(index);
        let mark = &raw mut (*last).generation;
        if core::ptr::read_volatile(mark) == generation {
            core::ptr::write_volatile(mark, BUSY);
            in_order();
            let is_last = (*last).socket == socket as u64
                && (*last).cookie == cookie
                && (*last).addresses
                    == Typed::read::<u64>(socket, offset!(NetworkOffsets, addresses))
                && (*last).ports == Typed::read::<u32>(socket, offset!(NetworkOffsets, ports))
                && running::is_same(&(*last).key.process, &(*core).running.key);
            if is_last {
                (*last).bytes += bytes;
                (*last).ops += 1;
            }
            in_order();
            core::ptr::write_volatile(mark, generation);
            if is_last {
                return Some(());
            }
        }
    }
    // It gets its cookie now, should it have none: so that it is told from the next at its address.
    // SAFETY: the helper takes a typed pointer, as the hooks of sockets have it.
    unsafe { bpf_get_socket_cookie(socket.cast_mut().cast()) };
    network_another(address(socket), direction, bytes);
    Some(())
}

/// The long way: finds out which connection it is, and keeps it as one of this core's last.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn network_another(socket: u64, direction: u32, bytes: u64) -> u32 {
    let socket = socket as Kernel;
    let Some(core) = running::counted_core() else {
        return 0;
    };
    let generation = generation::current();
    let mut key = NetworkKey::default();
    // SAFETY: this core's value of the map.
    describe(socket, unsafe { &(*core).running.key }, &mut key);
    if key.protocol == protocol::UDP || key.protocol == protocol::UNIX_DATAGRAM {
        // Their peer may be another each time: they are never the last one.
        let counted_by_message =
            setting!(datagrams) == Settings::PEER_OF_MESSAGE && key.family != family::NONE;
        if counted_by_message && key.protocol == protocol::UDP {
            return 0;
        }
        if setting!(datagrams) == Settings::PEER_AT_EXIT
            && network_peer::put_off(&key, direction, bytes)
        {
            return 0;
        }
        add(generation, &key, direction, bytes, 1);
        return 0;
    }
    // SAFETY: this core's value of the map.
    unsafe { remember(core, generation, socket, &key, direction, bytes) };
    0
}

/// Keeps a connection as one of this core's last.
///
/// # Safety
/// `core` is this core's value of the map.
#[inline(always)]
unsafe fn remember(
    core: *mut Core,
    generation: u64,
    socket: Kernel,
    key: &NetworkKey,
    direction: u32,
    bytes: u64,
) {
    let cookie = Untyped::read(socket, offset!(NetworkOffsets, cookie));
    let index = running::last_index(side(generation, direction), cookie);
    // SAFETY: the caller's promise; what may preempt us sees the mark.
    unsafe {
        let last: *mut NetworkLast = (&raw mut (*core).connections)
            .cast::<NetworkLast>()
            .add(index);
        let mark = &raw mut (*last).generation;
        let old = core::ptr::read_volatile(mark);
        if old == BUSY {
            add(generation, key, direction, bytes, 1);
            return;
        }
        core::ptr::write_volatile(mark, BUSY);
        in_order();
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
        in_order();
        core::ptr::write_volatile(mark, generation);
    }
}

/// Says which connection a socket, which the verifier does not know, is.
#[inline(always)]
pub fn describe(socket: Kernel, process: &ProcessKey, key: &mut NetworkKey) {
    key.process = *process;
    network_describe(socket as u64, key);
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn network_describe(socket: u64, key: *mut NetworkKey) -> u32 {
    if !key.is_null() {
        // SAFETY: `describe` hands over a reference.
        fill(socket as Kernel, unsafe { &mut *key });
    }
    0
}

/// Fills in all but the process.
#[inline(always)]
fn fill(socket: Kernel, key: &mut NetworkKey) {
    let domain: u16 = Untyped::read(socket, offset!(NetworkOffsets, family));
    let kind: u16 = Untyped::read(socket, offset!(NetworkOffsets, kind));
    let number: u16 = Untyped::read(socket, offset!(NetworkOffsets, protocol));
    key.protocol = match (domain, kind, number) {
        // IPPROTO_TCP, IPPROTO_MPTCP
        (AF_INET | AF_INET6, _, 6 | 262) => protocol::TCP,
        // IPPROTO_UDP, IPPROTO_UDPLITE
        (AF_INET | AF_INET6, _, 17 | 136) => protocol::UDP,
        // SOCK_RAW; IPPROTO_ICMP and IPPROTO_ICMPV6 without a raw socket
        (AF_INET | AF_INET6, 3, _) | (AF_INET | AF_INET6, _, 1 | 58) => protocol::RAW,
        (AF_UNIX, SOCK_STREAM, _) => protocol::UNIX_STREAM,
        (AF_UNIX, ..) => protocol::UNIX_DATAGRAM,
        (AF_NETLINK, ..) => protocol::NETLINK,
        (AF_PACKET, ..) => protocol::RAW,
        (AF_VSOCK, ..) => protocol::VSOCK,
        _ => protocol::OTHER,
    };
    if domain == AF_INET {
        key.family = family::V4;
        key.local[0] = Untyped::read::<u32>(socket, offset!(NetworkOffsets, local_v4)).into();
        key.peer[0] = Untyped::read::<u32>(socket, offset!(NetworkOffsets, peer_v4)).into();
    } else if domain == AF_INET6 {
        key.family = family::V6;
        key.local = Untyped::read(socket, offset!(NetworkOffsets, local_v6));
        key.peer = Untyped::read(socket, offset!(NetworkOffsets, peer_v6));
    } else if domain == AF_UNIX {
        unix_names(socket, key);
        return;
    } else {
        return;
    }
    key.local_port = Untyped::read(socket, offset!(NetworkOffsets, local_port));
    key.peer_port = Untyped::read::<u16>(socket, offset!(NetworkOffsets, peer_port)).swap_bytes();
    if key.protocol == protocol::TCP {
        key.role = network_tcp::role_of(socket);
    }
}

/// Adds to the map: the connection's sum, or the process's for what finds no room.
#[inline(always)]
pub fn add(generation: u64, key: &NetworkKey, direction: u32, bytes: u64, ops: u64) {
    network_add(key, side(generation, direction), bytes, ops);
}

/// `place` is [`side`]: the generation, and the direction.
#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn network_add(key: *const NetworkKey, place: u64, bytes: u64, ops: u64) -> u32 {
    if key.is_null() {
        return 0;
    }
    let (generation, direction) = (place >> 1, place as u32 & 1);
    // SAFETY: `add` hands over a reference.
    let Some(sum) = sum_of(generation, unsafe { &*key }) else {
        lost(Cause::NETWORK, bytes);
        return 0;
    };
    // SAFETY: a pointer into the map's value, which other cores add to as well.
    unsafe {
        if direction == IN {
            atomic_add(&raw mut (*sum).bytes_in, bytes);
            atomic_add(&raw mut (*sum).ops_in, ops);
        } else {
            atomic_add(&raw mut (*sum).bytes_out, bytes);
            atomic_add(&raw mut (*sum).ops_out, ops);
        }
    }
    0
}

/// Where the sums of a connection are, or else those of the process.
#[inline(always)]
pub fn sum_of(generation: u64, key: &NetworkKey) -> Option<*mut NetworkSum> {
    let key = *key;
    let none = NetworkSum::default();
    let sum = sum!(NETWORK_0, NETWORK_1, generation, &key, &none);
    if sum.is_some() {
        return sum;
    }
    sum!(
        NETWORK_OTHERS_0,
        NETWORK_OTHERS_1,
        generation,
        &key.process,
        &none
    )
}
