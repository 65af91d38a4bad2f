//! Connections: keys and values of their sums.

use super::key::ProcessKey;
use super::plain;
use super::record::Header;

/// A process and a connection. Names of Unix sockets are numbers here; their text
/// is sent once, like the paths of files.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct NetworkKey {
    /// The process.
    pub process: ProcessKey,
    /// Local address: IPv4 in the first 4 bytes, IPv6 in all 16, or the number of a
    /// Unix socket's name in the first 8 (0: no name).
    pub local: [u64; 2],
    /// Peer address, likewise.
    pub peer: [u64; 2],
    /// Local port, in the host's byte order.
    pub local_port: u16,
    /// Peer port, likewise.
    pub peer_port: u16,
    /// Kind of the addresses: [`family`].
    pub family: u8,
    /// Protocol: [`protocol`].
    pub protocol: u8,
    /// Role of the local end: [`role`].
    pub role: u8,
    /// Zero.
    pub unused: u8,
}

/// Kinds of addresses of a [`NetworkKey`].
pub mod family {
    /// No addresses.
    pub const NONE: u8 = 0;
    /// IPv4.
    pub const V4: u8 = 4;
    /// IPv6.
    pub const V6: u8 = 6;
    /// Numbers of Unix sockets' names.
    pub const UNIX: u8 = 1;
}

/// Protocols, numbered as in `segment::network::Protocol`.
pub mod protocol {
    /// Any other.
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

/// Roles, numbered as in `segment::network::Role`.
pub mod role {
    /// Unknown.
    pub const UNKNOWN: u8 = 0;
    /// This end connected.
    pub const CLIENT: u8 = 1;
    /// This end accepted.
    pub const SERVER: u8 = 2;
}

/// Sums of what a process did with a connection. "In" is into the process: received.
///
/// An operation is a message, or a piece of a stream, that the socket sent or
/// received. A call of `send` is one operation, a `sendmmsg` one per message, and
/// a long `sendfile` as many as the kernel splits it into. Peeking (`MSG_PEEK`)
/// is no operation and moves no bytes.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetworkSum {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Receive operations.
    pub ops_in: u64,
    /// Send operations.
    pub ops_out: u64,
    /// Connections made or accepted.
    pub connects: u64,
    /// Connections that failed.
    pub failures: u64,
    /// Time that threads slept in calls on it, ns.
    pub waited_ns: u64,
}

/// What a process did lately with a connection in one direction: an entry of the last-used cache
/// ([`super::cpu_state`]).
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetworkLast {
    /// Generation, as in [`super::file::FileLast`].
    pub generation: u64,
    /// Address of the `struct sock`.
    pub socket: u64,
    /// Cookie of the socket, which the kernel never reuses.
    pub cookie: u64,
    /// `skc_addrpair`. It changes when the socket is connected to another peer.
    pub addresses: u64,
    /// `skc_portpair`.
    pub ports: u32,
    /// Zero.
    pub unused: u32,
    /// Process and connection.
    pub key: NetworkKey,
    /// Bytes moved.
    pub bytes: u64,
    /// Operations.
    pub ops: u64,
}

/// A connection attempt failed.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetworkRecord {
    /// Kind, time and process.
    pub header: Header,
    /// The connection.
    pub key: NetworkKey,
    /// Error number (`errno`).
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
        is_multipath = optional "tcp_sock"."is_mptcp",
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
    NetworkSum is 56 bytes;
    NetworkLast is 120 bytes;
    NetworkRecord is 112 bytes;
}
