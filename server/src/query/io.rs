//! Files and connections with what went through them, as answers have them.

use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::network::{Connection, NetworkIo};
use serde::Serialize;

/// A file, and what was done with it.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct FileSums {
    /// Path, as the container sees it; text from strangers.
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
}

/// A connection, and what went through it.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ConnectionSums {
    /// `tcp`, `udp`, `unix`, `unix-datagram`, `raw`, `netlink`, `vsock`, `other`.
    pub protocol: &'static str,
    /// Which side the container is: `client`, `server`, `unknown`.
    pub role: &'static str,
    /// This end.
    pub local: String,
    /// The other end.
    pub peer: String,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Receives.
    pub ops_in: u64,
    /// Sends.
    pub ops_out: u64,
    /// Connections made or accepted.
    pub connects: u64,
    /// Connections that failed.
    pub failures: u64,
}

impl FileSums {
    /// What `io` says of `file`.
    pub fn new(file: &File, io: &FileIo) -> Self {
        Self {
            path: file.path.clone(),
            kind: file.kind.name(),
            bytes_in: io.bytes_in,
            bytes_out: io.bytes_out,
            ops_in: io.ops_in,
            ops_out: io.ops_out,
            opens: io.opens,
        }
    }
}

impl ConnectionSums {
    /// What `io` says of `connection`.
    pub fn new(connection: &Connection, io: &NetworkIo) -> Self {
        Self {
            protocol: connection.protocol.name(),
            role: connection.role.name(),
            local: connection.local.to_string(),
            peer: connection.peer.to_string(),
            bytes_in: io.bytes_in,
            bytes_out: io.bytes_out,
            ops_in: io.ops_in,
            ops_out: io.ops_out,
            connects: io.connects,
            failures: io.failures,
        }
    }
}
