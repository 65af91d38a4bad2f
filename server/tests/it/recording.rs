//! Recordings: they never expire, are rolled up like live data, and can be deleted.

use bubble_common::batch::Batch;
use bubble_common::segment::{Segment, SourceId};
use bubble_server::auth::token::Access;
use bubble_server::clock;
use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::common::{Server, batch, id, seconds, token};

/// A Saturday in 2017, at the start of an hour.
const THEN: u64 = 1_506_124_800;
const ID: &str = "aaaaaaaaaaaa";
const BOTH: &str = "bbbbbbbbbbbb";

/// Posts a part of a recording; its id is `source`, repeated.
async fn record(server: &Server, name: &str, source: u8, segments: Vec<Segment>) -> Response {
    let batch = Batch {
        source: SourceId([source; 16]),
        ..batch(segments)
    };
    server
        .post_to(&format!("/api/v1/batch?recording={name}"), batch.encode())
        .await
}

async fn stored(answer: Response) -> Value {
    let status = answer.status();
    let receipt: Value = answer.json().await.expect("JSON");
    assert_eq!(status, StatusCode::OK, "{receipt}");
    receipt
}

async fn delete(server: &Server, id: &str, token: &str) -> StatusCode {
    server
        .client
        .delete(format!("{}/api/v1/recordings/{id}", server.url))
        .bearer_auth(token)
        .send()
        .await
        .expect("an answer")
        .status()
}

async fn cpu(server: &Server, container: &str, step: u64) -> u64 {
    let path = format!(
        "/api/v1/containers/{container}/summary?from={THEN}&to={}&step={step}",
        THEN + 3_600
    );
    let summary = server.json(&path).await;
    let known = summary["range"]["step"].as_u64().expect("a number");
    assert_eq!(known, step, "{}", summary["range"]);
    summary["accounting"]["process_cpu_ns"]
        .as_u64()
        .expect("a number")
}

#[tokio::test]
async fn a_recording_of_2017_is_kept_at_every_resolution() {
    let server = Server::start().await;
    let source = 9;
    let half = |start| seconds(ID, source, start, 30, 1_000);
    stored(record(&server, "an%20old%20one", source, vec![half(THEN + 60)]).await).await;
    let now = clock::now();
    server.roll_up(now).await;
    server.roll_up(now + 600).await;
    // The rest of the minute arrives after the hour was rolled up, and is counted, too.
    stored(record(&server, "an%20old%20one", source, vec![half(THEN + 90)]).await).await;
    for day in 0..3 {
        server.roll_up(now + 600 + day * 200 * 86_400).await;
    }
    for step in [2, 60, 3_600] {
        assert_eq!(cpu(&server, ID, step).await, 60_000, "{step}");
    }
    // A repeated post is recognised, however old it is.
    let again = stored(record(&server, "an%20old%20one", source, vec![half(THEN + 60)]).await);
    assert_eq!(again.await["known"], 1);
    assert_eq!(cpu(&server, ID, 2).await, 60_000);

    let item = server.json(&format!("/api/v1/containers/{ID}")).await;
    assert_eq!(item["state"], "ended");
    assert_eq!(item["recordings"], json!(["an old one"]));
    assert_eq!(item["last_seen"], (THEN + 120) as f64);
    for (state, total) in [("ended", 1), ("silent", 0), ("running", 0)] {
        let page = server
            .json(&format!("/api/v1/containers?state={state}"))
            .await;
        assert_eq!(page["total"], total, "{state}");
    }
    for (search, total) in [("Old%20one", 1), ("new%20one", 0)] {
        let page = server
            .json(&format!("/api/v1/containers?search={search}"))
            .await;
        assert_eq!(page["total"], total, "{search}");
    }
    // The default range is the end of the recording, not the last 15 minutes of today.
    let summary = server
        .json(&format!("/api/v1/containers/{ID}/summary"))
        .await;
    assert_eq!(summary["range"]["to"], (THEN + 120) as f64);
    let life = server.json(&format!("/api/v1/containers/{ID}/life")).await;
    assert_eq!(
        (&life["first"], &life["last"]),
        (&json!(THEN as f64 + 60.0), &json!(THEN as f64 + 120.0))
    );
    // A host that posts a recording is not listed: it may have no agent.
    assert_eq!(server.json("/api/v1/hosts").await["hosts"], json!([]));
}

#[tokio::test]
async fn the_same_seconds_live_expire() {
    let server = Server::start().await;
    // Live data cannot be older than 92 days.
    let then = clock::now() / 3_600 * 3_600 - 60 * 86_400;
    let posted = server.post(vec![seconds(ID, 9, then, 60, 1_000)]).await;
    assert_eq!(posted, (1, 0));
    server.roll_up(clock::now()).await;
    server.roll_up(clock::now() + 600).await;
    let path = format!(
        "/api/v1/containers/{ID}/summary?from={then}&to={}&step=1",
        then + 60
    );
    let summary = server.json(&path).await;
    assert_eq!(summary["range"]["resolution"], "hour");
}

#[tokio::test]
async fn deleting_a_recording_leaves_all_other_data() {
    let server = Server::start().await;
    let now = clock::now();
    let live = seconds(BOTH, 1, now - 30, 10, 500);
    server.post(vec![live]).await;
    for (name, source) in [("first", 9), ("second", 10)] {
        let containers = [ID, BOTH].map(|id| seconds(id, source, THEN, 60, 1_000));
        stored(record(&server, name, source, containers.to_vec()).await).await;
    }
    server.roll_up(now + 600).await;
    // A piece that is not packed yet at deletion.
    let late = seconds(ID, 9, THEN + 60, 7, 1_000);
    stored(record(&server, "first", 9, vec![late]).await).await;

    let list = server.json("/api/v1/recordings").await;
    let names: Vec<&Value> = list["recordings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|recording| &recording["name"])
        .collect();
    assert_eq!(names, ["first", "second"]);
    let first = &list["recordings"][0];
    assert_eq!(first["id"], "09".repeat(16));
    assert_eq!(first["containers"][0]["id"], ID);
    assert_eq!(first["containers"][0]["last"], (THEN + 67) as f64);
    assert_eq!(first["containers"][0]["cpu_ns"], 67_000);
    assert_eq!(first["containers"][1]["bytes_out"], 60 * 4_096);

    let own = token(&Access::Container(id(ID)));
    let first = "09".repeat(16);
    assert_eq!(delete(&server, &first, &own).await, StatusCode::FORBIDDEN);
    assert_eq!(
        delete(&server, "x", &server.admin).await,
        StatusCode::NOT_FOUND
    );
    assert_eq!(
        delete(&server, &first, &server.admin).await,
        StatusCode::NO_CONTENT
    );
    assert_eq!(
        delete(&server, &first, &server.admin).await,
        StatusCode::NOT_FOUND
    );
    server.roll_up(now + 600).await;
    let list = server.json("/api/v1/recordings").await;
    assert_eq!(list["recordings"].as_array().map(Vec::len), Some(1));
    assert_eq!(cpu(&server, ID, 60).await, 60_000);
    let both = server.json(&format!("/api/v1/containers/{BOTH}")).await;
    assert_eq!(both["cpu_ns"], 60_000 + 5_000);
    assert_eq!(both["recordings"], json!(["second"]));

    assert_eq!(
        delete(&server, &"0a".repeat(16), &server.admin).await,
        StatusCode::NO_CONTENT
    );
    server.roll_up(now + 600).await;
    let answer = server.get(&format!("/api/v1/containers/{ID}")).await;
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    // The live data and its container remain.
    let both = server.json(&format!("/api/v1/containers/{BOTH}")).await;
    assert_eq!(
        (&both["cpu_ns"], &both["recordings"]),
        (&json!(5_000), &json!([]))
    );
    // Posts after the deletion make the recording anew.
    let segment = seconds(ID, 9, THEN, 60, 1_000);
    let receipt = stored(record(&server, "anew", 9, vec![segment]).await).await;
    assert_eq!(receipt["stored"], 1);
    server.roll_up(now + 700).await;
    assert_eq!(cpu(&server, ID, 60).await, 60_000);
}

#[tokio::test]
async fn a_recording_has_one_source_and_a_name() {
    let server = Server::start().await;
    let other_source = seconds(ID, 8, THEN, 1, 7);
    let receipt = stored(record(&server, "x", 9, vec![other_source]).await).await;
    assert_eq!(receipt["stored"], 0);
    let reason = &receipt["refused"][0]["reason"];
    assert!(
        reason.as_str().is_some_and(|text| text.contains("source")),
        "{reason}"
    );
    for bad in ["", "a%0Ab", &"x".repeat(201)] {
        let answer = record(&server, bad, 9, Vec::new()).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{bad:?}");
    }
    let answer = server.post_to("/api/v1/batch?recoding=x", Vec::new()).await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
}
