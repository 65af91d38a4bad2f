//! Unix sockets: a parent and its child at the two ends of a socket.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;

use anyhow::{Context, Result, ensure};
use bubble_workload::truth::{ConnectionTruth, Truth};
use clap::{Args, ValueEnum};

use super::tcp::{By, receive, send};
use crate::ledger::Ledger;
use crate::sys;

/// Kind of socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// `SOCK_STREAM`: the parent's end has a path, the child's has no name
    Stream,
    /// `SOCK_DGRAM`: each end has a path
    Datagram,
}

/// Amount and calls.
#[derive(Debug, Args)]
pub(crate) struct Options {
    /// Kind of socket
    #[arg(long, value_enum)]
    kind: Kind,
    /// Calls that move the bytes (not sendfile)
    #[arg(long, value_enum, default_value = "send-recv")]
    by: By,
    /// Bytes from the child to the parent
    #[arg(long, default_value_t = 777_000)]
    bytes: u64,
    /// Bytes from the parent back to the child, after the others
    #[arg(long, default_value_t = 111_000)]
    reply: u64,
    /// Bytes passed to one call; the size of a datagram
    #[arg(long, default_value_t = 1000)]
    block: usize,
}

/// Runs the case in a parent and a child, and unites their counts.
pub(crate) fn run(directory: &Path, options: &Options) -> Result<Truth> {
    ensure!(
        options.by != By::Sendfile,
        "--by sendfile is not supported for Unix sockets"
    );
    let (parents, childs) = (
        directory.join("parent.socket"),
        directory.join("child.socket"),
    );
    let truth = match options.kind {
        Kind::Stream => stream(options, &parents),
        Kind::Datagram => datagram(options, &parents, &childs),
    };
    let _ = fs::remove_file(&parents);
    let _ = fs::remove_file(&childs);
    truth
}

fn stream(options: &Options, path: &Path) -> Result<Truth> {
    let mut ledger = Ledger::new("unix-stream");
    let name = path.to_string_lossy();
    let listener = UnixListener::bind(path).with_context(|| format!("cannot listen on {name}"))?;
    let child = || {
        let socket = UnixStream::connect(path).context("cannot connect")?;
        talk(&socket, options, "unix", "", &name, true)
    };
    with_child(&mut ledger, child, || {
        let (socket, _) = listener.accept().context("cannot accept the child")?;
        talk(&socket, options, "unix", &name, "", false)
    })?;
    Ok(ledger.close())
}

fn datagram(options: &Options, parents: &Path, childs: &Path) -> Result<Truth> {
    let mut ledger = Ledger::new("unix-datagram");
    let parent = UnixDatagram::bind(parents).context("cannot bind the parent's socket")?;
    let child = UnixDatagram::bind(childs).context("cannot bind the child's socket")?;
    parent
        .connect(childs)
        .context("cannot connect the parent's socket")?;
    child
        .connect(parents)
        .context("cannot connect the child's socket")?;
    let (parents, childs) = (parents.to_string_lossy(), childs.to_string_lossy());
    with_child(
        &mut ledger,
        || talk(&child, options, "unix-datagram", &childs, &parents, true),
        || talk(&parent, options, "unix-datagram", &parents, &childs, false),
    )?;
    Ok(ledger.close())
}

/// Does the work of one end. The child sends first, the parent answers.
fn talk(
    socket: &impl AsRawFd,
    options: &Options,
    protocol: &str,
    local: &str,
    peer: &str,
    first: bool,
) -> Result<ConnectionTruth> {
    let Options {
        by,
        bytes,
        reply,
        block,
        ..
    } = *options;
    let (received, sent) = if first {
        let sent = send(socket, by, bytes, block)?;
        (receive(socket, by, reply, block)?, sent)
    } else {
        (
            receive(socket, by, bytes, block)?,
            send(socket, by, reply, block)?,
        )
    };
    Ok(ConnectionTruth {
        protocol: protocol.into(),
        local: local.into(),
        peer: peer.into(),
        connected: true,
        pid: sys::getpid(),
        received,
        sent,
        role: None,
    })
}

/// Runs `child` in a fork and `parent` here, and records the counts of both.
fn with_child(
    ledger: &mut Ledger,
    child: impl FnOnce() -> Result<ConnectionTruth>,
    parent: impl FnOnce() -> Result<ConnectionTruth>,
) -> Result<()> {
    let (out_of_pipe, into_pipe) = sys::pipe().context("cannot make a pipe")?;
    let Some(pid) = sys::fork().context("cannot fork")? else {
        drop(out_of_pipe);
        sys::exit(
            match child().and_then(|account| send_counts(into_pipe.into(), account)) {
                Ok(()) => 0,
                Err(error) => {
                    eprintln!("child: {error:#}");
                    1
                }
            },
        );
    };
    drop(into_pipe);
    let own = parent()?;
    let mut accounts = String::new();
    File::from(out_of_pipe).read_to_string(&mut accounts)?;
    let ended = sys::wait(pid).context("cannot wait for the child")?;
    ensure!(ended.exit_code == Some(0), "the child failed");
    ledger.connection(own);
    ledger.unite(serde_json::from_str(&accounts).context("the child's counts are not JSON")?);
    ledger.ended(pid, std::env::args().collect(), ended);
    Ok(())
}

fn send_counts(mut pipe: File, account: ConnectionTruth) -> Result<()> {
    let truth = Truth {
        connections: vec![account],
        ..Truth::default()
    };
    Ok(pipe.write_all(&serde_json::to_vec(&truth)?)?)
}
