//! Answers: the same numbers whatever state of roll-up the data is in.

use bubble_server::clock;
use serde_json::Value;

use crate::common::{Server, seconds};

const ID: &str = "aaaaaaaaaaaa";

fn sum(values: &Value) -> f64 {
    let values = values.as_array().expect("a series");
    values.iter().filter_map(Value::as_f64).sum()
}

#[tokio::test]
async fn a_range_is_the_same_before_and_after_packing() {
    let server = Server::start().await;
    let now = clock::now();
    // Over two edges of minutes, by two runs of an agent, with a gap of 7 s.
    let start = now - 200;
    let segments = vec![
        seconds(ID, 1, start, 100, 1_000_000),
        seconds(ID, 2, start + 107, 60, 1_000_000),
    ];
    assert_eq!(server.post(segments.clone()).await, (2, 0));
    let path = format!(
        "/api/v1/containers/{ID}/summary?from={start}&to={}&step=1",
        start + 167
    );
    let before = server.json(&path).await;
    assert_eq!(before["range"]["slots"], 167);
    assert_eq!(before["accounting"]["process_cpu_ns"], 160_000_000);
    assert_eq!(before["accounting"]["cgroup_cpu_ns"], 160_000_000);
    assert_eq!(sum(&before["covered"]), 160.0);
    assert_eq!(sum(&before["files"]["out"]), 160.0 * 4_096.0);
    assert_eq!(before["covered"][103], 0.0);
    assert_eq!(before["cpu"]["total"][103], Value::Null);
    assert_eq!(before["cpu"]["total"][0], 0.1);
    assert_eq!(before["memory"]["current"][0], 3 << 20);
    assert_eq!(before["processes"][0]["args"][2], "daemon off;");
    assert_eq!(before["processes"][0]["cpu_ns"], 160_000_000);
    assert_eq!(before["files"]["rows"][0]["path"], "/var/log/access.log");
    assert_eq!(before["container"]["cpu_ns"], 160_000_000);

    server.roll_up(now + 200).await;
    let after = server.json(&path).await;
    assert_eq!(before, after);
    // Posted again they are known, packed or not.
    assert_eq!(server.post(segments).await, (0, 2));
    assert_eq!(server.json(&path).await, after);
    server.roll_up(now + 200).await;
    assert_eq!(server.json(&path).await, after);

    // The same at a minute a slot.
    let path = format!(
        "/api/v1/containers/{ID}/summary?from={start}&to={}&step=60",
        start + 167
    );
    let minutes = server.json(&path).await;
    assert_eq!(minutes["range"]["resolution"], "minute");
    assert_eq!(minutes["accounting"]["process_cpu_ns"], 160_000_000);
    assert_eq!(sum(&minutes["files"]["out"]), 160.0 * 4_096.0);
}

#[tokio::test]
async fn minutes_and_hours_have_no_hole_at_now() {
    let server = Server::start().await;
    let now = clock::now();
    server
        .post(vec![seconds(ID, 1, now - 30, 30, 1_000_000)])
        .await;
    for step in [1, 60, 3_600, 86_400] {
        let path = format!(
            "/api/v1/containers/{ID}/summary?from={}&to={now}&step={step}",
            now - 86_400
        );
        let summary = server.json(&path).await;
        assert_eq!(
            summary["accounting"]["process_cpu_ns"], 30_000_000,
            "step {step}"
        );
    }
    let life = server.json(&format!("/api/v1/containers/{ID}/life")).await;
    assert!(sum(&life["cpu"]) > 0.0);
}

#[tokio::test]
async fn tables_can_be_scoped_and_exported() {
    let server = Server::start().await;
    let now = clock::now();
    server
        .post(vec![seconds(ID, 1, now - 30, 30, 1_000_000)])
        .await;
    let range = format!("from={}&to={now}", now - 60);
    let of = |what: &str| format!("/api/v1/containers/{ID}/{what}&{range}");
    let at = server
        .json(&of(&format!("summary?step=1&at={}", now - 10)))
        .await;
    assert_eq!(at["processes"][0]["cpu_ns"], 1_000_000);
    assert_eq!(at["files"]["rows"][0]["bytes_out"], 4_096);
    assert_eq!(at["accounting"]["process_cpu_ns"], 30_000_000);
    let own = server.json(&of("summary?process=4242-1000")).await;
    assert_eq!(own["processes"][0]["cpu_ns"], 30_000_000);
    let other = server.json(&of("summary?process=1-1000")).await;
    assert_eq!(other["total_processes"], 0);
    assert_eq!(other["accounting"]["process_cpu_ns"], 0);
    for (kind, cell) in [
        ("process", "30000000"),
        ("cpu", "30000000"),
        ("file", "122880"),
    ] {
        let json = server.json(&of(&format!("table?kind={kind}"))).await;
        assert_eq!(json["rows"].as_array().map(Vec::len), Some(1), "{kind}");
        assert_eq!(json["rows"][0]["pid"], 4_242, "{kind}");
        let csv = server
            .get(&of(&format!("table?kind={kind}&format=csv")))
            .await;
        assert_eq!(csv.headers()["content-type"], "text/csv; charset=utf-8");
        let csv = csv.text().await.expect("text");
        assert_eq!(csv.lines().count(), 2, "{csv}");
        assert!(csv.contains(cell), "{kind}: {csv}");
    }
}

#[tokio::test]
async fn the_list_searches_sorts_and_pages() {
    let server = Server::start().await;
    let now = clock::now();
    let segments = (0..5_u64).map(|n| {
        let id = format!("container{n:03}");
        seconds(&id, 1, now - 10 + n, 1, 1_000 * (5 - n))
    });
    server.post(segments.collect()).await;
    let ids = |list: &Value| -> Vec<String> {
        let containers = list["containers"].as_array().expect("a list");
        containers
            .iter()
            .map(|c| c["id"].as_str().expect("text").to_owned())
            .collect()
    };
    let first = server
        .json("/api/v1/containers?limit=2&sort=activity")
        .await;
    assert_eq!(ids(&first), ["container004", "container003"]);
    assert_eq!(first["total"], 5);
    let next = first["next"].as_str().expect("more");
    let second = server
        .json(&format!("/api/v1/containers?limit=2&cursor={next}"))
        .await;
    assert_eq!(ids(&second), ["container002", "container001"]);
    let cpu = server.json("/api/v1/containers?sort=cpu&limit=1").await;
    assert_eq!(ids(&cpu), ["container000"]);
    for (search, found) in [
        ("NGINX", 5),
        ("container003", 1),
        ("shop", 5),
        ("absent", 0),
    ] {
        let list = server
            .json(&format!("/api/v1/containers?search={search}"))
            .await;
        assert_eq!(list["total"], found, "{search}");
    }
    for (state, found) in [("running", 5), ("ended", 0), ("silent", 0), ("all", 5)] {
        let list = server
            .json(&format!("/api/v1/containers?state={state}"))
            .await;
        assert_eq!(list["total"], found, "{state}");
    }
    let hosts = server.json("/api/v1/hosts").await;
    assert_eq!(hosts["hosts"][0]["host"], "node7");
}
