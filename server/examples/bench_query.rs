//! Time of the page's requests over HTTP, with 1,000 containers stored.
//!
//! `cargo run --release -p bubble-server --example bench_query` prints one JSON
//! object a line. Some containers have an hour of seconds, others two days of minutes;
//! the rest of the 1,000 have a few minutes each. The real roll-up packs everything but
//! the newest minute. Times are until the last byte of the body.

mod common;
#[path = "common/fill.rs"]
mod fill;
#[path = "common/page.rs"]
mod page;
#[path = "common/serve.rs"]
mod serve;
#[path = "common/spans.rs"]
mod spans;

use std::sync::Arc;

use anyhow::Result;
use bubble_common::segment::Resolution;
use bubble_server::auth::token::{self, Access};
use bubble_server::clock;
use bubble_server::metrics::Metrics;
use bubble_server::rollup::Rollup;
use bubble_server::span::retention::Retention;
use bubble_server::store::Store;
use bubble_server::store::sqlite::{Durability, Sqlite};
use bubble_testing::container::{Container, Size};
use tempfile::TempDir;

use fill::post;
use page::Page;
use spans::packed_spans;

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

    let (admin, _) = token::create(&serve::secret()?, &Access::Admin, now + 3_600)?;
    let (address, serving) = serve::listen(store).await?;
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
            ask(case, variant, paths.collect(), &admin, encoding).await?;
        }
    }
    let list = vec![format!("{url}/api/v1/containers?limit=100&sort=cpu")];
    ask("list", "plain", list, &admin, "identity").await
}

async fn ask(
    case: &str,
    variant: &str,
    urls: Vec<String>,
    token: &str,
    encoding: &str,
) -> Result<()> {
    let bench = "query";
    let rounds = ROUNDS;
    let page = Page {
        bench,
        case,
        variant,
        urls,
        token,
        encoding,
        rounds,
    };
    page.measure().await
}

/// Fills the store. Returns the ids of the containers with an hour, and with two days.
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
        let start = (now - ago).next_multiple_of(resolution.packed_seconds());
        let mut container = Container::new(seed, start, size);
        let mut posts = packed_spans(&mut container, resolution, start, now);
        if resolution == Resolution::Second {
            // The newest minute is in single seconds, as agents post it.
            let seconds = (container.now()..now).map(|_| post(&container.seconds(1)));
            posts.extend(seconds);
        }
        let ids = if seed < LONG { &mut hours } else { &mut days };
        if seed < 2 * LONG {
            ids.push(container.id().to_string());
        }
        store.put(posts).await?;
    }
    Ok((hours, days))
}
