//! The Python system's wire, paths and variables: posts of its chisel, and the answers to them.

mod body;
mod page;
mod post;
mod read;
mod variables;
mod whole_life;

use reqwest::{Response, StatusCode};
use serde_json::{Value, json};

use crate::common::Server;

const ID: &str = "59fd49aa4072";

fn cpu(ts: u64, rows: &Value) -> String {
    let ts = format!("{ts}000000000");
    json!({"ts": ts, "data": rows, "evt_type": "cpu", "jinfo": [{"name": "evt.cpu"}]}).to_string()
}

fn fd(ts: u64, rows: &Value) -> String {
    let ts = format!("{ts}000000000");
    json!({"ts": ts, "data": rows, "evt_type": "fd", "jinfo": []}).to_string()
}

fn haproxy(ns: u64) -> Value {
    json!([
        "0",
        "haproxy",
        "13969",
        "9",
        "15492",
        ID,
        "/usr/sbin/haproxy",
        "-f /x.cfg -q",
        "13924",
        ns
    ])
}

async fn event(server: &Server, body: impl Into<Vec<u8>>) -> Response {
    event_to(server, &format!("/event/api/{}", server.key), body).await
}

async fn event_to(server: &Server, path: &str, body: impl Into<Vec<u8>>) -> Response {
    let request = server.client.post(format!("{}{path}", server.url));
    request.body(body.into()).send().await.expect("an answer")
}

async fn post_event(server: &Server, body: impl Into<Vec<u8>>) {
    let answer = event(server, body).await;
    let status = answer.status();
    let text = answer.text().await.expect("text");
    assert_eq!((status, &*text), (StatusCode::OK, "ok"));
}

async fn item(server: &Server) -> Value {
    server.json(&format!("/api/v1/containers/{ID}")).await
}
