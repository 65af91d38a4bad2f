//! Connections: the keys and values of their sums.

use super::plain;
use super::process::ProcessKey;
use super::record::Header;

/// A process and a connection: the key says all there is to know of it, but
/// for the names of Unix sockets, which are numbers whose text is told as paths
/// of files are.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct NetworkKey {
    /// The process.
    pub process: ProcessKey,
    /// This end: an IPv4 address in the first 4 bytes, an IPv6 address, or the
    /// number of a Unix socket's name in the first 8 (0: it has none).
    pub local: [u64; 2],
    /// The other end, likewise.
    pub peer: [u64; 2],
    /// Port of this end, in the host's byte order.
    pub local_port: u16,
    /// Port of the other end, likewise.
    pub peer_port: u16,
    /// What the addresses are: [`family`].
    pub family: u8,
    /// [`protocol`].
    pub protocol: u8,
    /// 0 not known, 1 it connected, 2 it accepted.
    pub role: u8,
    /// Zero.
    pub unused: u8,
}

/// What the addresses of a [`NetworkKey`] are.
pub mod family {
    /// There are none.
    pub const NONE: u8 = 0;
    /// IPv4.
    pub const V4: u8 = 4;
    /// IPv6.
    pub const V6: u8 = 6;
    /// Numbers of names of Unix sockets.
    pub const UNIX: u8 = 1;
}

/// Protocols, by the numbers that `segment::network::Protocol` has.
pub mod protocol {
    /// Not one of these.
    pub const OTHER: u8 = 0;
    /// TCP.
    pub const TCP: u8 = 1;
    /// UDP.
    pub const UDP: u8 = 2;
    /// Unix stream.
    pub const UNIX_STREAM: u8 = 3;
    /// Unix datagram and seqpacket.
    pub const UNIX_DATAGRAM: u8 = 4;
    /// Raw IP, packet sockets, and ICMP.
    pub const RAW: u8 = 5;
    /// Netlink.
    pub const NETLINK: u8 = 6;
    /// AF_VSOCK.
    pub const VSOCK: u8 = 7;
}

/// Roles, by the numbers that `segment::network::Role` has.
pub mod role {
    /// Not known.
    pub const UNKNOWN: u8 = 0;
    /// It connected.
    pub const CLIENT: u8 = 1;
    /// It accepted.
    pub const SERVER: u8 = 2;
}

/// What a process did with a connection. "In" is into the process: received.
///
/// An operation is a message or a piece of a stream that the socket took or
/// gave: a call of `send` is one, a `sendmmsg` as many as it sent messages, a
/// long `sendfile` as many as the kernel made of it. Looking without taking
/// (`MSG_PEEK`) is none, and moves no bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetworkSum {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Times it received.
    pub ops_in: u64,
    /// Times it sent.
    pub ops_out: u64,
    /// Connections made or accepted.
    pub connects: u64,
    /// Connections that failed.
    pub failures: u64,
}

/// What a core did lately with a socket: see [`super::file::FileLast`].
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetworkLast {
    /// The generation that it is of; see [`super::file::FileLast`].
    pub generation: u64,
    /// Address of the `struct sock`.
    pub socket: u64,
    /// Its cookie, which no other socket ever has.
    pub cookie: u64,
    /// `skc_addrpair`: a socket may be connected to another peer.
    pub addresses: u64,
    /// `skc_portpair`.
    pub ports: u32,
    /// Zero.
    pub unused: u32,
    /// Process and connection.
    pub key: NetworkKey,
    /// Bytes moved.
    pub bytes: u64,
    /// Times.
    pub ops: u64,
}

/// A connection was refused or timed out.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetworkRecord {
    /// Kind, time and process.
    pub header: Header,
    /// The connection.
    pub key: NetworkKey,
    /// The error's number.
    pub error: u32,
    /// Zero.
    pub unused: u32,
}

crate::offsets! {
    /// Sockets.
    pub struct NetworkOffsets from 128 {
        family = required "sock"."__sk_common.skc_family",
        addresses = required "sock"."__sk_common.skc_addrpair",
        peer_v4 = required "sock"."__sk_common.skc_daddr",
        local_v4 = required "sock"."__sk_common.skc_rcv_saddr",
        ports = required "sock"."__sk_common.skc_portpair",
        peer_port = required "sock"."__sk_common.skc_dport",
        local_port = required "sock"."__sk_common.skc_num",
        peer_v6 = required "sock"."__sk_common.skc_v6_daddr",
        local_v6 = required "sock"."__sk_common.skc_v6_rcv_saddr",
        cookie = required "sock"."__sk_common.skc_cookie",
        protocol = required "sock"."sk_protocol",
        kind = required "sock"."sk_type",
        error = required "sock"."sk_err",
        socket_sock = required "socket"."sk",
        unix_address = optional "unix_sock"."addr",
        unix_peer = optional "unix_sock"."peer",
        unix_address_length = optional "unix_address"."len",
        unix_address_name = optional "unix_address"."name",
        message_name = required "msghdr"."msg_name",
    }
}

plain! {
    NetworkKey is 64 bytes;
    NetworkSum is 48 bytes;
    NetworkLast is 120 bytes;
    NetworkRecord is 112 bytes;
}
