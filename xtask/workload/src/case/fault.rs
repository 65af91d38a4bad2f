//! UDP: calls that receive a datagram, and then fail because they cannot store its sender's address.

use std::net::{Ipv4Addr, UdpSocket};

use anyhow::{Context, Result, ensure};
use bubble_workload::truth::{ConnectionTruth, Flow, Truth};

use crate::ledger::Ledger;
use crate::{rare, sys};

/// Datagrams whose sender's address cannot be stored, and others.
const FAILED: usize = 10;
const RECEIVED: usize = 5;
const BYTES: usize = 700;

/// Sends datagrams to its own socket and receives them.
pub(crate) fn run() -> Result<Truth> {
    let mut ledger = Ledger::new("fault");
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).context("cannot bind")?;
    let address = socket.local_addr()?;
    let mut buffer = [0x5a; BYTES];
    let (mut sent, mut received) = (Flow::default(), Flow::default());
    for _ in 0..RECEIVED {
        sent.add(socket.send_to(&buffer, address)? as u64);
        received.add(socket.recv_from(&mut buffer)?.0 as u64);
    }
    // The last calls, so that no later one can count for them.
    for _ in 0..FAILED {
        sent.add(socket.send_to(&buffer, address)? as u64);
        let error = rare::recv_without_address(&socket, &mut buffer);
        ensure!(error == Some(libc::EFAULT), "recvfrom returned {error:?}");
        received.add(BYTES as u64);
    }
    // Only hooks that see the message know the peer of what a failed call received.
    ledger.connection(ConnectionTruth {
        protocol: "udp".into(),
        local: address.to_string(),
        peer: "?".into(),
        connected: false,
        pid: sys::getpid(),
        received,
        sent,
        role: None,
    });
    Ok(ledger.close())
}
