//! How many container-seconds the server takes in, per second of its own CPU time.
//!
//! `cargo run --release -p bubble-server --example bench_ingest` prints one JSON
//! object a line. The server is a process of its own (this program, started again),
//! on loopback, with SQLite on the disk, so that its CPU time is counted apart from
//! that of who posts. What it uses while it answers counts, all threads of it, and
//! nothing else: roll-up is measured as a case by itself.

mod common;
#[path = "common/cpu.rs"]
mod cpu;
#[path = "common/serve.rs"]
mod serve;

use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::SourceId;
use bubble_common::segment::testing::{Container, Size};
use bubble_server::auth::key;
use bubble_server::clock;
use bubble_server::http::batch::MEDIA_TYPE;
use bubble_server::metrics::Metrics;
use bubble_server::rollup::Rollup;
use bubble_server::rollup::retention::Retention;
use bubble_server::store::Store;
use bubble_server::store::sqlite::{Durability, Sqlite};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};

use common::print;
use cpu::cpu_of;

/// Containers of a host; an agent posts all of them in one batch.
const CONTAINERS: u64 = 100;
/// Hosts that post at the same time.
const HOSTS: u64 = 4;
/// Seconds that are posted of each container.
const SECONDS: u64 = 120;

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, data, durability] = &arguments[..]
        && word == "serve"
    {
        return serve(Path::new(data), durability).await;
    }
    for (variant, size) in [("quiet", Size::QUIET), ("busy", Size::BUSY)] {
        // Each second of each container by itself, as an agent does; and what a
        // spool holds after the server was away, several seconds in one.
        for (case, slots) in [("live", 1), ("spooled-10s", 10)] {
            for durability in ["power", "process"] {
                measure(
                    case,
                    &format!("{variant}-{durability}"),
                    size,
                    slots,
                    durability,
                )
                .await?;
            }
        }
    }
    Ok(())
}

/// The server's process: the real router on a free port, whose number it prints.
async fn serve(data: &Path, durability: &str) -> Result<()> {
    let durability = match durability {
        "power" => Durability::Power,
        _ => Durability::Process,
    };
    let store: Arc<dyn Store> = Arc::new(Sqlite::serve(data, durability)?);
    let (text, key) = key::create("bench", clock::now());
    store.create_key(key).await?;
    let (address, serving) = serve::listen(store).await?;
    println!("{address} {text}");
    serving.await
}

async fn measure(
    case: &str,
    variant: &str,
    size: Size,
    slots: u32,
    durability: &str,
) -> Result<()> {
    let data = TempDir::new()?;
    let mut child = tokio::process::Command::new(std::env::current_exe()?)
        .args([
            "serve".as_ref(),
            data.path().as_os_str(),
            durability.as_ref(),
        ])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    let output = child.stdout.take().context("no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).await?;
    let (address, key) = line.trim().split_once(' ').context("no address")?;
    let pid = child.id().context("the server ended")?;

    // Made beforehand: what the client does is not measured.
    let start = clock::now() / 60 * 60 - SECONDS - 60;
    let hosts: Vec<Vec<Vec<u8>>> = (0..HOSTS)
        .map(|host| bodies(host, start, size, slots))
        .collect();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (cpu, began) = (cpu_of(pid)?, Instant::now());
    let posts = hosts.into_iter().map(|bodies| {
        let (url, key) = (format!("http://{address}/api/v1/batch"), key.to_owned());
        tokio::spawn(async move {
            let client = reqwest::Client::new();
            for body in bodies {
                let answer = client
                    .post(&url)
                    .bearer_auth(&key)
                    .header("content-type", MEDIA_TYPE)
                    .body(body)
                    .send()
                    .await?;
                ensure!(answer.status().is_success(), "{}", answer.status());
                answer.bytes().await?;
            }
            Ok(())
        })
    });
    for post in posts.collect::<Vec<_>>() {
        post.await??;
    }
    let took = began.elapsed().as_secs_f64();
    let used = cpu_of(pid)? - cpu;
    let seconds = (HOSTS * CONTAINERS * SECONDS) as f64;
    print(
        "ingest",
        case,
        variant,
        seconds / used,
        "container-seconds/s/core",
    );
    print(
        "ingest",
        &format!("{case}-wall"),
        variant,
        seconds / took,
        "container-seconds/s",
    );
    child.kill().await?;
    if case == "live" && durability == "process" {
        roll_up(case, variant, data.path(), seconds).await?;
    }
    Ok(())
}

/// What packing and rolling up all of it costs afterwards.
async fn roll_up(case: &str, variant: &str, data: &Path, seconds: f64) -> Result<()> {
    let store: Arc<dyn Store> = Arc::new(Sqlite::serve(data, Durability::Process)?);
    let mut rollup = Rollup::new(store, Retention::default(), Arc::new(Metrics::default()));
    let cpu = cpu_of(std::process::id())?;
    let done = rollup.run(clock::now() + 600).await?;
    ensure!(
        done.failed == 0 && done.packed > 0,
        "roll-up failed: {done:?}"
    );
    let used = cpu_of(std::process::id())? - cpu;
    print(
        "ingest",
        &format!("{case}-rollup"),
        variant,
        seconds / used,
        "container-seconds/s/core",
    );
    Ok(())
}

/// What the agent of a host posts, body by body.
fn bodies(host: u64, start: u64, size: Size, slots: u32) -> Vec<Vec<u8>> {
    let source = SourceId([host as u8 + 1; 16]);
    let seeds = host * CONTAINERS..(host + 1) * CONTAINERS;
    let mut containers: Vec<Container> = seeds
        .map(|seed| Container::new(seed, start, size))
        .collect();
    (0..SECONDS / u64::from(slots))
        .map(|_| {
            let mut segments: Vec<_> = containers.iter_mut().map(|c| c.seconds(slots)).collect();
            for segment in &mut segments {
                segment.key.source = source;
            }
            let agent = AgentReport {
                host: format!("node{host}"),
                sent_at: clock::now_ns(),
                ..AgentReport::default()
            };
            Batch {
                source,
                agent,
                segments,
            }
            .encode()
        })
        .collect()
}
