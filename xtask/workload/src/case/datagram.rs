//! UDP: a known number of datagrams each way. The client waits for each answer before it sends the
//! next datagram, so that no socket buffer overflows. Server and client each print their own side.

use std::net::{SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use bubble_workload::truth::{ConnectionTruth, Flow, Truth};
use clap::Args;

use crate::ledger::Ledger;
use crate::sys;

/// Addresses and amounts. Both ends need the same numbers.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Local address and port
    #[arg(long)]
    local: SocketAddr,
    /// Address and port of the other end
    #[arg(long)]
    peer: SocketAddr,
    /// Connect the socket to the peer; by default each call names the peer
    #[arg(long)]
    connected: bool,
    /// Datagrams each way
    #[arg(long, default_value_t = 1000)]
    count: u64,
    /// Bytes in a datagram of the client
    #[arg(long, default_value_t = 777)]
    bytes: usize,
    /// Bytes in an answer of the server
    #[arg(long, default_value_t = 111)]
    reply: usize,
}

struct End<'a> {
    socket: UdpSocket,
    options: &'a Options,
    received: Flow,
    sent: Flow,
}

impl<'a> End<'a> {
    fn new(options: &'a Options) -> Result<Self> {
        let local = options.local;
        let socket = UdpSocket::bind(local).with_context(|| format!("cannot bind {local}"))?;
        socket.set_read_timeout(Some(Duration::from_secs(20)))?;
        if options.connected {
            socket
                .connect(options.peer)
                .context("cannot connect the socket")?;
        }
        Ok(Self {
            socket,
            options,
            received: Flow::default(),
            sent: Flow::default(),
        })
    }

    fn send(&mut self, buffer: &[u8]) -> Result<()> {
        let moved = if self.options.connected {
            sys::send(&self.socket, buffer)?
        } else {
            self.socket.send_to(buffer, self.options.peer)? as u64
        };
        self.sent.add(moved);
        Ok(())
    }

    fn receive(&mut self, buffer: &mut [u8]) -> Result<()> {
        let moved = if self.options.connected {
            sys::recv(&self.socket, buffer)
        } else {
            self.socket.recv_from(buffer).map(|(moved, _)| moved as u64)
        }
        .context("no datagram within 20 s")?;
        ensure!(
            moved == buffer.len() as u64,
            "received a datagram of {moved} bytes instead of {}",
            buffer.len()
        );
        self.received.add(moved);
        Ok(())
    }

    fn finish(self, mut ledger: Ledger) -> Result<Truth> {
        ledger.connection(ConnectionTruth {
            protocol: "udp".into(),
            local: self.socket.local_addr()?.to_string(),
            peer: self.options.peer.to_string(),
            connected: self.options.connected,
            pid: ledger.pid(),
            received: self.received,
            sent: self.sent,
            role: None,
        });
        Ok(ledger.close())
    }
}

/// Answers `count` datagrams.
pub(crate) fn serve(options: &Options) -> Result<Truth> {
    let ledger = Ledger::new("udp-server");
    let mut end = End::new(options)?;
    eprintln!("listening on {}", end.socket.local_addr()?);
    let (mut question, answer) = (vec![0; options.bytes], vec![0x5a; options.reply]);
    for _ in 0..options.count {
        end.receive(&mut question)?;
        end.send(&answer)?;
    }
    end.finish(ledger)
}

/// Sends `count` datagrams and waits for the answer to each. The server must run already.
pub(crate) fn ask(options: &Options) -> Result<Truth> {
    let ledger = Ledger::new("udp-client");
    let mut end = End::new(options)?;
    let (question, mut answer) = (vec![0x5a; options.bytes], vec![0; options.reply]);
    for _ in 0..options.count {
        end.send(&question)?;
        end.receive(&mut answer)?;
    }
    end.finish(ledger)
}
