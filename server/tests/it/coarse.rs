//! Minutes that an agent with a full spool makes of seconds: beside seconds that are stored already, and
//! in halves.

use std::sync::LazyLock;

use bubble_common::segment::Segment;
use bubble_server::clock;
use bubble_server::http::batch::MEDIA_TYPE;
use reqwest::StatusCode;
use serde_json::Value;

use crate::common::{Server, batch, seconds};

const ID: &str = "aaaaaaaaaaaa";
/// CPU time of each second, ns.
const NS: u64 = 1_000;

/// Start of a minute in an hour that is over.
fn start() -> u64 {
    static START: LazyLock<u64> = LazyLock::new(|| clock::now() / 3_600 * 3_600 - 2 * 3_600);
    *START
}

fn minute(from: u64, seconds_: u32) -> Segment {
    let fine = seconds(ID, 1, start() + from, seconds_, NS);
    fine.coarsen().expect("seconds become a minute")
}

/// Posts segments as an agent that got no receipt for some of them. Returns (stored, known).
async fn repeat(server: &Server, segments: Vec<Segment>) -> (u64, u64) {
    let answer = server
        .client
        .post(format!("{}/api/v1/batch", server.url))
        .bearer_auth(&server.key)
        .header("content-type", MEDIA_TYPE)
        .header("x-bubble-repeated", "1")
        .body(batch(segments).encode())
        .send();
    let answer = answer.await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    let receipt: Value = answer.json().await.expect("a receipt");
    let count = |name: &str| receipt[name].as_u64().expect("a number");
    (count("stored"), count("known"))
}

/// Checks that the container has so many seconds: in its life, and by minutes.
async fn check(server: &Server, count: u64) {
    let container = server.json(&format!("/api/v1/containers/{ID}")).await;
    assert_eq!(container["cpu_ns"], count * NS, "in its life");
    check_minutes(server, count).await;
}

async fn check_minutes(server: &Server, count: u64) {
    let (from, to) = (start(), start() + 60);
    let path = format!("/api/v1/containers/{ID}/summary?from={from}&to={to}&step=60");
    let summary = server.json(&path).await;
    assert_eq!(
        summary["accounting"]["process_cpu_ns"],
        count * NS,
        "by minutes"
    );
}

/// Packs and rolls up. That changes no answer.
async fn pack(server: &Server, count: u64) {
    check_minutes(server, count).await;
    server.roll_up(clock::now()).await;
    check(server, count).await;
}

#[tokio::test]
async fn both_halves_of_a_minute_count() {
    let server = Server::start().await;
    assert_eq!(server.post(vec![minute(0, 30)]).await, (1, 0));
    assert_eq!(server.post(vec![minute(30, 30)]).await, (1, 0));
    check(&server, 60).await;
    // Each of them again.
    assert_eq!(repeat(&server, vec![minute(30, 30)]).await, (0, 1));
    server.roll_up(clock::now()).await;
    assert_eq!(repeat(&server, vec![minute(0, 30)]).await, (0, 1));
    server.roll_up(clock::now()).await;
    check(&server, 60).await;
}

#[tokio::test]
async fn a_minute_and_stored_seconds_of_it_count_once() {
    for is_packed in [false, true] {
        let server = Server::start().await;
        server.post(vec![seconds(ID, 1, start(), 30, NS)]).await;
        if is_packed {
            server.roll_up(clock::now()).await;
        }
        assert_eq!(repeat(&server, vec![minute(20, 40)]).await, (1, 0));
        pack(&server, 60).await;
        // All of it is stored.
        assert_eq!(repeat(&server, vec![minute(10, 40)]).await, (0, 1));
        check(&server, 60).await;
    }
}

#[tokio::test]
async fn another_part_of_a_minute_counts_beside_one_with_seconds() {
    let server = Server::start().await;
    server.post(vec![seconds(ID, 1, start(), 8, NS)]).await;
    server.roll_up(clock::now()).await;
    // It has these seconds, as the agent does not know that they were delivered.
    assert_eq!(repeat(&server, vec![minute(0, 11)]).await, (1, 0));
    pack(&server, 11).await;
    // From another file of its spool.
    assert_eq!(repeat(&server, vec![minute(11, 2)]).await, (1, 0));
    pack(&server, 13).await;
    assert_eq!(repeat(&server, vec![minute(0, 11)]).await, (0, 1));
    assert_eq!(repeat(&server, vec![minute(11, 2)]).await, (0, 1));
    server.roll_up(clock::now()).await;
    check(&server, 13).await;
}

#[tokio::test]
async fn what_an_overlapped_part_of_a_minute_loses_is_lost_from_the_sums_too() {
    let server = Server::start().await;
    let late = seconds(ID, 1, start() + 20, 4, NS);
    server
        .post(vec![seconds(ID, 1, start(), 4, NS), late])
        .await;
    assert_eq!(repeat(&server, vec![minute(0, 10)]).await, (1, 0));
    pack(&server, 14).await;
    // The stored minute has the seconds from 20 on, and cannot be taken apart: 4 to 9 are lost.
    assert_eq!(repeat(&server, vec![minute(10, 20)]).await, (1, 0));
    pack(&server, 24).await;
}

#[tokio::test]
async fn seconds_of_a_stored_minute_are_known() {
    let server = Server::start().await;
    server.post(vec![minute(0, 40)]).await;
    let again = seconds(ID, 1, start() + 10, 5, NS);
    assert_eq!(repeat(&server, vec![again]).await, (0, 1));
    let rest = seconds(ID, 1, start() + 30, 30, NS);
    assert_eq!(repeat(&server, vec![rest]).await, (1, 0));
    pack(&server, 60).await;
}
