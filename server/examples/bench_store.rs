//! Both stores side by side: speed of posts, bytes on the disk, and time of the page's requests.
//!
//! `cargo xtask bench store` runs this twice, with a node of Cassandra beside it: `fill FOLDER`
//! measures posts and packs; then the node flushes and compacts; `ask FOLDER NODE` measures
//! the disk (NODE is the folder of the node's data) and the pages.

#[path = "common/cluster.rs"]
mod cluster;
mod common;
#[path = "common/cpu.rs"]
mod cpu;
#[path = "common/fill.rs"]
mod fill;
#[path = "common/page.rs"]
mod page;
#[path = "common/serve.rs"]
mod serve;
#[path = "common/spans.rs"]
mod spans;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::{Resolution, SourceId};
use bubble_server::auth::key;
use bubble_server::auth::token::{self, Access};
use bubble_server::clock;
use bubble_server::ingest::live::Live;
use bubble_server::ingest::{Ingest, Origin};
use bubble_server::memory::{Memory, default_limit};
use bubble_server::metrics::Metrics;
use bubble_server::rollup::Rollup;
use bubble_server::span::retention::Retention;
use bubble_server::store::Store;
use bubble_server::store::sqlite::{self, Durability, Sqlite};
use bubble_testing::container::{Container, Size};

use common::print;
use cpu::cpu_of;
use page::Page;
use spans::packed_spans;

const KEYSPACE: &str = "bench_store";
/// For posts of single seconds; dropped afterwards.
const POSTED: &str = "bench_store_in";
/// File in the folder: the number of container-seconds at 1 s.
const COUNT: &str = "container-seconds";
/// Hosts that post, each 100 containers in one batch.
const HOSTS: u64 = 4;
const OF_HOST: u64 = 100;
/// Seconds that they post.
const SECONDS: u64 = 30;
/// Requests of each page: p99 is the fifth longest.
const ROUNDS: usize = 500;

/// Data for the pages: busy containers, at one resolution.
struct Stock {
    case: &'static str,
    resolution: Resolution,
    /// Seeds.
    containers: std::ops::Range<u64>,
    /// Seconds up to now.
    seconds: u64,
}

const STOCK: [Stock; 3] = [
    Stock {
        case: "1h-of-seconds",
        resolution: Resolution::Second,
        containers: 1_000..1_040,
        seconds: 3_600,
    },
    Stock {
        case: "2d-of-minutes",
        resolution: Resolution::Minute,
        containers: 2_000..2_020,
        seconds: 2 * 86_400,
    },
    Stock {
        case: "120d-of-hours",
        resolution: Resolution::Hour,
        containers: 3_000..3_020,
        seconds: 120 * 86_400,
    },
];

/// A bit longer than the default, so that nothing expires during the measurement.
fn retention() -> Retention {
    let default = Retention::default();
    Retention {
        seconds: default.seconds + 7_200,
        minutes: default.minutes + 86_400,
        hours: default.hours + 86_400,
        finished: 0,
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    // Shows why a span was not packed.
    tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_env_filter("bubble_server=warn")
        .init();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments[..] {
        ["fill", folder] => fill_both(Path::new(folder)).await,
        ["ask", folder, node] => ask_both(Path::new(folder), Path::new(node)).await,
        _ => bail!("fill FOLDER, or ask FOLDER NODE"),
    }
}

async fn fill_both(folder: &Path) -> Result<()> {
    let (posted, address) = (cluster::address(POSTED)?, cluster::address(KEYSPACE)?);
    for address in [&posted, &address] {
        cluster::drop(address).await?;
    }
    let lite = Sqlite::serve(&folder.join(POSTED), Durability::Power)?;
    ingest("sqlite", &(Arc::new(lite) as Arc<dyn Store>)).await?;
    ingest("cassandra", &cluster::open(&posted, retention()).await?).await?;
    cluster::drop(&posted).await?;

    let lite: Arc<dyn Store> = Arc::new(Sqlite::serve(folder, Durability::Power)?);
    let large = cluster::open(&address, retention()).await?;
    let now = clock::now();
    for stock in &STOCK {
        fill("sqlite", &lite, stock, now).await?;
        let seconds = fill("cassandra", &large, stock, now).await?;
        if stock.resolution == Resolution::Second {
            std::fs::write(folder.join(COUNT), seconds.to_string())?;
            let bytes = used_by_sqlite(folder)?;
            print(
                "store",
                "disk-of-1s",
                "sqlite",
                bytes / seconds as f64,
                "bytes/container-second",
            );
        }
    }
    Ok(())
}

async fn ask_both(folder: &Path, node: &Path) -> Result<()> {
    let seconds: u64 = std::fs::read_to_string(folder.join(COUNT))?.parse()?;
    let bytes = used_by_table(&node.join("data").join(KEYSPACE), "packed_second-")?;
    print(
        "store",
        "disk-of-1s",
        "cassandra",
        bytes as f64 / seconds as f64,
        "bytes/container-second",
    );
    let address = cluster::address(KEYSPACE)?;
    ask(
        "sqlite",
        Arc::new(Sqlite::serve(folder, Durability::Power)?),
    )
    .await?;
    ask("cassandra", cluster::open(&address, retention()).await?).await?;
    cluster::drop(&address).await
}

/// A clock for wall time, and for CPU time of this process and of the Cassandra node.
struct Meter<'a> {
    name: &'a str,
    began: Instant,
    pids: Vec<(&'static str, u32, f64)>,
}

impl<'a> Meter<'a> {
    fn new(name: &'a str) -> Result<Self> {
        let mut pids = vec![("server-cpu", std::process::id(), 0.0)];
        if name == "cassandra" {
            let node = std::env::var("BUBBLE_CASSANDRA_PID").context("no BUBBLE_CASSANDRA_PID")?;
            pids.push(("node-cpu", node.parse()?, 0.0));
        }
        for (_, pid, used) in &mut pids {
            *used = cpu_of(*pid)?;
        }
        let began = Instant::now();
        Ok(Self { name, began, pids })
    }

    fn print(&self, case: &str, slots: u64) -> Result<()> {
        let slots = slots as f64;
        let rate = slots / self.began.elapsed().as_secs_f64();
        print("store", case, self.name, rate, "container-slots/s");
        for (what, pid, before) in &self.pids {
            let each = (cpu_of(*pid)? - before) * 1e6 / slots;
            let variant = format!("{}-{what}", self.name);
            print("store", case, &variant, each, "µs/container-slot");
        }
        Ok(())
    }
}

/// Stores batches, as they come over HTTP.
async fn ingest(name: &str, store: &Arc<dyn Store>) -> Result<()> {
    let metrics = Arc::new(Metrics::default());
    let memory = Memory::new(default_limit()).posts;
    let ingest = Arc::new(Ingest::new(
        Arc::clone(store),
        Live::default(),
        metrics,
        memory,
    ));
    for (kind, size, first) in [
        ("quiet", Size::QUIET, 0),
        ("busy", Size::BUSY, HOSTS * OF_HOST),
    ] {
        let start = clock::now() - 200;
        let hosts = (0..HOSTS).map(|host| batches(first + host * OF_HOST, start, size));
        let hosts: Vec<_> = hosts.collect();
        let meter = Meter::new(name)?;
        let posts = hosts.into_iter().map(|batches| {
            let ingest = Arc::clone(&ingest);
            let (_, key) = key::create("bench", clock::now());
            tokio::spawn(async move {
                for batch in batches {
                    let receipt = ingest
                        .post(
                            batch,
                            Origin {
                                key: &key,
                                is_administrator: false,
                                recording: None,
                                boot: None,
                                repeated: false,
                            },
                        )
                        .await?;
                    ensure!(receipt.stored == OF_HOST, "not all was stored: {receipt:?}");
                }
                Ok(())
            })
        });
        for post in posts.collect::<Vec<_>>() {
            post.await??;
        }
        meter.print(&format!("in-{kind}"), HOSTS * OF_HOST * SECONDS)?;
    }
    Ok(())
}

/// Stores the data of one resolution and packs it. Returns its number of container-seconds.
async fn fill(name: &str, store: &Arc<dyn Store>, stock: &Stock, now: u64) -> Result<u64> {
    let mut seconds = 0;
    for seed in stock.containers.clone() {
        let mut container = Container::new(seed, now - stock.seconds, Size::BUSY);
        let posts = packed_spans(&mut container, stock.resolution, now - stock.seconds, now);
        seconds += posts.len() as u64 * stock.resolution.packed_seconds();
        store.put(posts).await?;
    }
    let meter = Meter::new(name)?;
    let mut rollup = Rollup::new(Arc::clone(store), retention(), Arc::new(Metrics::default()));
    // A time at which the newest span is over, the wait for late posts included.
    let done = rollup.run(now + 600).await?;
    ensure!(done.failed == 0 && done.packed > 0, "not packed: {done:?}");
    // A coarser slot is several container-seconds.
    let slots = seconds / stock.resolution.seconds();
    meter.print(&format!("packing-{}", stock.case), slots)?;
    Ok(seconds)
}

/// Bytes of the pages for packed rows of seconds and their key: their share of all pages.
fn used_by_sqlite(folder: &Path) -> Result<f64> {
    let database = rusqlite::Connection::open(folder.join(sqlite::FILE))?;
    let number = |query: &str| database.query_row(query, [], |row| row.get::<_, f64>(0));
    let pages = number(
        "SELECT CAST(sum(pgsize) AS REAL) FROM dbstat
         WHERE name IN (SELECT name FROM sqlite_schema WHERE tbl_name = 'packed')",
    )?;
    let part = number(
        "SELECT CAST(sum(length(bytes)) FILTER (WHERE resolution = 0) AS REAL) / sum(length(bytes)) FROM packed",
    )?;
    Ok(pages * part)
}

/// Bytes of a table's files, without snapshots.
fn used_by_table(keyspace: &Path, table: &str) -> Result<u64> {
    let mut bytes = 0;
    for folder in std::fs::read_dir(keyspace).with_context(|| format!("{}", keyspace.display()))? {
        let folder = folder?;
        if !folder.file_name().to_string_lossy().starts_with(table) {
            continue;
        }
        for file in std::fs::read_dir(folder.path())? {
            let data = file?.metadata()?;
            bytes += if data.is_file() { data.len() } else { 0 };
        }
    }
    ensure!(bytes > 0, "no table {table} in {}", keyspace.display());
    Ok(bytes)
}

fn batches(first: u64, start: u64, size: Size) -> Vec<Vec<u8>> {
    let source = SourceId([first as u8 + 1; 16]);
    let seeds = first..first + OF_HOST;
    let mut containers: Vec<_> = seeds
        .map(|seed| Container::new(seed, start, size))
        .collect();
    let batch = |_| {
        let mut segments: Vec<_> = containers.iter_mut().map(|c| c.seconds(1)).collect();
        for segment in &mut segments {
            segment.key.source = source;
        }
        let agent = AgentReport::default();
        Batch {
            source,
            agent,
            segments,
        }
        .encode()
    };
    (0..SECONDS).map(batch).collect()
}

/// Requests the summary of a page over HTTP.
async fn ask(name: &str, store: Arc<dyn Store>) -> Result<()> {
    let now = clock::now();
    let (admin, _) = token::create(&serve::secret()?, &Access::Admin, now + 3_600)?;
    let (address, serving) = serve::listen(store).await?;
    let serving = tokio::spawn(serving);
    for stock in &STOCK {
        let start = |seed| Container::new(seed, 0, Size::BUSY);
        let ids = stock
            .containers
            .clone()
            .map(|seed| start(seed).id().to_string());
        let range = format!("from={}&to={now}", now - stock.seconds * 98 / 100);
        let urls = ids.map(|id| format!("http://{address}/api/v1/containers/{id}/summary?{range}"));
        Page {
            bench: "store",
            case: stock.case,
            variant: name,
            urls: urls.collect(),
            token: &admin,
            encoding: "identity",
            rounds: ROUNDS,
        }
        .measure()
        .await?;
    }
    serving.abort();
    Ok(())
}
