//! Files and connections with their sums, as answers have them.

use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::network::{Address, Connection, NetworkIo, Role};
use bubble_common::segment::wait::UNIT;
use serde::Serialize;

use super::text::Text;

/// A file, with the sums of its I/O.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FileSums {
    /// Path, as the container sees it; untrusted text.
    #[schema(value_type = String)]
    pub path: Text,
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
    /// Time that threads waited for it, summed over threads, ns; 0 if nothing counts it.
    pub waited_ns: u64,
}

/// A connection, with the sums of its I/O.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ConnectionSums {
    /// `tcp`, `udp`, `unix`, `unix-datagram`, `raw`, `netlink`, `vsock`, `other`.
    pub protocol: &'static str,
    /// Side of the container: `client`, `server`, `unknown`.
    pub role: &'static str,
    /// Local address.
    #[schema(value_type = String)]
    pub local: Text,
    /// Address of the peer.
    #[schema(value_type = String)]
    pub peer: Text,
    /// The peer without a port that changes with each connection: its IP address, or the path of
    /// a Unix socket, whichever end has it. Empty if unknown.
    #[schema(value_type = String)]
    pub remote: Text,
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
    /// Time that threads waited for it, summed over threads, ns; 0 if nothing counts it.
    pub waited_ns: u64,
}

impl FileSums {
    /// Memory of the sums of `file`, in bytes, beside the row itself.
    pub(super) fn texts(file: &File) -> usize {
        file.path.len()
    }

    /// The sums `io` of the same file.
    pub(super) fn with(&self, io: &FileIo) -> Self {
        Self {
            path: self.path.clone(),
            kind: self.kind,
            bytes_in: io.bytes_in,
            bytes_out: io.bytes_out,
            ops_in: io.ops_in,
            ops_out: io.ops_out,
            opens: io.opens,
            mapped_pages: io.mapped_pages,
            waited_ns: io.waited.saturating_mul(UNIT),
        }
    }

    /// The sums `io` of `file`.
    pub fn new(file: &File, io: &FileIo) -> Self {
        let file = Self {
            path: file.path.as_str().into(),
            kind: file.kind.name(),
            bytes_in: 0,
            bytes_out: 0,
            ops_in: 0,
            ops_out: 0,
            opens: 0,
            mapped_pages: 0,
            waited_ns: 0,
        };
        file.with(io)
    }
}

impl ConnectionSums {
    /// Memory of the sums of `connection`, in bytes, beside the row itself.
    pub(super) fn texts(connection: &Connection) -> usize {
        // The peer is there twice. An address without a path is short.
        let text = |address: &Address| match address {
            Address::Path(path) => path.len(),
            Address::Ip(..) | Address::None => 48,
        };
        2 * (text(&connection.local) + text(&connection.peer))
    }

    /// The sums `io` of the same connection.
    pub(super) fn with(&self, io: &NetworkIo) -> Self {
        Self {
            bytes_in: io.bytes_in,
            bytes_out: io.bytes_out,
            ops_in: io.ops_in,
            ops_out: io.ops_out,
            connects: io.connects,
            failures: io.failures,
            waited_ns: io.waited.saturating_mul(UNIT),
            ..self.clone()
        }
    }

    /// The sums `io` of `connection`.
    pub fn new(connection: &Connection, io: &NetworkIo) -> Self {
        Self {
            protocol: connection.protocol.name(),
            role: connection.role.name(),
            local: connection.local.to_string().into(),
            peer: connection.peer.to_string().into(),
            remote: remote(connection).into(),
            port: service_port(connection),
            bytes_in: io.bytes_in,
            bytes_out: io.bytes_out,
            ops_in: io.ops_in,
            ops_out: io.ops_out,
            connects: io.connects,
            failures: io.failures,
            waited_ns: io.waited.saturating_mul(UNIT),
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
