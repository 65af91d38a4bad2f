//! Nodes of Cassandra are killed, one of three at a time, while a server stores posts and rolls up.

use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bubble_common::segment::{Resolution, Segment};
use bubble_server::copy::{Total, totals};
use bubble_server::span::retention::Retention;
use bubble_server::store::Store;
use bubble_server::store::cassandra::{Cassandra, Consistency, Replication};
use bubble_server::store::error::StoreError;
use bubble_server::store::segments::Outcome;
use reqwest::Client;
use tempfile::TempDir;

use crate::common::{batch, client, id};
use crate::program::{Program, create_key};
use crate::store::backend::no_keyspace;
use crate::store::post;

const CONTAINERS: u64 = 10;
/// Seconds that are posted of each container.
const SECONDS: u64 = 900;
/// Seconds of a batch.
const BATCH: u64 = 3;
/// CPU time per second of the first container, ns; each next container uses 1 ns more.
const CPU: u64 = 1_000;
/// Longest wait.
const TIMEOUT: Duration = Duration::from_secs(120);

fn name(container: u64) -> String {
    format!("container{container:03}")
}

fn body(start: u64, at: u64) -> Vec<u8> {
    let segments = (0..CONTAINERS).flat_map(|container| -> Vec<Segment> {
        let second =
            |n| crate::common::seconds(&name(container), 1, start + at + n, 1, CPU + container);
        (0..BATCH).map(second).collect()
    });
    batch(segments.collect()).encode()
}

/// Runs `cargo xtask services` to stop and start nodes.
fn services(words: &[&str]) -> bool {
    let xtask = std::env::var("BUBBLE_XTASK")
        .expect("BUBBLE_XTASK: `cargo xtask test --only cassandra-3` sets it");
    let status = Command::new(xtask).arg("services").args(words).status();
    status.expect("it runs").success()
}

/// Kills one of the three nodes (`kill -9`).
fn kill(node: &str) {
    assert!(
        services(&["down", "--node", node]),
        "node {node} did not run"
    );
    println!("killed node {node}");
}

/// Restarts the killed node; the other tasks of the test continue.
async fn restart() {
    let up = || services(&["up", "--only", "cassandra", "--cassandra", "3"]);
    let back = tokio::task::spawn_blocking(up).await;
    assert!(back.expect("it ran"), "the node does not come back");
    println!("all three nodes are up");
}

/// Posts like the agent: again until acknowledged.
struct Agent<'a> {
    client: &'a Client,
    key: &'a str,
    start: u64,
    /// Posts without success.
    failed: u64,
    /// Segments that the server had already when they were posted again.
    known: u64,
}

impl Agent<'_> {
    async fn post(&mut self, program: &Program, range: std::ops::Range<u64>) {
        for at in range.step_by(BATCH as usize) {
            let began = Instant::now();
            loop {
                let answer = program
                    .post(self.client, self.key, body(self.start, at))
                    .await;
                if let Ok(answer) = answer
                    && answer.status().is_success()
                {
                    let receipt: serde_json::Value = answer.json().await.expect("a receipt");
                    self.known += receipt["known"].as_u64().expect("a number");
                    break;
                }
                self.failed += 1;
                assert!(began.elapsed() < TIMEOUT, "not acknowledged for too long");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Number of dirty spans, at all resolutions.
async fn dirty(store: &dyn Store) -> Result<usize, StoreError> {
    let mut dirty = 0;
    for resolution in Resolution::ALL {
        dirty += store.dirty(resolution, u64::MAX, None, 10_000).await?.len();
    }
    Ok(dirty)
}

/// Waits until no span is dirty.
async fn wait_for_roll_up(store: &dyn Store) {
    let began = Instant::now();
    while !dirty(store).await.is_ok_and(|dirty| dirty == 0) {
        assert!(began.elapsed() < TIMEOUT, "not packed for too long");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs three nodes: cargo xtask test --only cassandra-3"]
async fn one_node_of_three_dies_during_ingest_and_during_roll_up() {
    let address = no_keyspace("faults").await;
    let consistency = Consistency::LocalQuorum;
    let made = Cassandra::init(&address, consistency, &Replication::Simple(3)).await;
    made.expect("a new keyspace");
    let data = TempDir::new().expect("a temporary folder");
    let cassandra = format!("cassandra:{address}");
    // Long ago, so that it rolls up to days; the retention is longer still.
    let day = Resolution::Day;
    let start = day.packed_start(bubble_server::clock::now() - 2 * day.packed_seconds());
    let retention = "200d";
    let variables = [
        ("BUBBLE_STORE", &*cassandra),
        ("BUBBLE_RETENTION_SECONDS", retention),
        ("BUBBLE_RETENTION_MINUTES", retention),
        ("BUBBLE_RETENTION_HOURS", retention),
    ];
    let (key, client) = (create_key(&data, &variables), client());
    let mut agent = Agent {
        client: &client,
        key: &key,
        start,
        failed: 0,
        known: 0,
    };
    let part = |n: u64| n * SECONDS / 5..(n + 1) * SECONDS / 5;

    let mut program = Program::start(&data, &client, &variables).await;
    agent.post(&program, part(0)).await;
    kill("2");
    agent.post(&program, part(1)).await;
    tokio::join!(restart(), agent.post(&program, part(2)));
    program.kill();
    println!("killed the server");
    program = Program::start(&data, &client, &variables).await;
    agent.post(&program, part(3)).await;
    // Posts that were stored but not answered.
    agent.post(&program, part(2)).await;
    kill("1");
    agent.post(&program, part(4)).await;
    println!(
        "{} batches, {} posts failed, {} segments known when they were posted again",
        SECONDS / BATCH,
        agent.failed,
        agent.known
    );
    restart().await;

    // The third node is killed while the last spans wait to be packed.
    let retention = Retention {
        seconds: 200 * 86_400,
        ..Retention::default()
    };
    let store = Cassandra::open(&address, consistency, retention).await;
    let store: Arc<dyn Store> = Arc::new(store.expect("three nodes answer"));
    let (mut seconds, mut waiting) = (SECONDS, 0);
    while waiting == 0 {
        agent.post(&program, seconds..seconds + BATCH).await;
        seconds += BATCH;
        // A node that has just come back may be too slow: the next post follows.
        waiting = dirty(&*store).await.unwrap_or(0);
    }
    kill("3");
    println!("{waiting} spans were waiting to be packed, or more");
    wait_for_roll_up(&*store).await;
    println!("rolled up to days by two nodes");
    restart().await;

    check_sums(&*store, seconds).await;
    // A repeated post is recognised, whichever node has it.
    let first = |n| post(&crate::common::seconds(&name(n), 1, start, 1, CPU + n));
    let outcomes = store.put((0..CONTAINERS).map(first).collect()).await;
    assert_eq!(
        outcomes.expect("stored"),
        [Outcome::Known; CONTAINERS as usize]
    );
}

/// Checks the sums of each container at each resolution, and prints the sums of all.
async fn check_sums(store: &dyn Store, seconds: u64) {
    let mut sums = [Total::default(); 4];
    for container in 0..CONTAINERS {
        let known = store
            .container(&id(&name(container)))
            .await
            .expect("answers");
        let known = known.expect("known");
        let wanted = (seconds * (CPU + container), seconds * 4_096);
        assert_eq!((known.cpu_ns, known.bytes_out), wanted, "{}", known.id);
        let own = totals(store, &known).await.expect("it is read");
        for ((sum, total), resolution) in sums.iter_mut().zip(own).zip(Resolution::ALL) {
            assert_eq!(
                (total.cpu_ns, total.bytes_out),
                wanted,
                "{} by {resolution:?}",
                known.id
            );
            assert_eq!(total.slots, seconds.div_ceil(resolution.seconds()));
            sum.add(&total);
        }
    }
    for (sum, resolution) in sums.iter().zip(Resolution::ALL) {
        println!("{:7} {sum}", resolution.name());
    }
}
