//! Files and connections with their sums, as answers have them.

use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::network::{Address, Connection, NetworkIo, Role};
use serde::Serialize;

/// A file, with the sums of its I/O.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FileSums {
    /// Path, as the container sees it; untrusted text.
    pub path: String,
    /// `file`, `directory`, `pipe`, `char`, `block`, `anonymous`, `other`, `unknown`.
    pub kind: &'static str,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Reads.
    pub ops_in: u64,
    /// Writes.
    pub ops_out: u64,
    /// Opens.
    pub opens: u64,
    /// Pages of its mappings that a page fault brought in; 0 if nothing counts them.
    pub mapped_pages: u64,
}

/// A connection, with the sums of its I/O.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ConnectionSums {
    /// `tcp`, `udp`, `unix`, `unix-datagram`, `raw`, `netlink`, `vsock`, `other`.
    pub protocol: &'static str,
    /// Side of the container: `client`, `server`, `unknown`.
    pub role: &'static str,
    /// Local address.
    pub local: String,
    /// Address of the peer.
    pub peer: String,
    /// The peer without a port that changes with each connection: its IP address, or the path of
    /// a Unix socket, whichever end has it. Empty if unknown.
    pub remote: String,
    /// Port of the service: the peer's if the container connected, its own if it accepted. If
    /// the role is unknown, the lower one. Null if the protocol has no ports.
    pub port: Option<u16>,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Receives.
    pub ops_in: u64,
    /// Sends.
    pub ops_out: u64,
    /// Connections established, by either side.
    pub connects: u64,
    /// Connections that failed.
    pub failures: u64,
}

impl FileSums {
    /// The sums `io` of `file`.
    pub fn new(file: &File, io: &FileIo) -> Self {
        Self {
            path: file.path.clone(),
            kind: file.kind.name(),
            bytes_in: io.bytes_in,
            bytes_out: io.bytes_out,
            ops_in: io.ops_in,
            ops_out: io.ops_out,
            opens: io.opens,
            mapped_pages: io.mapped_pages,
        }
    }
}

impl ConnectionSums {
    /// The sums `io` of `connection`.
    pub fn new(connection: &Connection, io: &NetworkIo) -> Self {
        Self {
            protocol: connection.protocol.name(),
            role: connection.role.name(),
            local: connection.local.to_string(),
            peer: connection.peer.to_string(),
            remote: remote(connection),
            port: service_port(connection),
            bytes_in: io.bytes_in,
            bytes_out: io.bytes_out,
            ops_in: io.ops_in,
            ops_out: io.ops_out,
            connects: io.connects,
            failures: io.failures,
        }
    }
}

/// The peer, as connections to it are grouped by. The accepting end of a Unix socket has a path,
/// the connecting end usually none.
pub(super) fn remote(connection: &Connection) -> String {
    match (&connection.peer, &connection.local) {
        (Address::Ip(ip, _), _) => ip.to_string(),
        (Address::Path(path), _) | (Address::None, Address::Path(path)) => path.clone(),
        (Address::None, _) => String::new(),
    }
}

/// Port of the service that a connection is to.
pub(super) fn service_port(connection: &Connection) -> Option<u16> {
    let port = |address: &Address| match address {
        Address::Ip(_, port) if *port > 0 => Some(*port),
        _ => None,
    };
    let (local, peer) = (port(&connection.local), port(&connection.peer));
    match connection.role {
        Role::Client => peer,
        Role::Server => local,
        Role::Unknown => match (local, peer) {
            (Some(local), Some(peer)) => Some(local.min(peer)),
            (local, peer) => peer.or(local),
        },
    }
}
