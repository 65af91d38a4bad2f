//! Container-seconds that the server stores per second of its own CPU time.
//!
//! `cargo run --release -p bubble-server --example bench_ingest` prints one JSON
//! object a line. The server is a separate process (this program, started again), so
//! that its CPU time does not include the client's. It listens on loopback and stores in
//! SQLite on the disk. All its threads count, while it answers posts; roll-up is a case
//! of its own.

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
use bubble_server::auth::key;
use bubble_server::clock;
use bubble_server::http::batch::MEDIA_TYPE;
use bubble_server::metrics::Metrics;
use bubble_server::rollup::Rollup;
use bubble_server::span::retention::Retention;
use bubble_server::store::Store;
use bubble_server::store::sqlite::{Durability, Sqlite};
use bubble_testing::container::{Container, Size};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

use common::print;
use cpu::cpu_of;

/// Containers of a host; an agent posts all of them in one batch.
const CONTAINERS: u64 = 100;
/// Hosts that post at the same time.
const HOSTS: u64 = 4;
/// Seconds that are posted of each container.
const SECONDS: u64 = 120;
/// Measurements of each case. The cases take turns, so that a load of the machine meets all of them.
const ROUNDS: usize = 3;
/// Cases: seconds in one segment. Agents deliver each second what somebody looks at, and the rest every
/// ten seconds, cut at the minute.
const DELIVERIES: [(&str, u32); 2] = [("live-1s", 1), ("live-10s", 10)];

#[tokio::main]
async fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().collect();
    if let [_, word, data, durability] = &arguments[..]
        && word == "serve"
    {
        return serve(Path::new(data), durability).await;
    }
    for (variant, size) in [("quiet", Size::QUIET), ("busy", Size::BUSY)] {
        for durability in ["power", "process"] {
            let mut rounds: [Vec<Measured>; 2] = [Vec::new(), Vec::new()];
            for _ in 0..ROUNDS {
                for (round, (_, slots)) in rounds.iter_mut().zip(DELIVERIES) {
                    round.push(measure(size, slots, durability).await?);
                }
            }
            let variant = format!("{variant}-{durability}");
            for (round, (case, _)) in rounds.iter().zip(DELIVERIES) {
                report(case, &variant, round);
            }
        }
    }
    Ok(())
}

/// Container-seconds per second.
struct Measured {
    /// Of the server's CPU time.
    per_core: f64,
    /// Of time.
    wall: f64,
    /// Of the CPU time of packing and rolling up, if that was measured.
    roll_up: Option<f64>,
}

/// Prints the medians of all rounds of a case.
fn report(case: &str, variant: &str, rounds: &[Measured]) {
    let median = |of: fn(&Measured) -> Option<f64>| {
        let mut values: Vec<f64> = rounds.iter().filter_map(of).collect();
        values.sort_by(f64::total_cmp);
        values.get(values.len() / 2).copied()
    };
    let per_core = "container-seconds/s/core";
    let rows = [
        ("", median(|of| Some(of.per_core)), per_core),
        ("-wall", median(|of| Some(of.wall)), "container-seconds/s"),
        ("-rollup", median(|of| of.roll_up), per_core),
    ];
    for (suffix, value, unit) in rows {
        if let Some(value) = value {
            print("ingest", &format!("{case}{suffix}"), variant, value, unit);
        }
    }
}

/// The server's process: the real router on a free port. Prints the port.
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

async fn measure(size: Size, slots: u32, durability: &str) -> Result<Measured> {
    let data = TempDir::new()?;
    let mut child = start_server(data.path(), durability)?;
    let output = child.stdout.take().context("no output")?;
    let mut line = String::new();
    BufReader::new(output).read_line(&mut line).await?;
    let (address, key) = line.trim().split_once(' ').context("no address")?;
    let pid = child.id().context("the server ended")?;

    // Made before the measurement.
    let start = clock::now() / 60 * 60 - SECONDS - 60;
    let hosts: Vec<Vec<Vec<u8>>> = (0..HOSTS)
        .map(|host| bodies(host, start, size, slots))
        .collect();
    let _ = rustls::crypto::ring::default_provider().install_default();
    let (cpu, began) = (cpu_of(pid)?, Instant::now());
    let posts = hosts.into_iter().map(|bodies| {
        let (url, key) = (format!("http://{address}/api/v1/batch"), key.to_owned());
        tokio::spawn(async move { post_all(&url, &key, bodies).await })
    });
    for post in posts.collect::<Vec<_>>() {
        post.await??;
    }
    let took = began.elapsed().as_secs_f64();
    let used = cpu_of(pid)? - cpu;
    let seconds = (HOSTS * CONTAINERS * SECONDS) as f64;
    child.kill().await?;
    let roll_up = match durability {
        "process" => Some(seconds / roll_up(data.path()).await?),
        _ => None,
    };
    Ok(Measured {
        per_core: seconds / used,
        wall: seconds / took,
        roll_up,
    })
}

/// Starts this program again, as the server.
fn start_server(data: &Path, durability: &str) -> Result<Child> {
    let child = Command::new(std::env::current_exe()?)
        .args(["serve".as_ref(), data.as_os_str(), durability.as_ref()])
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()?;
    Ok(child)
}

/// Posts the batches of one host, one after the other.
async fn post_all(url: &str, key: &str, bodies: Vec<Vec<u8>>) -> Result<()> {
    let client = reqwest::Client::new();
    for body in bodies {
        let answer = client
            .post(url)
            .bearer_auth(key)
            .header("content-type", MEDIA_TYPE)
            .body(body)
            .send()
            .await?;
        ensure!(answer.status().is_success(), "{}", answer.status());
        answer.bytes().await?;
    }
    Ok(())
}

/// CPU time of packing and rolling up all of it.
async fn roll_up(data: &Path) -> Result<f64> {
    let store: Arc<dyn Store> = Arc::new(Sqlite::serve(data, Durability::Process)?);
    let mut rollup = Rollup::new(store, Retention::default(), Arc::new(Metrics::default()));
    let cpu = cpu_of(std::process::id())?;
    let done = rollup.run(clock::now() + 600).await?;
    ensure!(
        done.failed == 0 && done.packed > 0,
        "roll-up failed: {done:?}"
    );
    Ok(cpu_of(std::process::id())? - cpu)
}

/// The bodies that the agent of a host posts.
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
