//! Connections, and what processes received and sent through them.

use std::fmt;
use std::net::IpAddr;

use super::cell::value;
use super::process::OTHER;

/// One connection, or one pair of addresses of a connectionless socket: a row
/// of the dictionary of connections.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Connection {
    /// The protocol.
    pub protocol: Protocol,
    /// Which end opened it, if known.
    pub role: Role,
    /// This end.
    pub local: Address,
    /// The other end.
    pub peer: Address,
}

/// Protocol of a socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Protocol {
    /// None of the following.
    #[default]
    Other = 0,
    /// TCP over IPv4 or IPv6.
    Tcp = 1,
    /// UDP over IPv4 or IPv6.
    Udp = 2,
    /// A Unix stream socket.
    UnixStream = 3,
    /// A Unix datagram or seqpacket socket.
    UnixDatagram = 4,
    /// A raw socket, such as for ICMP.
    Raw = 5,
    /// A netlink socket.
    Netlink = 6,
    /// A socket of the AF_VSOCK family.
    Vsock = 7,
}

impl Protocol {
    /// The protocol with the number `n` on the wire.
    pub const fn from_u8(n: u8) -> Option<Self> {
        Some(match n {
            0 => Self::Other,
            1 => Self::Tcp,
            2 => Self::Udp,
            3 => Self::UnixStream,
            4 => Self::UnixDatagram,
            5 => Self::Raw,
            6 => Self::Netlink,
            7 => Self::Vsock,
            _ => return None,
        })
    }

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Other => "other",
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::UnixStream => "unix",
            Self::UnixDatagram => "unix-datagram",
            Self::Raw => "raw",
            Self::Netlink => "netlink",
            Self::Vsock => "vsock",
        }
    }
}

/// Which side of a connection the container is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[repr(u8)]
pub enum Role {
    /// Not known, or the socket has no role.
    #[default]
    Unknown = 0,
    /// It connected.
    Client = 1,
    /// It accepted.
    Server = 2,
}

impl Role {
    /// The role with the number `n` on the wire.
    pub const fn from_u8(n: u8) -> Option<Self> {
        Some(match n {
            0 => Self::Unknown,
            1 => Self::Client,
            2 => Self::Server,
            _ => return None,
        })
    }

    /// Its name in the API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Client => "client",
            Self::Server => "server",
        }
    }
}

/// One end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Address {
    /// Not known, or the protocol has no addresses.
    #[default]
    None,
    /// An IP address and a port (0 if the protocol has no ports). IPv4-mapped
    /// IPv6 addresses are written as IPv4.
    Ip(IpAddr, u16),
    /// Path of a Unix socket. An abstract one begins with `@`.
    Path(String),
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => Ok(()),
            Self::Ip(IpAddr::V4(ip), port) => write!(f, "{ip}:{port}"),
            Self::Ip(IpAddr::V6(ip), port) => write!(f, "[{ip}]:{port}"),
            Self::Path(path) => f.write_str(path),
        }
    }
}

impl Connection {
    /// The row that stands for the connections beyond the cap.
    pub fn other() -> Self {
        Self {
            protocol: Protocol::Other,
            role: Role::Unknown,
            local: Address::None,
            peer: Address::Path(OTHER.to_owned()),
        }
    }
}

/// What one process did with one connection in a slot. "In" means into the process: received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NetworkIo {
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Calls that received.
    pub ops_in: u64,
    /// Calls that sent.
    pub ops_out: u64,
    /// Connections made or accepted.
    pub connects: u64,
    /// Connections that failed.
    pub failures: u64,
    /// Time that threads waited for it, summed over threads, in [`super::wait::UNIT`]s. It is part of the
    /// waits for sockets of the process. 0 where no source counts it.
    pub waited: u64,
}
value!(NetworkIo {
    bytes_in: add,
    bytes_out: add,
    ops_in: add,
    ops_out: add,
    connects: add,
    failures: add;
    since version 2: waited: add
} [(2, 3), (0, 2), (1, 3)]);
