//! Connections of a range.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use bubble_common::segment::cell::{Row, Value as _};
use bubble_common::segment::network::NetworkIo;
use bubble_common::segment::wait::UNIT;
use serde::Serialize;

use super::rows::{busiest, keys, size_of_keys};
use crate::memory::MemoryError;
use crate::query::bound::Bound;
use crate::query::gaps::Gaps;
use crate::query::io::{ConnectionSums, remote, service_port};
use crate::query::ledger::Ledger;

/// Network.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct NetworkPanel {
    /// Bytes received by slot.
    pub r#in: Vec<Option<u64>>,
    /// Bytes sent by slot.
    pub out: Vec<Option<u64>>,
    /// Connections made or accepted by slot.
    pub connects: Vec<Option<u64>>,
    /// Connections that failed by slot.
    pub failures: Vec<Option<u64>>,
    /// Peers: connections that agree in protocol, role, remote address and port of the service.
    /// Those with most failures come first, then the busiest.
    pub peers: Vec<PeerInfo>,
    /// How many peers there are.
    pub total_peers: u64,
    /// Connections, busiest first.
    pub rows: Vec<ConnectionInfo>,
    /// How many there are.
    pub total_rows: u64,
}

/// All connections with a peer.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct PeerInfo {
    /// `tcp`, `udp`, `unix`, `unix-datagram`, `raw`, `netlink`, `vsock`, `other`.
    pub protocol: &'static str,
    /// Side of the container: `client`, `server`, `unknown`.
    pub role: &'static str,
    /// IP address of the peer, or the path of a Unix socket, whichever end has it.
    pub remote: String,
    /// Port of the service; null if the protocol has no ports.
    pub port: Option<u16>,
    /// How many connections (pairs of addresses).
    pub connections: u64,
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

/// A connection over all processes.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct ConnectionInfo {
    /// The connection.
    #[serde(flatten)]
    pub connection: ConnectionSums,
    /// Keys of the processes.
    pub processes: Vec<String>,
}

impl NetworkPanel {
    pub(super) fn new(
        ledger: &Ledger<'_>,
        gaps: &Gaps<'_>,
        top: usize,
        bound: &Bound,
    ) -> Result<Self, MemoryError> {
        let series = &ledger.network_series;
        let (rows, total_rows) = busiest(&ledger.connections, top, |io| {
            (
                io.bytes_in.saturating_add(io.bytes_out),
                io.connects.saturating_add(io.failures),
            )
        });
        let sizes = rows.iter().map(|row| {
            let texts = ConnectionSums::texts(row.entry);
            size_of::<ConnectionInfo>() + texts + size_of_keys(&row.processes)
        });
        bound.take(sizes.sum())?;
        let all = ledger.connections.iter();
        let texts = all.map(|row| ConnectionSums::texts(row.entry));
        bound.take(texts.sum::<usize>() + ledger.connections.len() * size_of::<PeerInfo>())?;
        let mut peers = peers(ledger);
        let total_peers = peers.len() as u64;
        peers.truncate(top);
        Ok(Self {
            connects: gaps.sums(series.iter().map(|io| io.connects)),
            failures: gaps.sums(series.iter().map(|io| io.failures)),
            peers,
            total_peers,
            r#in: gaps.sums(series.iter().map(|io| io.bytes_in)),
            out: gaps.sums(series.iter().map(|io| io.bytes_out)),
            rows: rows
                .into_iter()
                .map(|row| ConnectionInfo {
                    connection: ConnectionSums::new(row.entry, &row.sum),
                    processes: keys(ledger, &row.processes),
                })
                .collect(),
            total_rows,
        })
    }
}

/// All peers, in the order of their failures, then of their bytes.
fn peers(ledger: &Ledger<'_>) -> Vec<PeerInfo> {
    let mut sums: BTreeMap<_, (u64, NetworkIo)> = BTreeMap::new();
    for row in &ledger.connections {
        let connection = row.entry;
        let (protocol, role) = (connection.protocol, connection.role);
        let peer = (protocol, role, remote(connection), service_port(connection));
        let (connections, sum) = sums.entry(peer).or_default();
        *connections += 1;
        sum.absorb(Row(0, 0), &row.sum);
    }
    let peers = sums.into_iter();
    let mut peers: Vec<PeerInfo> = peers
        .map(
            |((protocol, role, remote, port), (connections, io))| PeerInfo {
                protocol: protocol.name(),
                role: role.name(),
                remote,
                port,
                connections,
                bytes_in: io.bytes_in,
                bytes_out: io.bytes_out,
                ops_in: io.ops_in,
                ops_out: io.ops_out,
                connects: io.connects,
                failures: io.failures,
                waited_ns: io.waited.saturating_mul(UNIT),
            },
        )
        .collect();
    let bytes = |peer: &PeerInfo| peer.bytes_in.saturating_add(peer.bytes_out);
    peers.sort_by_key(|peer| Reverse((peer.failures, bytes(peer))));
    peers
}
