//! A site: a keyspace, the segments posted into it, and the totals that it should hold.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bubble_common::segment::{ContainerId, Resolution, Segment};
use bubble_server::auth::key;
use bubble_server::auth::token::Access;
use bubble_server::clock;
use bubble_server::http::batch::MEDIA_TYPE;
use bubble_server::query::read::gather;
use bubble_server::rollup::due::Backlog;
use bubble_server::store::Store;
use bubble_server::store::cassandra::address::Address;
use reqwest::{Client, StatusCode};
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{batch, client, id, seconds, token};
use crate::program::Program;
use crate::store::backend;

/// Timeout of packing. Includes the 90 s by which the clock of a server may be behind.
const PACK_TIMEOUT: Duration = Duration::from_secs(300);
/// CPU time of each second, ns.
pub(super) const NS: u64 = 1_000;
/// Retention under which nothing posted by tests expires.
const RETENTION: [(&str, &str); 2] = [
    ("BUBBLE_RETENTION_SECONDS", "90d"),
    ("BUBBLE_RETENTION_MINUTES", "90d"),
];

/// An installation.
pub(super) struct Site {
    pub(super) store: Arc<dyn Store>,
    pub(super) address: Address,
    pub(super) client: Client,
    /// A folder for each process that was started.
    pub(super) folders: Vec<TempDir>,
    key: String,
    containers: Vec<ContainerId>,
    /// Start of the time that segments are posted for.
    pub(super) day: u64,
    /// Seconds posted of each container.
    posted: u64,
}

impl Site {
    /// An empty site, with so many containers.
    pub(super) async fn new(test: &str, containers: usize) -> Self {
        let (store, address) = backend::cassandra(test).await;
        let (key, hashed) = key::create("tests", clock::now());
        store.create_key(hashed).await.expect("a new key");
        let names = (0..containers).map(|n| id(&format!("container{n:03}")));
        Self {
            store,
            address,
            client: client(),
            folders: Vec::new(),
            key,
            containers: names.collect(),
            // Long ago, so that all spans are due at once.
            day: Resolution::Hour.packed_start(clock::now() - 4 * 86_400),
            posted: 0,
        }
    }

    /// The environment of a process of the site.
    pub(super) fn variables<'a>(&self, more: &[(&'a str, &'a str)]) -> Vec<(&'a str, String)> {
        let store = ("BUBBLE_STORE", format!("cassandra:{}", self.address));
        let own = |(name, value): &(&'a str, &'a str)| (*name, (*value).to_owned());
        let retention = RETENTION.iter().map(own);
        std::iter::once(store)
            .chain(retention)
            .chain(more.iter().map(own))
            .collect()
    }

    /// A folder for a process.
    pub(super) fn folder(&mut self) -> TempDir {
        TempDir::new().expect("a temporary folder")
    }

    /// Starts a server with additional variables.
    pub(super) async fn server(&mut self, more: &[(&str, &str)]) -> Program {
        let data = self.folder();
        let variables = self.variables(more);
        let variables: Vec<(&str, &str)> = variables.iter().map(|(n, v)| (*n, &v[..])).collect();
        let program = Program::start(&data, &self.client, &variables).await;
        self.folders.push(data);
        program
    }

    /// Posts `count` seconds of each container, a minute at a time, starting at second `from` of the
    /// day.
    pub(super) async fn post(&mut self, server: &Program, from: u64, count: u64) {
        let start = self.day + from;
        let mut at = start;
        while at < start + count {
            let end = (start + count).min(at - at % 60 + 60);
            self.post_at(server, at, (end - at) as u32).await;
            at = end;
        }
    }

    /// Posts `count` seconds of each container, starting at `at`.
    pub(super) async fn post_at(&mut self, server: &Program, at: u64, count: u32) {
        let one = |container: &ContainerId| seconds(container.as_str(), 1, at, count, NS);
        let segments: Vec<Segment> = self.containers.iter().map(one).collect();
        let body = batch(segments).encode();
        let deadline = Instant::now() + PACK_TIMEOUT;
        // As agents do, it posts again if the node was too slow.
        let (status, receipt) = loop {
            let post = self
                .client
                .post(format!("{}/api/v1/batch", server.url))
                .bearer_auth(&self.key)
                .header("content-type", MEDIA_TYPE)
                .body(body.clone());
            let answer = post.send().await.expect("an answer");
            let status = answer.status();
            let receipt: Value = answer.json().await.expect("a receipt");
            if status != StatusCode::SERVICE_UNAVAILABLE || Instant::now() > deadline {
                break (status, receipt);
            }
            println!("posts again: {receipt}");
            tokio::time::sleep(Duration::from_millis(200)).await;
        };
        assert_eq!(status, StatusCode::OK, "{receipt}");
        let number = |name: &str| receipt[name].as_u64().unwrap_or(0);
        let taken = number("stored") + number("known");
        assert_eq!(taken, self.containers.len() as u64, "{receipt}");
        self.posted += u64::from(count);
    }

    /// Asks a server as an administrator.
    pub(super) async fn get(&self, server: &Program, path: &str) -> String {
        let answer = self.client.get(format!("{}{path}", server.url));
        let answer = answer.bearer_auth(token(&Access::Admin)).send().await;
        answer.expect("an answer").text().await.expect("text")
    }

    /// The value of a metric of a server.
    pub(super) async fn metric(&self, server: &Program, name: &str) -> u64 {
        let text = self.get(server, "/metrics").await;
        let mut lines = text.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let value = value.unwrap_or_else(|| panic!("no {name} in {text}"));
        value.parse().expect("a whole number")
    }

    /// Number of due spans.
    pub(super) async fn backlog(&self) -> u64 {
        let deadline = Instant::now() + PACK_TIMEOUT;
        loop {
            match Backlog::new(&*self.store, clock::now()).await {
                Ok(backlog) => return backlog.spans,
                Err(error) if Instant::now() > deadline => panic!("{error}"),
                // A node that has just started answers slowly.
                Err(error) => println!("asks again for the backlog: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    /// Waits until no span is due, and calls `meanwhile` repeatedly.
    pub(super) async fn until_packed(&self, mut meanwhile: impl AsyncFnMut()) {
        let deadline = Instant::now() + PACK_TIMEOUT;
        while Instant::now() < deadline {
            meanwhile().await;
            if self.backlog().await == 0 {
                return;
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        panic!("{} spans are still due", self.backlog().await);
    }

    /// Checks that every resolution and the index have each second once. Returns the sum of all
    /// containers in ns.
    pub(super) async fn check(&self) -> u64 {
        let total = self.posted * NS;
        for container in &self.containers {
            let known = self.store.container(container).await.expect("answers");
            assert_eq!(known.expect("known").cpu_ns, total, "{container}");
            for resolution in Resolution::ALL {
                let span = self.day..clock::now() + 86_400;
                let rows = gather(&*self.store, container, resolution, span).await;
                let segments = rows.expect("rows").resolve().expect("segments");
                let cells = segments.iter().flat_map(|segment| &segment.cpu);
                let sum: u64 = cells.map(|cell| cell.value.ns).sum();
                assert_eq!(sum, total, "{container} {resolution:?}");
            }
        }
        total * self.containers.len() as u64
    }
}
