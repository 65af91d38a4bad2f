//! The real program, killed in the middle of posts.

use std::time::Duration;

use bubble_common::segment::Segment;
use bubble_server::auth::token::Access;
use bubble_server::clock;
use bubble_server::http::batch::MEDIA_TYPE;
use rand::RngExt;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{batch, client, seconds, token};
use crate::program::{Program, create_key};

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

/// As the agent does: what was not acknowledged is posted again, until it is.
#[tokio::test(flavor = "multi_thread")]
async fn what_was_acknowledged_is_there_once_after_20_kills() {
    let data = TempDir::new().expect("a temporary folder");
    let key = create_key(&data);
    let client = client();
    // Long enough ago that minutes are packed meanwhile.
    let start = clock::now() - 1_800;
    let mut round = 0;
    let mut repeated = 0;
    let mut program = Program::start(&data, &client, &[]).await;
    for _ in 0..KILLS {
        let patience = Duration::from_millis(rand::rng().random_range(5..250));
        let killed = async {
            tokio::time::sleep(patience).await;
        };
        let posts = async {
            loop {
                let answer = client
                    .post(format!("{}/api/v1/batch", program.url))
                    .bearer_auth(&key)
                    .header("content-type", MEDIA_TYPE)
                    .body(body(start, round))
                    .send()
                    .await;
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
        program = Program::start(&data, &client, &[]).await;
        // The one that was under way is posted again, whether or not it arrived.
        let answer = client
            .post(format!("{}/api/v1/batch", program.url))
            .bearer_auth(&key)
            .header("content-type", MEDIA_TYPE)
            .body(body(start, round))
            .send()
            .await
            .expect("an answer");
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
