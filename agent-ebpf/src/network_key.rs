//! The key of a connection: protocol, addresses, ports and role, read from a socket.

use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::network::{NetworkKey, NetworkOffsets, family, protocol};

use crate::access::{Access, Untyped};
use crate::btf::{KernelPtr, offset};
use crate::network_name::unix_names;
use crate::network_role::role_of;

/// Flags of `recvmsg` that do not consume: `MSG_PEEK` and `MSG_ERRQUEUE` of `linux/socket.h`.
pub const PEEK_FLAGS: i32 = 0x2 | 0x2000;

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

/// Fills in the key of a connection from its socket, through a pointer without a type.
#[inline(always)]
pub fn describe(socket: KernelPtr, process: &ProcessKey, key: &mut NetworkKey) {
    key.process = *process;
    network_describe(socket as u64, key);
}

#[inline(never)]
#[unsafe(no_mangle)]
extern "C" fn network_describe(socket: u64, key: *mut NetworkKey) -> u32 {
    if !key.is_null() {
        // SAFETY: `describe` passes a reference.
        fill(socket as KernelPtr, unsafe { &mut *key });
    }
    0
}

/// Fills in all but the process.
#[inline(always)]
fn fill(socket: KernelPtr, key: &mut NetworkKey) {
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
        key.role = role_of(&(socket as u64));
    }
}

/// Sets an IPv4 peer (in network byte order), of an IPv4 or IPv6 socket.
#[inline(always)]
pub fn set_v4(key: &mut NetworkKey, v4: u32, port: u16) {
    if key.family == family::V4 {
        key.peer = [u64::from(v4), 0];
    } else {
        // ::ffff:a.b.c.d
        key.peer = [0, u64::from(v4) << 32 | 0xffff_0000];
    }
    key.peer_port = port;
}
