//! MPTCP: a client and a server in one process.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use anyhow::{Context, Result};
use bubble_workload::truth::{ConnectionTruth, Flow, Truth};

use crate::ledger::Ledger;
use crate::{rare, sys};

const BYTES: usize = 9000;

/// Connects to itself, and sends from the client to the server.
pub(crate) fn run() -> Result<Truth> {
    let mut ledger = Ledger::new("multipath");
    let [listener, client] = match (rare::multipath_listener(), rare::multipath_socket()) {
        (Ok(listener), Ok(client)) => [listener, client],
        (Err(error), _) | (_, Err(error)) => {
            ledger.unsupported("socket(IPPROTO_MPTCP)", &error);
            return Ok(ledger.close());
        }
    };
    let listener = std::net::TcpListener::from(listener);
    let address = listener.local_addr()?;
    rare::connect(&client, address).context("cannot connect")?;
    let client = TcpStream::from(client);
    let (server, _) = listener.accept().context("cannot accept")?;
    exchange(&mut ledger, client, server)?;
    Ok(ledger.close())
}

/// Sends from the client to the server, and records both ends of the connection.
pub(crate) fn exchange(
    ledger: &mut Ledger,
    mut client: TcpStream,
    mut server: TcpStream,
) -> Result<()> {
    let (mut sent, mut received) = (Flow::default(), Flow::default());
    sent.add(client.write(&[0x5a; BYTES])? as u64);
    let mut buffer = [0; BYTES];
    while received.bytes < sent.bytes {
        received.add(server.read(&mut buffer)? as u64);
    }
    ledger.operations_differ();
    let (near, far) = (
        client.local_addr()?.to_string(),
        server.local_addr()?.to_string(),
    );
    let connection = |role: &str, local: &str, peer: &str, received, sent| ConnectionTruth {
        protocol: "tcp".into(),
        local: local.into(),
        peer: peer.into(),
        connected: true,
        pid: sys::getpid(),
        received,
        sent,
        role: Some(role.into()),
    };
    ledger.connection(connection("client", &near, &far, Flow::default(), sent));
    ledger.connection(connection("server", &far, &near, received, Flow::default()));
    Ok(())
}
