//! The real program, killed during posts.

use std::time::Duration;

use bubble_common::segment::Segment;
use bubble_server::auth::token::Access;
use bubble_server::clock;
use rand::RngExt;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{batch, client, seconds, token};
use crate::program::{Program, create_key};
use crate::store::backend::{self, no_keyspace};

const KILLS: usize = 20;
const CONTAINERS: u64 = 5;
/// Seconds of each container in a batch.
const BATCH: u64 = 3;

fn body(start: u64, round: u64) -> Vec<u8> {
    let segments = (0..CONTAINERS).flat_map(|container| -> Vec<Segment> {
        let at = start + round * BATCH;
        let second = |n| {
            seconds(
                &format!("container{container:03}"),
                1,
                at + n,
                1,
                1_000 + container,
            )
        };
        (0..BATCH).map(second).collect()
    });
    batch(segments.collect()).encode()
}

#[tokio::test(flavor = "multi_thread")]
async fn acknowledged_batches_count_once_after_20_kills() {
    acknowledged_counts_once(&[]).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a node: cargo xtask test --only cassandra"]
async fn acknowledged_batches_count_once_in_cassandra_after_20_kills() {
    let address = no_keyspace("kills").await;
    backend::init(&address).await;
    acknowledged_counts_once(&[("BUBBLE_STORE", &format!("cassandra:{address}"))]).await;
}

/// Posts like the agent: a batch without an acknowledgement is posted again.
async fn acknowledged_counts_once(variables: &[(&str, &str)]) {
    let data = TempDir::new().expect("a temporary folder");
    let key = create_key(&data, variables);
    let client = client();
    // Long enough ago that minutes are packed during the test.
    let start = clock::now() - 1_800;
    let mut round = 0;
    let mut repeated = 0;
    let mut program = Program::start(&data, &client, variables).await;
    for _ in 0..KILLS {
        let delay = Duration::from_millis(rand::rng().random_range(5..250));
        let killed = async {
            tokio::time::sleep(delay).await;
        };
        let posts = async {
            loop {
                let answer = program.post(&client, &key, body(start, round)).await;
                if answer.is_ok_and(|answer| answer.status().is_success()) && round < 500 {
                    round += 1;
                }
            }
        };
        tokio::select! {
            () = killed => {}
            () = posts => {}
        }
        program.kill();
        program = Program::start(&data, &client, variables).await;
        // The interrupted batch is posted again, whether or not it arrived.
        let answer = program.post(&client, &key, body(start, round)).await;
        let answer = answer.expect("an answer");
        let receipt: Value = answer.json().await.expect("a receipt");
        repeated += receipt["known"].as_u64().expect("a number");
        round += 1;
    }
    assert!(round >= KILLS as u64);
    println!("{round} batches, {repeated} segments of them known when posted again");

    let admin = token(&Access::Admin);
    for container in 0..CONTAINERS {
        let count = round * BATCH;
        for step in [1, 60] {
            let url = format!(
                "{}/api/v1/containers/container{container:03}/summary?from={start}&to={}&step={step}",
                program.url,
                start + count
            );
            let summary = client.get(url).bearer_auth(&admin).send().await;
            let summary: Value = summary.expect("an answer").json().await.expect("JSON");
            let sums = &summary["accounting"];
            assert_eq!(
                sums["process_cpu_ns"],
                count * (1_000 + container),
                "step {step}"
            );
            assert_eq!(
                summary["processes"][0]["bytes_out"],
                count * 4_096,
                "step {step}"
            );
            assert_eq!(summary["container"]["cpu_ns"], count * (1_000 + container));
        }
    }
}
