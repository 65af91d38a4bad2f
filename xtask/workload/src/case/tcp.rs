//! TCP: a known number of bytes each way, by calls for sockets, by calls for files, and by
//! `sendfile`. Server and client each print their own side.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bubble_workload::truth::{ConnectionTruth, EventTruth, Flow, Truth};
use clap::{Args, ValueEnum};

use super::blocks;
use crate::ledger::Ledger;
use crate::sys;

/// The calls that move the bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// `send` and `recv`
    SendRecv,
    /// `write` and `read`, as if the socket were a file
    ReadWrite,
    /// the client sends a file by `sendfile`; everything else by `send` and `recv`
    Sendfile,
}

/// Amount and calls. Both ends need the same.
#[derive(Debug, Args)]
pub(crate) struct Amount {
    /// Calls that move the bytes
    #[arg(long, value_enum, default_value = "send-recv")]
    pub(crate) by: By,
    /// Bytes from the client to the server
    #[arg(long, default_value_t = 777_000)]
    pub(crate) bytes: u64,
    /// Bytes from the server back to the client, after the others
    #[arg(long, default_value_t = 111_000)]
    pub(crate) reply: u64,
    /// Bytes passed to one call
    #[arg(long, default_value_t = 4096)]
    pub(crate) block: usize,
}

impl Amount {
    fn name(&self, role: &str) -> String {
        let by = self.by.to_possible_value();
        format!(
            "tcp-{role}-{}",
            by.map_or_else(String::new, |value| value.get_name().into())
        )
    }
}

/// Sends `bytes`, and counts bytes and calls.
pub(crate) fn send(socket: &impl AsRawFd, by: By, bytes: u64, block: usize) -> Result<Flow> {
    let mut flow = Flow::default();
    let data = vec![0x5a; block];
    blocks::repeat(bytes, block, |_, length| {
        let moved = match by {
            By::ReadWrite => sys::write(socket, &data[..length])?,
            By::SendRecv | By::Sendfile => sys::send(socket, &data[..length])?,
        };
        flow.add(moved);
        Ok(moved)
    })?;
    Ok(flow)
}

/// Receives exactly `bytes`, and counts bytes and calls.
pub(crate) fn receive(socket: &impl AsRawFd, by: By, bytes: u64, block: usize) -> Result<Flow> {
    let mut flow = Flow::default();
    let mut buffer = vec![0; block];
    blocks::repeat(bytes, block, |_, length| {
        let moved = match by {
            By::ReadWrite => sys::read(socket, &mut buffer[..length])?,
            By::SendRecv | By::Sendfile => sys::recv(socket, &mut buffer[..length])?,
        };
        flow.add(moved);
        Ok(moved)
    })?;
    Ok(flow)
}

fn record(ledger: &mut Ledger, socket: &TcpStream, received: Flow, sent: Flow) -> Result<()> {
    ledger.connection(ConnectionTruth {
        protocol: "tcp".into(),
        local: socket.local_addr()?.to_string(),
        peer: socket.peer_addr()?.to_string(),
        connected: true,
        pid: ledger.pid(),
        received,
        sent,
        role: None,
    });
    Ok(())
}

/// Serves one client.
pub(crate) fn serve(listen: SocketAddr, amount: &Amount) -> Result<Truth> {
    let mut ledger = Ledger::new(amount.name("server"));
    let listener =
        TcpListener::bind(listen).with_context(|| format!("cannot listen on {listen}"))?;
    eprintln!("listening on {}", listener.local_addr()?);
    let (socket, _) = listener.accept().context("cannot accept a connection")?;
    let received = receive(&socket, amount.by, amount.bytes, amount.block)?;
    let sent = send(&socket, amount.by, amount.reply, amount.block)?;
    record(&mut ledger, &socket, received, sent)?;
    Ok(ledger.close())
}

/// Connects to a server. Retries for 10 s if it does not listen yet.
pub(crate) fn connect(to: SocketAddr, amount: &Amount, directory: &Path) -> Result<Truth> {
    let mut ledger = Ledger::new(amount.name("client"));
    let deadline = Instant::now() + Duration::from_secs(10);
    let socket = loop {
        match TcpStream::connect(to) {
            Ok(socket) => break socket,
            Err(error) if Instant::now() > deadline => {
                return Err(error).with_context(|| format!("cannot connect to {to}"));
            }
            Err(_) => sleep(Duration::from_millis(20)),
        }
    };
    let sent = match amount.by {
        By::Sendfile => send_file(&mut ledger, &socket, amount, &directory.join("to-send"))?,
        by => send(&socket, by, amount.bytes, amount.block)?,
    };
    let received = receive(&socket, amount.by, amount.reply, amount.block)?;
    record(&mut ledger, &socket, received, sent)?;
    Ok(ledger.close())
}

fn send_file(
    ledger: &mut Ledger,
    socket: &TcpStream,
    amount: &Amount,
    path: &Path,
) -> Result<Flow> {
    blocks::fill(ledger, path, amount.bytes, 4096)?;
    let name = path.to_string_lossy().into_owned();
    let from = blocks::open(ledger, path, false)?;
    // Unless blocks are pages, a block crosses a page boundary of the file and is sent in two operations.
    if amount.block != 4096 {
        ledger.operations_differ();
    }
    let mut flow = Flow::default();
    blocks::repeat(amount.bytes, amount.block, |_, length| {
        let moved = sys::sendfile(socket, &from, length)?;
        ledger.read(&name, moved);
        flow.add(moved);
        Ok(moved)
    })?;
    let _ = fs::remove_file(path);
    Ok(flow)
}

/// Connects to an address without a listener.
pub(crate) fn refused(to: SocketAddr) -> Result<Truth> {
    let mut ledger = Ledger::new("refused");
    match TcpStream::connect(to) {
        Ok(_) => bail!("{to} has a listener: give an address without one"),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
            let pid = ledger.pid();
            ledger.event(EventTruth::ConnectionRefused {
                pid,
                peer: to.to_string(),
            });
        }
        Err(error) => bail!("{to} did not refuse: {error}"),
    }
    Ok(ledger.close())
}
