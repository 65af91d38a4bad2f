//! How long a page's request takes, over HTTP, with 1,000 containers stored.
//!
//! `cargo run --release -p bubble-server --example bench_query` prints one JSON
//! object a line. One container has an hour of seconds, another two days of
//! minutes, and so have others, so that what is read lies among what is not; the
//! rest of the 1,000 have a few minutes each. Everything is packed by the roll-up
//! itself, but for the newest minute. Times are until the last byte of the body.

mod common;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Result, ensure};
use bubble_common::segment::codec::Effort;
use bubble_common::segment::fold::Caps;
use bubble_common::segment::testing::{Container, Size};
use bubble_common::segment::{Resolution, Segment};
use bubble_server::auth::token::{self, Access};
use bubble_server::clock;
use bubble_server::ingest::activity::activity;
use bubble_server::metrics::Metrics;
use bubble_server::rollup::Rollup;
use bubble_server::rollup::retention::Retention;
use bubble_server::rollup::unite::slot_bits;
use bubble_server::store::Store;
use bubble_server::store::row::Post;
use bubble_server::store::sqlite::{Durability, Sqlite};
use tempfile::TempDir;

use common::print;

const CONTAINERS: u64 = 1_000;
/// Containers with an hour of seconds, and with two days of minutes.
const LONG: u64 = 20;
/// Requests of each case.
const ROUNDS: usize = 60;

#[tokio::main]
async fn main() -> Result<()> {
    let data = TempDir::new()?;
    let store: Arc<dyn Store> = Arc::new(Sqlite::serve(data.path(), Durability::Process)?);
    let now = clock::now();
    let (hours, days) = fill(&*store, now).await?;
    let metrics = Arc::new(Metrics::default());
    Rollup::new(Arc::clone(&store), Retention::default(), metrics)
        .run(now)
        .await?;

    let admin = token::create(&common::secret()?, &Access::Admin, now + 3_600)?;
    let (address, serving) = common::listen(store).await?;
    let url = format!("http://{address}");
    tokio::spawn(serving);

    let range = |seconds: u64| format!("from={}&to={now}", now - seconds);
    let cases = [
        ("1h-of-seconds", &hours, format!("summary?{}", range(3_500))),
        (
            "2d-of-minutes",
            &days,
            format!("summary?{}", range(170_000)),
        ),
        (
            "newest-2-minutes",
            &hours,
            format!("summary?{}", range(120)),
        ),
        ("life", &days, "life".to_owned()),
    ];
    for (case, ids, path) in cases {
        for (variant, encoding) in [("plain", "identity"), ("gzip", "gzip")] {
            let paths = ids
                .iter()
                .map(|id| format!("{url}/api/v1/containers/{id}/{path}"));
            measure(case, variant, &paths.collect::<Vec<_>>(), &admin, encoding).await?;
        }
    }
    let list = [format!("{url}/api/v1/containers?limit=100&sort=cpu")];
    measure("list", "plain", &list, &admin, "identity").await
}

async fn measure(
    case: &str,
    variant: &str,
    urls: &[String],
    token: &str,
    encoding: &str,
) -> Result<()> {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::new();
    let mut times = Vec::new();
    let mut size = 0;
    // One after the other, each time another container, as people do.
    for url in urls.iter().cycle().take(ROUNDS) {
        let began = Instant::now();
        let request = client
            .get(url)
            .bearer_auth(token)
            .header("accept-encoding", encoding);
        let answer = request.send().await?;
        ensure!(answer.status().is_success(), "{url}: {}", answer.status());
        size = answer.bytes().await?.len();
        times.push(began.elapsed().as_secs_f64() * 1e3);
    }
    times.sort_by(f64::total_cmp);
    let at = |part: f64| times[((times.len() - 1) as f64 * part) as usize];
    print("query", case, &format!("{variant}-p50"), at(0.5), "ms");
    print("query", case, &format!("{variant}-p99"), at(0.99), "ms");
    print(
        "query",
        case,
        &format!("{variant}-size"),
        size as f64 / 1e3,
        "kB",
    );
    Ok(())
}

/// Fills the store; returns the ids of those with hours and of those with days.
async fn fill(store: &dyn Store, now: u64) -> Result<(Vec<String>, Vec<String>)> {
    let (mut hours, mut days) = (Vec::new(), Vec::new());
    for seed in 0..CONTAINERS {
        let size = if seed < 2 * LONG {
            Size::BUSY
        } else {
            Size::QUIET
        };
        let (ago, resolution) = match seed {
            _ if seed < LONG => (3_540, Resolution::Second),
            _ if seed < 2 * LONG => (172_000, Resolution::Minute),
            _ => (180, Resolution::Second),
        };
        let length = resolution.packed_seconds();
        let mut start = (now - ago).next_multiple_of(length);
        let mut container = Container::new(seed, start, size);
        let mut posts = Vec::new();
        while start < now {
            // The newest minute is there second by second, as agents post it.
            let live = resolution == Resolution::Second && start + length > now;
            let slots = if live { 1 } else { 60 };
            let segment = container.seconds(slots);
            // Minutes are the very seconds, an hour of them told as sixty times as long.
            let segment = stretched(segment, resolution, start);
            start = segment.end();
            posts.push(Post {
                recording: None,
                key: segment.key.clone(),
                slots: slot_bits(&segment),
                activity: activity(&segment),
                bytes: segment.encode(Effort::Fast),
            });
        }
        let ids = if seed < LONG { &mut hours } else { &mut days };
        if seed < 2 * LONG {
            ids.push(container.id().to_string());
        }
        store.put(posts).await?;
    }
    Ok((hours, days))
}

fn stretched(mut segment: Segment, resolution: Resolution, start: u64) -> Segment {
    if resolution == Resolution::Second {
        return segment;
    }
    segment.key.resolution = resolution;
    segment.key.start = start;
    for coverage in &mut segment.coverage {
        coverage.0 = (1 << resolution.sub_slots()) - 1;
    }
    // Events say when, in ns: they stay within the span.
    segment.events.clear();
    segment.fold(&Caps::of(resolution))
}
