//! Bodies and queries that no correct client sends.

use bubble_common::segment::codec::Effort;
use bubble_server::clock;
use bubble_server::http::state::Limits;
use reqwest::StatusCode;
use serde_json::Value;

use crate::common::{Server, batch, client, seconds};
use crate::program::{Program, log_of};

fn good() -> Vec<u8> {
    batch(vec![seconds("aaaaaaaaaaaa", 1, clock::now() - 9, 3, 7)]).encode()
}

async fn refused(server: &Server, body: Vec<u8>) -> (StatusCode, Value) {
    let answer = server.post_bytes(body).await;
    let status = answer.status();
    (status, answer.json().await.expect("an error is JSON"))
}

async fn nothing_stored(server: &Server) {
    assert_eq!(server.json("/api/v1/containers").await["total"], 0);
}

#[tokio::test]
async fn every_truncation_is_refused() {
    let server = Server::start().await;
    let good = good();
    for length in 0..good.len() {
        let (status, body) = refused(&server, good[..length].to_vec()).await;
        assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY, "{length}: {body}");
        assert_eq!(body["code"], "malformed");
    }
    nothing_stored(&server).await;
    assert_eq!(server.post_bytes(good).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn an_unknown_version_is_415_with_a_sentence() {
    let server = Server::start().await;
    let mut body = good();
    body[4] = 99;
    let (status, body) = refused(&server, body).await;
    assert_eq!(status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert_eq!(body["code"], "unsupported_version");
    let message = body["message"].as_str().expect("text");
    assert!(
        message.contains("99") && message.contains("upgrade"),
        "{message}"
    );
}

#[tokio::test]
async fn an_oversized_body_is_413() {
    let limits = Limits {
        body: 10_000,
        ..Limits::default()
    };
    let server = Server::with_limits(limits).await;
    let (status, body) = refused(&server, vec![0; 10_001]).await;
    assert_eq!(status, StatusCode::PAYLOAD_TOO_LARGE);
    assert!(
        body["message"]
            .as_str()
            .is_some_and(|text| text.contains("10000"))
    );
}

/// Peak memory of this process, in KiB.
fn peak() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let number = line.and_then(|line| line.split_whitespace().next());
    number
        .and_then(|number| number.parse().ok())
        .expect("a number")
}

fn varint(mut n: u64, out: &mut Vec<u8>) {
    while n >= 0x80 {
        out.push(n as u8 | 0x80);
        n >>= 7;
    }
    out.push(n as u8);
}

#[tokio::test]
async fn a_bomb_is_refused_within_bounds() {
    let server = Server::start().await;
    let before = peak();
    let zeros = vec![0_u8; 64 << 20];
    let packed = zstd::bulk::compress(&zeros, 19).expect("compresses");
    drop(zeros);
    // The declared size is right, too small, and far too large.
    for declared in [64 << 20, 100, 1 << 40] {
        let mut body = b"\xbcBAT\x01\x01".to_vec();
        varint(declared, &mut body);
        body.extend_from_slice(&packed);
        let (status, answer) = refused(&server, body).await;
        assert!(
            [
                StatusCode::PAYLOAD_TOO_LARGE,
                StatusCode::UNPROCESSABLE_ENTITY
            ]
            .contains(&status),
            "{declared}: {status} {answer}"
        );
    }
    // The test itself needs memory for the zeros above, and for compressing them.
    let grown = peak() - before;
    assert!(grown < 512 << 10, "memory grew by {grown} KiB");
    nothing_stored(&server).await;
}

#[tokio::test]
async fn flipped_bits_never_break_the_server() {
    let server = Server::start().await;
    let good = good();
    for at in 0..good.len() {
        let mut body = good.clone();
        body[at] ^= 1 << (at % 8);
        let status = server.post_bytes(body).await.status();
        assert!(
            status.is_success() || status.is_client_error(),
            "byte {at}: {status}"
        );
    }
    assert_eq!(server.get("/ping").await.status(), StatusCode::OK);
}

#[tokio::test]
async fn a_body_that_is_a_segment_or_has_another_type_is_refused() {
    let server = Server::start().await;
    let segment = seconds("aaaaaaaaaaaa", 1, clock::now() - 9, 3, 7);
    let (status, body) = refused(&server, segment.encode(Effort::Fast)).await;
    assert_eq!(status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        body["message"]
            .as_str()
            .is_some_and(|text| text.contains("not a batch"))
    );
    let answer = server
        .client
        .post(format!("{}/api/v1/batch", server.url))
        .bearer_auth(&server.key)
        .header("content-type", "application/json")
        .body(good())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
}

#[tokio::test]
async fn segments_from_the_future_are_refused_one_by_one() {
    let server = Server::start().await;
    let now = clock::now();
    let segments = vec![
        seconds("aaaaaaaaaaaa", 1, now - 2, 1, 7),
        seconds("aaaaaaaaaaaa", 1, now + 7_200, 1, 7),
    ];
    let answer = server.post_bytes(batch(segments).encode()).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let receipt: Value = answer.json().await.expect("JSON");
    assert_eq!(receipt["stored"], 1);
    assert_eq!(receipt["known"], 0);
    let refused = receipt["refused"].as_array().expect("a list");
    assert_eq!(refused.len(), 1);
    assert_eq!(refused[0]["start"], now + 7_200);
    assert!(
        refused[0]["reason"]
            .as_str()
            .is_some_and(|text| text.contains("clock"))
    );
    // A clock can be set right, so this one is not refused for good.
    assert_eq!(refused[0]["later"], true);
    assert!(receipt["time"].as_u64().is_some_and(|time| time >= now));
}

#[tokio::test]
async fn bad_queries_are_400_or_404_with_a_sentence() {
    let server = Server::start().await;
    server
        .post(vec![seconds("aaaaaaaaaaaa", 1, clock::now() - 9, 3, 7)])
        .await;
    let of = |what: &str| format!("/api/v1/containers/aaaaaaaaaaaa/{what}");
    let cases = [
        (of("summary?frm=1"), 400, "frm"),
        (of("summary?from=10&to=5"), 400, "before"),
        (of("summary?from=NaN"), 400, "from"),
        (of("summary?from=-1"), 400, "from"),
        (of("summary?step=0"), 400, "step"),
        (of("summary?process=x"), 400, "process"),
        (of("table?kind=nonsense"), 400, "kind"),
        (of("table?format=xml"), 400, "format"),
        (of("table?sort=nonsense"), 400, "cpu_ns"),
        (of("table?kind=file&group=bytes_out"), 400, "path"),
        (of("table?group=name&sort=pid"), 400, "rows"),
        (of("table?order=up"), 400, "order"),
        (of("table?limit=0"), 400, "limit"),
        (of("table?filter=falied:%3E0"), 400, "falied"),
        ("/api/v1/containers?state=asleep".to_owned(), 400, "state"),
        ("/api/v1/containers?sort=x".to_owned(), 400, "memory_peak"),
        ("/api/v1/containers?filter=x:%3E3".to_owned(), 400, "x"),
        ("/api/v1/containers?group=cpu_ns".to_owned(), 400, "image"),
        ("/api/v1/containers?cursor=x".to_owned(), 400, "cursor"),
        (
            "/api/v1/containers/cccccccccccc".to_owned(),
            404,
            "cccccccccccc",
        ),
        ("/api/v1/containers/a%20b".to_owned(), 400, "id"),
        ("/api/v1/nothing".to_owned(), 404, "nothing"),
    ];
    for (path, status, word) in cases {
        let answer = server.get(&path).await;
        assert_eq!(answer.status().as_u16(), status, "{path}");
        let body: Value = answer.json().await.expect("an error is JSON");
        let message = body["message"].as_str().expect("text");
        assert!(message.contains(word), "{path}: {message}");
    }
    // Huge ranges are answered with a bounded number of slots.
    for range in [
        "from=0&to=1e300",
        "at=1e300",
        "from=1e300",
        "from=0",
        "from=0&to=1",
        "step=1&from=0",
    ] {
        let summary = server.json(&of(&format!("summary?{range}"))).await;
        let slots = summary["range"]["slots"].as_u64().expect("a number");
        assert!((1..=2_000).contains(&slots), "{range}: {slots}");
    }
}

#[tokio::test]
async fn too_much_at_a_time_is_429_with_retry_after() {
    let limits = Limits {
        posts: 0,
        reads: 0,
        ..Limits::default()
    };
    let server = Server::with_limits(limits).await;
    for answer in [
        server.post_bytes(good()).await,
        server.get("/api/v1/containers").await,
    ] {
        assert_eq!(answer.status(), StatusCode::TOO_MANY_REQUESTS);
        assert!(answer.headers().contains_key("retry-after"));
    }
    // The health check has no limit.
    assert_eq!(server.get("/ping").await.status(), StatusCode::OK);
}

/// What a stranger sends is a field of a line in the log, and never a line.
#[tokio::test]
async fn a_stranger_writes_no_line_of_the_log() {
    let data = tempfile::TempDir::new().expect("a folder");
    let client = client();
    let mut program = Program::start(&data, &client, &[("BUBBLE_LOG", "info")]).await;
    let long = "x".repeat(5_000);
    let forged = "%0AFORGED%20line%1B%5B2J";
    for path in [
        format!("/api/v1/batch?a{forged}{long}=1"),
        format!("/event?a{forged}{long}=1"),
        format!("/api/v1/containers/{forged}"),
        format!("/{forged}"),
    ] {
        for request in [
            client.get(format!("{}{path}", program.url)),
            client.post(format!("{}{path}", program.url)),
        ] {
            let answer = request.bearer_auth(format!("wrong.{long}")).send().await;
            assert!(
                answer.expect("an answer").status().is_client_error() || path.starts_with("/%")
            );
        }
    }
    program.stop();
    let log = log_of(&data);
    assert!(log.contains("answered"), "{log}");
    for line in log.lines() {
        assert!(line.len() < 2_000, "{line}");
        assert!(
            !line.trim_start().starts_with("FORGED") && !line.contains('\u{1b}'),
            "{line}"
        );
    }
}
