//! Roll-up by several workers: its speed, and that the sums do not depend on their number.
//!
//! `cargo xtask bench rollup` runs this with a node of Cassandra beside it. For each case (an hour
//! of many containers, two days of a few) and 1, 2 and 4 workers the same container-seconds are
//! posted into an empty keyspace and then packed, up to days. A worker is a process with a
//! share of the containers. Then the sums at every resolution are read; the benchmark fails
//! if one differs from what was posted.

#[path = "common/cluster.rs"]
mod cluster;
mod common;
#[path = "common/cpu.rs"]
mod cpu;
#[path = "common/fill.rs"]
mod fill;

use std::hash::{DefaultHasher, Hash, Hasher};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use bubble_common::segment::{Resolution, Segment};
use bubble_server::copy::{Total, totals};
use bubble_server::rollup::pack::pack;
use bubble_server::span::retention::Retention;
use bubble_server::store::Store;
use bubble_server::store::packing::DirtySpan;
use bubble_testing::container::{Container, Size};
use clap::Parser;
use common::print;
use cpu::cpu_of;
use fill::post;
use futures_util::{StreamExt, TryStreamExt};

const KEYSPACE: &str = "bench_rollup";
/// Start of the first day of a packed span, which has 32 days.
const START: u64 = 1_790_035_200 / (32 * 86_400) * (32 * 86_400);
/// Spans that a worker packs at the same time, as a server does.
const PARALLEL: usize = 2;
/// Dirty spans of one listing.
const PAGE: usize = 500;
/// A retention by which nothing expires.
const RETENTION: u64 = 10 * 365 * 86_400;

/// Roll-up by 1, 2 and 4 workers
#[derive(Debug, Parser)]
struct Flags {
    /// Percent of the containers: at 100 each case has 3.5 M container-seconds
    #[arg(long, default_value_t = 10)]
    percent: u64,
    /// This case only: 1h (of many containers), or 2d (of a few)
    #[arg(long, value_parser = ["1h", "2d"])]
    case: Option<String>,
    /// Seconds in each posted segment: live ones have 1, those of a spool more
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=60))]
    slots: u32,
    /// This many workers only
    #[arg(long, value_parser = clap::value_parser!(u64).range(1..=16))]
    workers: Option<u64>,
    /// A worker: its number, and of how many
    #[arg(long, num_args = 2, hide = true)]
    worker: Option<Vec<u64>>,
}

#[tokio::main]
async fn main() -> Result<()> {
    let flags = Flags::parse();
    if let Some([number, of]) = flags.worker.as_deref() {
        work(&*open().await?, *number, *of).await?;
        // Read by the process that started this worker.
        println!("{}", cpu_of(std::process::id())?);
        return Ok(());
    }
    let percent = |n: u64| (n * flags.percent / 100).max(1);
    let cases = [
        ("1h", percent(1_000), 3_600),
        ("2d", percent(20), 2 * 86_400),
    ];
    let wanted = |case: &str| flags.case.as_deref().is_none_or(|only| only == case);
    for (case, containers, seconds) in cases.into_iter().filter(|(case, ..)| wanted(case)) {
        for workers in flags.workers.map_or(vec![1, 2, 4], |only| vec![only]) {
            measure(case, containers, seconds, workers, flags.slots).await?;
        }
    }
    cluster::drop(&cluster::address(KEYSPACE)?).await
}

async fn open() -> Result<Arc<dyn Store>> {
    let retention = Retention {
        seconds: RETENTION,
        minutes: RETENTION,
        hours: RETENTION,
        finished: 0,
    };
    cluster::open(&cluster::address(KEYSPACE)?, retention).await
}

async fn measure(
    case: &str,
    containers: u64,
    seconds: u64,
    workers: u64,
    slots: u32,
) -> Result<()> {
    cluster::drop(&cluster::address(KEYSPACE)?).await?;
    let store = open().await?;
    let posted = put(&store, containers, seconds, slots).await?;
    let node = node()?;
    let (began, before) = (Instant::now(), cpu_of(node)?);
    let children = (0..workers).map(|number| {
        tokio::process::Command::new(std::env::current_exe()?)
            .args(["--worker", &number.to_string(), &workers.to_string()])
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .context("a worker does not start")
    });
    let mut used = 0.0;
    for child in children.collect::<Result<Vec<_>>>()? {
        let output = child.wait_with_output().await?;
        ensure!(
            output.status.success(),
            "a worker ended with {}",
            output.status
        );
        used += String::from_utf8(output.stdout)?.trim().parse::<f64>()?;
    }
    let all = (containers * seconds) as f64;
    let variant = format!("{workers}-workers");
    let print = |case: &str, variant: &str, value: f64, unit: &str| {
        print("rollup", case, variant, value, unit)
    };
    print(
        case,
        &variant,
        all / began.elapsed().as_secs_f64(),
        "container-seconds/s",
    );
    let (used, of_node) = (used * 1e6 / all, (cpu_of(node)? - before) * 1e6 / all);
    print(case, &format!("{variant}-cpu"), used, "µs/container-second");
    print(
        case,
        &format!("{variant}-node-cpu"),
        of_node,
        "µs/container-second",
    );
    compare(&store, containers, seconds, posted).await?;
    if workers == 1 {
        sizes(&*store, case, containers).await?;
    }
    Ok(())
}

/// Bytes of a slot in packed rows.
async fn sizes(store: &dyn Store, case: &str, containers: u64) -> Result<()> {
    for resolution in Resolution::ALL {
        for (variant, is_busy) in [("busy", true), ("quiet", false)] {
            let (mut bytes, mut slots) = (0, 0);
            for seed in (0..containers).filter(|seed| busy(*seed) == is_busy) {
                // About an hour: a sample that fits into memory.
                let span = START..START + resolution.packed_seconds().max(3_600);
                for row in store.range(container(seed).id(), resolution, span).await? {
                    let head = Segment::decode_head(&row.bytes)?;
                    slots += head.coverage.iter().filter(|c| !c.is_gap()).count();
                    bytes += row.bytes.len();
                }
            }
            if slots > 0 {
                let name = format!("{case}-bytes-of-{}", resolution.name());
                let each = bytes as f64 / slots as f64;
                print("rollup", &name, variant, each, "bytes/slot");
            }
        }
    }
    Ok(())
}

/// The process of the node.
fn node() -> Result<u32> {
    let pid = std::env::var("BUBBLE_CASSANDRA_PID").context("no BUBBLE_CASSANDRA_PID")?;
    Ok(pid.parse()?)
}

/// One container in ten is busy.
fn busy(seed: u64) -> bool {
    seed.is_multiple_of(10)
}

fn container(seed: u64) -> Container {
    let size = if busy(seed) { Size::BUSY } else { Size::QUIET };
    Container::new(seed, START, size)
}

/// Posts everything. Returns the sums.
async fn put(store: &Arc<dyn Store>, containers: u64, seconds: u64, slots: u32) -> Result<Total> {
    let began = Instant::now();
    let puts = (0..containers).map(|seed| {
        let store = Arc::clone(store);
        async move {
            let mut container = container(seed);
            let mut total = Total::default();
            // An hour at a time, to bound the memory.
            while container.now() < START + seconds {
                let end = (container.now() + 3_600).min(START + seconds);
                let (next, posts) = tokio::task::spawn_blocking(move || {
                    let mut posts = Vec::new();
                    while container.now() < end {
                        posts.push(post(&container.seconds(slots)));
                    }
                    (container, posts)
                })
                .await?;
                container = next;
                for post in &posts {
                    total.slots += u64::from(post.slots.count_ones());
                    total.cpu_ns += post.activity.cpu_ns;
                    total.bytes_in += post.activity.bytes_in;
                    total.bytes_out += post.activity.bytes_out;
                }
                store.put(posts).await?;
            }
            Ok::<_, anyhow::Error>(total)
        }
    });
    let mut puts = futures_util::stream::iter(puts).buffer_unordered(4);
    let mut all = Total::default();
    while let Some(total) = puts.try_next().await? {
        all.add(&total);
    }
    ensure!(all.slots == containers * seconds, "{all} were posted");
    eprintln!("{all} posted in {:.0} s", began.elapsed().as_secs_f64());
    Ok(all)
}

/// Packs all spans of this worker's containers, finest first.
async fn work(store: &dyn Store, number: u64, of: u64) -> Result<()> {
    let own = |span: &DirtySpan| {
        let mut hasher = DefaultHasher::new();
        span.container.hash(&mut hasher);
        hasher.finish() % of == number
    };
    for resolution in Resolution::ALL {
        let mut after = None;
        loop {
            let page = store.dirty(resolution, u64::MAX, after, PAGE).await?;
            let full = page.len() == PAGE;
            after = page.last().map(|span| (span.start, span.container.clone()));
            let packs = page.into_iter().filter(own).map(|span| pack(store, span));
            let packs = futures_util::stream::iter(packs).buffer_unordered(PARALLEL);
            packs.try_collect::<Vec<()>>().await?;
            if !full {
                break;
            }
        }
    }
    Ok(())
}

/// Checks that all rows are packed, and that their sums at each resolution are those that were posted.
async fn compare(
    store: &Arc<dyn Store>,
    containers: u64,
    seconds: u64,
    posted: Total,
) -> Result<()> {
    let mut sums = [Total::default(); 4];
    for seed in 0..containers {
        let id = container(seed).id().clone();
        for resolution in Resolution::ALL {
            let dirty = store.dirty_of(&id, resolution, 0..u64::MAX).await?;
            ensure!(
                dirty.is_empty(),
                "{id} has spans that are not packed: {dirty:?}"
            );
        }
        let known = store.container(&id).await?.context("it is not listed")?;
        let all = totals(&**store, &known).await?;
        for (sum, total) in sums.iter_mut().zip(all) {
            sum.add(&total);
        }
    }
    for (resolution, sum) in Resolution::ALL.into_iter().zip(sums) {
        let slots = containers * seconds.div_ceil(resolution.seconds());
        let wanted = Total { slots, ..posted };
        ensure!(
            sum == wanted,
            "by {}: {sum}, but {wanted} were posted",
            resolution.name()
        );
    }
    eprintln!("{posted}: the same at s, m, h and d");
    Ok(())
}
