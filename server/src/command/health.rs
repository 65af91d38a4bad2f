//! `health`: asks the server on this machine whether it can store posts. For health checks of images,
//! which have no other program.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// Longest wait: longer than the server waits for its store.
const TIMEOUT: Duration = Duration::from_secs(5);
/// Bytes of the answer that are read: more than its first line.
const MAX_ANSWER: u64 = 4_096;

pub(super) async fn run(listen: SocketAddr) -> Result<()> {
    let address = reachable(listen);
    let answer = tokio::time::timeout(TIMEOUT, ping(address)).await;
    let answer = answer
        .map_err(|_| anyhow::anyhow!("no answer within {} s", TIMEOUT.as_secs()))
        .and_then(|answer| answer)
        .with_context(|| format!("the server at {address} is not healthy"))?;
    let status = answer.lines().next().unwrap_or_default();
    ensure!(
        status.starts_with("HTTP/1.1 200"),
        "the server at {address} is not healthy: it answers {status:?}"
    );
    Ok(())
}

/// The answer to GET /ping.
async fn ping(address: SocketAddr) -> Result<String> {
    let mut stream = TcpStream::connect(address).await?;
    let request = format!("GET /ping HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

/// The address by which this machine reaches a server that listens on `listen`.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, listen.port())
}
