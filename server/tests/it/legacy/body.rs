//! Malformed and hostile bodies.

use bubble_common::legacy;
use bubble_common::segment::Segment;
use bubble_common::segment::codec::Effort;
use bubble_server::clock;
use proptest::prelude::{ProptestConfig, Strategy, any, prop_oneof, proptest};
use proptest::sample::Index;
use reqwest::StatusCode;
use serde_json::{Value, json};

use super::{ID, cpu, event, fd, haproxy, item, post_event};
use crate::common::Server;

#[test]
fn the_containers_in_a_body_are_bounded() {
    let rows: Vec<Value> = (0..20_000)
        .map(|n| json!(["1", "1", format!("c{n}"), "/x", "in", 1]))
        .collect();
    let event = legacy::read(fd(1, &json!(rows)).as_bytes()).expect("a body");
    assert_eq!(event.segments.len(), 10_000);
    assert_eq!(event.refused.map(|(rows, _)| rows), Some(10_000));
}

#[tokio::test]
async fn hostile_bodies_are_refused() {
    let server = Server::start().await;
    let deep = "[".repeat(100_000);
    for body in [
        String::new(),
        "null".to_owned(),
        "[]".to_owned(),
        "{}".to_owned(),
        json!({"ts": "x", "data": [], "evt_type": "cpu"}).to_string(),
        json!({"ts": -1, "data": [], "evt_type": "cpu"}).to_string(),
        json!({"ts": u64::MAX, "data": [], "evt_type": "cpu"}).to_string(),
        json!({"ts": 1, "data": {}, "evt_type": "cpu"}).to_string(),
        json!({"ts": 1, "data": [], "evt_type": "mem"}).to_string(),
        json!({"ts": 1, "data": [], "evt_type": "m".repeat(100_000)}).to_string(),
        format!("{{\"ts\":1,\"evt_type\":\"cpu\",\"data\":{deep}"),
        format!("{{\"ts\":1,\"evt_type\":\"cpu\",\"data\":[{deep}"),
    ] {
        let answer = event(&server, body.clone()).await;
        let start: String = body.chars().take(60).collect();
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{start}");
        let text = answer.text().await.expect("text");
        assert!(text.len() < 1_000, "{text}");
    }
}

#[tokio::test]
async fn hostile_rows_are_skipped() {
    let server = Server::start().await;
    let now = clock::now();
    let good = haproxy(1);
    let change = |column: usize, to: Value| {
        let mut row = good.clone();
        row[column] = to;
        row
    };
    let rows = json!([
        good,
        [],
        {},
        7,
        null,
        change(0, json!("core")),
        change(0, json!([])),
        change(2, json!("0")),
        change(2, json!(-4)),
        change(2, json!("99999999999")),
        change(5, json!("")),
        change(5, json!("/docker/abc")),
        change(5, json!("a b")),
        change(9, json!(-1)),
        change(9, json!("nan")),
        change(9, json!(1e300)),
        change(9, json!([])),
        ["13969", "9", ID, "/x", "out", 3],
    ]);
    post_event(&server, cpu(now, &rows)).await;
    // Optional columns may hold anything.
    let mut odd = haproxy(0);
    (odd[3], odd[4], odd[8]) = (json!("-1"), json!("?"), json!(-1));
    post_event(&server, cpu(now, &json!([odd]))).await;
    post_event(
        &server,
        fd(
            now,
            &json!([
                ["1", "1", ID, "/x", "both", 3],
                ["1", "1", ID, "/x", "in", 3]
            ]),
        ),
    )
    .await;
    let item = item(&server).await;
    assert_eq!((&item["cpu_ns"], &item["bytes_in"]), (&json!(1), &json!(3)));
    let metrics = server.get("/metrics").await.text().await.expect("text");
    assert!(
        metrics.contains("event_rows_refused_total 18\n"),
        "{metrics}"
    );
    assert_eq!(server.json("/api/v1/containers").await["total"], 1);
}

#[tokio::test]
async fn the_far_future_is_refused_and_the_largest_numbers_saturate() {
    let server = Server::start().await;
    let now = clock::now();
    post_event(&server, cpu(now, &json!([haproxy(1)]))).await;
    let ahead = event(&server, cpu(now + 86_400, &json!([haproxy(1)]))).await;
    assert_eq!(ahead.status(), StatusCode::UNPROCESSABLE_ENTITY);
    let text = ahead.text().await.expect("text");
    assert!(text.contains("in the future: set the clock"), "{text}");
    assert_eq!(item(&server).await["cpu_ns"], 1);
    post_event(&server, cpu(now + 2, &json!([haproxy(u64::MAX)]))).await;
    post_event(&server, cpu(now + 3, &json!([haproxy(u64::MAX)]))).await;
    assert_eq!(item(&server).await["cpu_ns"], i64::MAX);
}

/// The original chisel posts names as they are.
#[tokio::test]
async fn a_name_that_is_not_utf_8_counts() {
    let server = Server::start().await;
    let now = clock::now();
    let mut body = fd(now + 1, &json!([["13969", "9", ID, "/caf#", "in", 4]])).into_bytes();
    let at = body.iter().position(|b| *b == b'#').expect("there");
    body[at] = 0xe9;
    post_event(&server, body).await;
    assert_eq!(item(&server).await["bytes_in"], 4);
}

/// A body with every kind of row.
fn sample() -> Vec<u8> {
    let rows = json!([
        [
            "13969",
            "9",
            ID,
            "192.168.0.3:55014->192.168.0.2:80",
            "out",
            131
        ],
        ["13969", "9", ID, "::1:5->::2:80", "in", 1.5e3],
        ["13969", "9", ID, "ffff88001d->ffff88002d /run/x", "in", "7"],
        [
            "1",
            "1",
            "/slurm/job_1/x",
            "pipe:[7]",
            "out",
            18_446_744_073_709_551_615_u64
        ],
    ]);
    fd(1_506_127_481, &rows).into_bytes()
}

/// Changes: each replaces `length` bytes at a position.
fn changes() -> impl Strategy<Value = Vec<(Index, usize, Vec<u8>)>> {
    let byte = prop_oneof![
        any::<u8>(),
        proptest::sample::select(b"0123456789\",:[]{}->e.".as_slice())
    ];
    let with = proptest::collection::vec(byte, 0..6);
    proptest::collection::vec((any::<Index>(), 0..4_usize, with), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    /// A segment from a damaged body is valid: it can be encoded and decoded.
    #[test]
    fn segments_of_a_damaged_body_are_valid(changes in changes(), is_cpu: bool) {
        let mut body = match is_cpu {
            true => cpu(1_506_127_481, &json!([haproxy(7), haproxy(u64::MAX)])).into_bytes(),
            false => sample(),
        };
        for (at, length, with) in changes {
            let at = at.index(body.len() + 1);
            let end = (at + length).min(body.len());
            body.splice(at..end, with);
        }
        if let Ok(event) = legacy::read(&body) {
            for segment in event.segments {
                let bytes = segment.encode(Effort::Raw);
                assert_eq!(Segment::decode(&bytes).as_ref(), Ok(&segment));
            }
        }
    }
}
