//! The real program, killed in the middle of posts.

use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bubble_common::segment::Segment;
use bubble_server::auth::token::Access;
use bubble_server::clock;
use bubble_server::http::batch::MEDIA_TYPE;
use rand::RngExt;
use reqwest::Client;
use serde_json::Value;
use tempfile::TempDir;

use crate::common::{SECRET, batch, client, seconds, token};

const KILLS: usize = 20;
const CONTAINERS: u64 = 5;
/// Seconds of each container in a batch.
const BATCH: u64 = 3;

struct Program {
    child: Child,
    url: String,
}

impl Program {
    async fn start(data: &TempDir, client: &Client) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("bound").to_string();
        drop(free);
        let child = Command::new(env!("CARGO_BIN_EXE_bubble-server"))
            .args([
                "serve", "--log", "error", "--listen", &address, "--secret", SECRET,
            ])
            .args(["--data".as_ref(), data.path().as_os_str()])
            .stdin(Stdio::null())
            .spawn()
            .expect("it runs");
        let url = format!("http://{address}");
        let program = Self { child, url };
        for _ in 0..1_000 {
            let ping = client.get(format!("{}/ping", program.url)).send().await;
            if ping.is_ok_and(|answer| answer.status().is_success()) {
                return program;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server does not come up");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

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
    let made = Command::new(env!("CARGO_BIN_EXE_bubble-server"))
        .args(["key", "create", "--owner", "test", "--data"])
        .arg(data.path())
        .output()
        .expect("it runs");
    let key = String::from_utf8(made.stdout)
        .expect("text")
        .trim()
        .to_owned();
    let client = client();
    // Long enough ago that minutes are packed meanwhile.
    let start = clock::now() - 1_800;
    let mut round = 0;
    let mut repeated = 0;
    let mut program = Program::start(&data, &client).await;
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
        program.child.kill().expect("it ran");
        program.child.wait().expect("it ran");
        program = Program::start(&data, &client).await;
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
