//! Live streams.

use std::time::Duration;

use bubble_server::clock;
use futures_util::StreamExt;
use serde_json::Value;

use crate::common::{SECRET, Server, seconds};

const ID: &str = "aaaaaaaaaaaa";

/// The next event that is not a comment: (name, data).
pub(crate) async fn next(
    stream: &mut (impl futures_util::Stream<Item = reqwest::Result<axum::body::Bytes>> + Unpin),
    buffer: &mut String,
) -> (String, Value) {
    loop {
        if let Some((event, rest)) = buffer.split_once("\n\n") {
            let field = |name: &str| {
                let mut lines = event.lines();
                lines.find_map(|line| line.strip_prefix(name).map(|value| value.trim().to_owned()))
            };
            let found = field("event:").zip(field("data:"));
            let rest = rest.to_owned();
            *buffer = rest;
            if let Some((name, data)) = found {
                return (name, serde_json::from_str(&data).expect("JSON"));
            }
            continue;
        }
        let wait = tokio::time::timeout(Duration::from_secs(30), stream.next());
        let chunk = wait
            .await
            .expect("in time")
            .expect("not over")
            .expect("no error");
        buffer.push_str(std::str::from_utf8(&chunk).expect("text"));
    }
}

#[tokio::test]
async fn a_stream_starts_with_the_newest_seconds_and_then_sends_each_new_one() {
    let server = Server::start().await;
    let now = clock::now();
    server
        .post(vec![seconds(ID, 1, now - 3, 1, 10_000_000)])
        .await;
    let answer = server.get(&format!("/api/v1/containers/{ID}/live")).await;
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let (mut stream, mut buffer) = (answer.bytes_stream(), String::new());
    let (name, first) = next(&mut stream, &mut buffer).await;
    assert_eq!(name, "slots");
    assert_eq!(first["accounting"]["process_cpu_ns"], 10_000_000);

    // Two sources of the same second add up.
    let sources = [1, 2].map(|source| seconds(ID, source, now - 2, 1, 20_000_000));
    server.post(sources.to_vec()).await;
    let (name, second) = next(&mut stream, &mut buffer).await;
    assert_eq!(name, "slots");
    assert_eq!(second["range"]["from"].as_f64(), Some((now - 2) as f64));
    assert_eq!(second["cpu"]["total"][0].as_f64(), Some(4.0));

    let mut last = seconds(ID, 1, now - 1, 1, 30_000_000);
    let ended = ((now - 1) * 1_000_000_000).to_string();
    last.facts.insert("ended".to_owned(), ended);
    server.post(vec![last]).await;
    let (name, third) = next(&mut stream, &mut buffer).await;
    assert_eq!(
        (name.as_str(), &third["container"]["state"]),
        ("slots", &"ended".into())
    );
    let (name, _) = next(&mut stream, &mut buffer).await;
    assert_eq!(name, "end");
}

/// The stream's bytes until it ends.
async fn ends(answer: reqwest::Response) {
    let mut stream = answer.bytes_stream();
    let end = async {
        while let Some(chunk) = stream.next().await {
            if chunk.is_err() {
                break;
            }
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, end)
        .await
        .expect("the stream ends");
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let server = Server::start().await;
    let now = clock::now();
    server.post(vec![seconds(ID, 1, now - 3, 1, 7)]).await;
    let path = format!("/api/v1/containers/{ID}/live");
    // It expires at once, but within the tolerated difference of clocks it is accepted.
    let claims = serde_json::json!({"aud": "urn:cb/stat", "exp": now, "admin": true});
    let key = jsonwebtoken::EncodingKey::from_secret(SECRET.as_bytes());
    let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::HS256);
    let expiring = jsonwebtoken::encode(&header, &claims, &key).expect("a token");
    let expiring = server.get_with(&path, &expiring).await;
    assert_eq!(expiring.status(), 200);
    let revoked = server.get(&path).await;
    assert_eq!(revoked.status(), 200);
    let valid = bubble_server::auth::token::check(&server.state.secret, &server.admin);
    let valid = valid.expect("a token");
    let store = &server.state.store;
    store
        .revoke_token(&valid.id, valid.expires)
        .await
        .expect("revoked");
    tokio::join!(ends(expiring), ends(revoked));
}
