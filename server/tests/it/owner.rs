//! Whose container it is: posts of other owners and hosts, recordings of live sources, ids that begin
//! alike, and times that cannot be live.

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::{Segment, SourceId};
use bubble_server::auth::key;
use bubble_server::auth::token::Access;
use bubble_server::clock;
use bubble_server::http::batch::MEDIA_TYPE;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::common::{Server, id, seconds, token};

const ID: &str = "5961688fa2f4";

/// A key for `owner`.
async fn key_of(server: &Server, owner: &str) -> String {
    let (text, key) = key::create(owner, clock::now());
    server.state.store.create_key(key).await.expect("stored");
    text
}

/// Posts segments of one source with a key from a host. Returns the receipt.
async fn post(server: &Server, (key, host): (&str, &str), segments: Vec<Segment>) -> Value {
    post_to(server, "/api/v1/batch", (key, host), segments).await
}

async fn post_to(
    server: &Server,
    path: &str,
    (key, host): (&str, &str),
    segments: Vec<Segment>,
) -> Value {
    let source = segments.first().map_or(SourceId([1; 16]), |s| s.key.source);
    let batch = Batch {
        source,
        agent: AgentReport {
            host: host.to_owned(),
            sent_at: clock::now_ns(),
            ..AgentReport::default()
        },
        segments,
    };
    let request = server
        .client
        .post(format!("{}{path}", server.url))
        .bearer_auth(key)
        .header("content-type", MEDIA_TYPE)
        .body(batch.encode());
    let answer = request.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    answer.json().await.expect("a receipt")
}

async fn cpu(server: &Server, id: &str) -> Value {
    server.json(&format!("/api/v1/containers/{id}")).await["cpu_ns"].clone()
}

/// The codes of the refusals in a receipt.
fn codes(receipt: &Value) -> Vec<&str> {
    let refused = receipt["refused"].as_array().expect("a list");
    refused
        .iter()
        .filter_map(|one| one["code"].as_str())
        .collect()
}

#[tokio::test]
async fn a_container_belongs_to_the_owner_who_posted_it_first() {
    let server = Server::start().await;
    let (first, other) = (key_of(&server, "a").await, key_of(&server, "b").await);
    let now = clock::now();
    let receipt = post(
        &server,
        (&first, "one"),
        vec![seconds(ID, 1, now - 9, 1, 5)],
    )
    .await;
    assert_eq!(receipt["stored"], 1);

    // The same source, another one, and facts that would rename and end it.
    let mut renamed = seconds(ID, 2, now - 7, 1, 900);
    renamed.facts.insert("name".to_owned(), "taken".to_owned());
    let ended = format!("{now}000000000");
    renamed.facts.insert("ended".to_owned(), ended);
    for segment in [seconds(ID, 1, now - 8, 1, 900), renamed] {
        for host in ["one", "two"] {
            let receipt = post(&server, (&other, host), vec![segment.clone()]).await;
            assert_eq!(codes(&receipt), ["other_owner"]);
            assert_eq!(receipt["stored"], 0);
            assert_eq!(receipt["refused"][0]["later"], false);
        }
    }
    // A refusal does not keep back what is the sender's own, and names the segment as it was posted.
    let both = vec![
        seconds(ID, 3, now - 6, 1, 900),
        seconds("own", 3, now - 6, 1, 3),
    ];
    let receipt = post(&server, (&other, "two"), both).await;
    assert_eq!((&receipt["stored"], codes(&receipt).len()), (&json!(1), 1));
    assert_eq!(receipt["refused"][0]["container"], ID);
    assert_eq!(receipt["refused"][0]["start"], now - 6);

    // A new key of the same owner goes on.
    let next = key_of(&server, "a").await;
    let receipt = post(&server, (&next, "one"), vec![seconds(ID, 4, now - 5, 1, 2)]).await;
    assert_eq!(receipt["stored"], 1);
    let item = server.json(&format!("/api/v1/containers/{ID}")).await;
    assert_eq!((&item["cpu_ns"], &item["name"]), (&json!(7), &json!("web")));
    assert_eq!(item["ended"], Value::Null);
    let by = &item["posted_by"];
    assert_eq!((&by["owner"], &by["host"]), (&json!("a"), &json!("one")));
    assert_eq!(by["key"].as_str(), first.split_once('.').map(|(id, _)| id));
    let list = server.json("/api/v1/containers?sort=name").await;
    let owners: Vec<_> = list["containers"]
        .as_array()
        .expect("a list")
        .iter()
        .collect();
    assert!(
        owners
            .iter()
            .all(|item| item["posted_by"]["owner"].is_string())
    );

    // Once it is released, whoever posts it next owns it.
    assert!(server.state.store.release(ID).await.expect("answers"));
    let receipt = post(
        &server,
        (&other, "two"),
        vec![seconds(ID, 5, now - 4, 1, 1)],
    )
    .await;
    assert_eq!(receipt["stored"], 1);
}

#[tokio::test]
async fn what_was_stored_before_owners_belongs_to_who_posts_it_next() {
    let server = Server::start().await;
    let (first, other) = (key_of(&server, "a").await, key_of(&server, "b").await);
    let now = clock::now();
    let second = |id: &str, source, start| vec![seconds(id, source, start, 1, 5)];
    post(&server, (&first, "one"), second(ID, 1, now - 9)).await;
    // As a version without owners has left it.
    let store = &server.state.store;
    for binding in store.bindings().await.expect("answers") {
        assert!(store.release(&binding.name).await.expect("answers"));
    }
    let item = server.json(&format!("/api/v1/containers/{ID}")).await;
    assert_eq!(item["posted_by"], Value::Null);
    // The agent of the newer version knows the full id.
    let full = format!("{ID}{}", "7".repeat(52));
    let receipt = post(&server, (&other, "two"), second(&full, 2, now - 8)).await;
    assert_eq!(receipt["stored"], 1);
    for id in [ID, &full] {
        let receipt = post(&server, (&first, "one"), second(id, 3, now - 7)).await;
        assert_eq!(codes(&receipt), ["other_owner"], "{id}");
    }
    let item = server.json(&format!("/api/v1/containers/{full}")).await;
    assert_eq!((&item["id"], &item["cpu_ns"]), (&json!(ID), &json!(10)));
    assert_eq!(item["posted_by"]["owner"], "b");
}

#[tokio::test]
async fn a_container_stays_on_its_host() {
    let server = Server::start().await;
    let key = key_of(&server, "a").await;
    let now = clock::now();
    post(&server, (&key, "one"), vec![seconds(ID, 1, now - 9, 1, 5)]).await;
    let receipt = post(&server, (&key, "two"), vec![seconds(ID, 2, now - 8, 1, 5)]).await;
    assert_eq!(codes(&receipt), ["other_host"]);
    let reason = receipt["refused"][0]["reason"].as_str().expect("words");
    assert!(
        reason.contains("\"one\"") && reason.contains("container release"),
        "{reason}"
    );
    assert_eq!(cpu(&server, ID).await, 5);
}

#[tokio::test]
async fn a_recording_takes_no_live_source_and_no_container_of_others() {
    let server = Server::start().await;
    let (first, other) = (key_of(&server, "a").await, key_of(&server, "b").await);
    let now = clock::now();
    post(
        &server,
        (&first, "one"),
        vec![seconds(ID, 1, now - 9, 1, 5)],
    )
    .await;
    let path = "/api/v1/batch?recording=x";
    for (key, container, source, code) in [
        (&first, ID, 1, "other_source"),
        (&first, "elsewhere", 1, "other_source"),
        (&other, ID, 1, "other_owner"),
        (&other, "elsewhere", 1, "other_owner"),
        (&other, ID, 2, "other_owner"),
    ] {
        let segment = seconds(container, source, now - 8, 1, 7);
        let receipt = post_to(&server, path, (key, "two"), vec![segment]).await;
        assert_eq!(codes(&receipt), [code], "{container} {source}");
    }
    let list = server.json("/api/v1/recordings").await;
    assert_eq!(list["recordings"], json!([]));
    // Its owner may add a recording from anywhere, but not post live into that.
    let segment = seconds(ID, 3, now - 8, 1, 7);
    let receipt = post_to(&server, path, (&first, "two"), vec![segment]).await;
    assert_eq!(receipt["stored"], 1);
    let receipt = post(
        &server,
        (&first, "one"),
        vec![seconds(ID, 3, now - 7, 1, 7)],
    )
    .await;
    assert_eq!(codes(&receipt), ["other_source"]);
    assert_eq!(cpu(&server, ID).await, 12);
}

#[tokio::test]
async fn a_time_that_cannot_be_live_waits() {
    let server = Server::start().await;
    let now = clock::now();
    let key = server.key.clone();
    for (start, code) in [
        (0, "past"),
        (now - 100 * 86_400, "past"),
        (now + 7_200, "future"),
    ] {
        let receipt = post(&server, (&key, "one"), vec![seconds(ID, 1, start, 1, 7)]).await;
        assert_eq!(codes(&receipt), [code]);
        // One of the clocks is wrong, so the agent keeps it.
        assert_eq!(receipt["refused"][0]["later"], true);
    }
    // What waited in a spool for two months is taken.
    let old = vec![seconds(ID, 1, now - 60 * 86_400, 1, 7)];
    assert_eq!(post(&server, (&key, "one"), old).await["stored"], 1);
    let then = vec![seconds(ID, 2, 1_506_127_481, 1, 7)];
    let path = "/api/v1/batch?recording=x";
    assert_eq!(
        post_to(&server, path, (&key, "one"), then).await["stored"],
        1
    );
}

#[tokio::test]
async fn two_containers_with_one_short_id_stay_apart() {
    let server = Server::start().await;
    let now = clock::now() / 60 * 60 - 120;
    let full = |last: &str| format!("{ID}{}", last.repeat(52));
    let (one, two) = (full("1"), full("2"));
    let key = server.key.clone();
    for (number, slot) in [(0, 0), (1, 1), (2, 2)] {
        let segments = vec![
            seconds(&one, 1, now + slot, 1, 10),
            seconds(&two, 1, now + slot, 1, 1),
        ];
        let receipt = post(&server, (&key, "one"), segments).await;
        assert_eq!(receipt["stored"], 2, "{number}: {receipt}");
    }
    // A chisel knows the short form only: the first one has it.
    let receipt = post(&server, (&key, "one"), vec![seconds(ID, 2, now, 1, 100)]).await;
    assert_eq!(receipt["stored"], 1);
    for later in [0, 600] {
        server.roll_up(clock::now() + later).await;
        assert_eq!(cpu(&server, &one).await, 130);
        assert_eq!(cpu(&server, &two).await, 3);
        for (id, sum) in [(&one, 130), (&two, 3)] {
            let path = format!(
                "/api/v1/containers/{id}/table?kind=cpu&from={now}&to={}",
                now + 60
            );
            let table = server.json(&path).await;
            assert_eq!(table["total"]["sums"]["cpu_ns"], sum, "{table}");
        }
    }
    // A longer part tells them apart, the short form does not.
    assert_eq!(cpu(&server, &two[..20]).await, 3);
    let answer = server.get(&format!("/api/v1/containers/{ID}")).await;
    assert_eq!(answer.status(), StatusCode::CONFLICT);
    let body: Value = answer.json().await.expect("JSON");
    assert_eq!(body["code"], "ambiguous");
    let message = body["message"].as_str().expect("words");
    assert!(
        message.contains(&one) && message.contains(&two),
        "{message}"
    );
    // A link made for the short form still shows the first one, and no other.
    let link = token(&Access::Container(id(ID)));
    for (id, status) in [(ID, 200), (one.as_str(), 200), (two.as_str(), 403)] {
        let answer = server
            .get_with(&format!("/api/v1/containers/{id}"), &link)
            .await;
        assert_eq!(answer.status().as_u16(), status, "{id}");
    }
    let link = token(&Access::Container(id(&two)));
    for (id, status) in [(one.as_str(), 403), (two.as_str(), 200), (&two[..20], 200)] {
        let answer = server
            .get_with(&format!("/api/v1/containers/{id}"), &link)
            .await;
        assert_eq!(answer.status().as_u16(), status, "{id}");
    }
    // A reader is not told which other containers there are, nor is a stranger.
    for (own, sum) in [(&one, 130), (&two, 3)] {
        let link = token(&Access::Container(id(own)));
        let path = format!("/api/v1/containers/{ID}");
        let answer = server.get_with(&path, &link).await;
        let item: Value = answer.json().await.expect("JSON");
        assert_eq!(item["cpu_ns"], sum, "{item}");
    }
    let old_link = format!("{}/static/index.html?container={ID}", server.url);
    let answer = server.client.get(old_link).send().await.expect("an answer");
    assert_eq!(answer.url().path(), format!("/c/{ID}"));
    let page = answer.text().await.expect("text");
    assert!(!page.contains(&one) && !page.contains(&two), "{page}");
    // Once the other one is gone, the short form is clear again.
    let store = &server.state.store;
    assert!(store.delete_container(&id(&two)).await.expect("answers"));
    server.roll_up(clock::now()).await;
    assert_eq!(cpu(&server, ID).await, 130);
}

#[tokio::test]
async fn hosts_of_two_owners_may_have_one_name() {
    let server = Server::start().await;
    for owner in ["a", "b"] {
        let key = key_of(&server, owner).await;
        post(&server, (&key, "node7"), Vec::new()).await;
    }
    let hosts = server.json("/api/v1/hosts").await;
    let owners = hosts["hosts"].as_array().expect("a list").iter();
    let owners: Vec<_> = owners.map(|host| (&host["host"], &host["owner"])).collect();
    let name = json!("node7");
    assert_eq!(owners, [(&name, &json!("a")), (&name, &json!("b"))]);
}

#[tokio::test]
async fn facts_are_bounded() {
    let server = Server::start().await;
    let now = clock::now();
    // Each batch brings other labels, and a long one.
    for round in 0..4_u64 {
        let mut segment = seconds(ID, 1, now - 9 + round, 1, 1);
        for label in 0..100 {
            let name = format!("label.{round}.{label}");
            segment.facts.insert(name, "x".to_owned());
        }
        segment
            .facts
            .insert("image".to_owned(), "i".repeat(100_000));
        assert_eq!(server.post(vec![segment]).await, (1, 0));
    }
    let item = server.json(&format!("/api/v1/containers/{ID}")).await;
    let labels = item["labels"].as_object().expect("labels").len();
    assert!((100..=128).contains(&labels), "{labels}");
    let image = item["image"].as_str().expect("text");
    assert!(
        image.len() < 5_000 && image.ends_with('…'),
        "{}",
        image.len()
    );
    assert_eq!(item["name"], "web");
}
