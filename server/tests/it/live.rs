//! Live streams.

use std::time::Duration;

use bubble_server::clock;
use futures_util::StreamExt;
use serde_json::Value;

use crate::common::{Server, seconds};

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
