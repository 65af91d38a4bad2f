//! Reports of containers: over the API and by the command.

use std::process::Command;

use bubble_server::auth::token::Access;
use bubble_server::clock;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Server, batch, client, id, seconds, token};
use crate::program::{Program, create_key};

const ID: &str = "aaaaaaaaaaaa";

#[tokio::test]
async fn a_report_is_of_the_whole_life_or_of_a_range() {
    let server = Server::start().await;
    let now = clock::now();
    let start = now - 200;
    // Two runs of an agent, with a gap of 7 s.
    server
        .post(vec![
            seconds(ID, 1, start, 100, 10_000_000),
            seconds(ID, 2, start + 107, 60, 10_000_000),
        ])
        .await;
    let path = format!("/api/v1/containers/{ID}/report");
    for packed in [false, true] {
        if packed {
            server.roll_up(now + 200).await;
        }
        let report = server.json(&path).await;
        assert_eq!(report["schema"], "bubble-report/1");
        assert_eq!(report["container"]["name"], "web");
        assert_eq!(report["time"]["wall_seconds"], 167.0, "{packed}");
        assert_eq!(report["time"]["gap_seconds"], 7);
        assert_eq!(report["time"]["slot_seconds"], 1);
        assert_eq!(report["cpu"]["time_ns"], 1_600_000_000);
        assert_eq!(report["cpu"]["cores_mean"], 0.01);
        assert_eq!(report["memory"]["peak_bytes"], 3 << 20);
        assert_eq!(report["files"]["total"]["written_bytes"], 160 * 4_096);
        assert_eq!(
            report["files"]["by_file"]["rows"][0]["path"],
            "/var/log/access.log"
        );
        assert_eq!(report["files"]["only_written"]["files"], 1);
        assert_eq!(report["processes"]["commands"][0]["name"], "nginx");
        assert_eq!(report["processes"]["commands"][0]["processes"], 1);
        let (from, to) = (start + 90, start + 110);
        let part = server.json(&format!("{path}?from={from}&to={to}")).await;
        assert_eq!(part["time"]["wall_seconds"], 20.0, "{packed}");
        assert_eq!(part["cpu"]["time_ns"], 130_000_000, "{packed}");
        assert_eq!(part["time"]["gap_seconds"], 7);
    }
    let schema = bubble_server::http::report_schema();
    matches_schema(&server.json(&path).await, &schema, &schema);
}

#[tokio::test]
async fn a_report_is_compared_with_what_was_asked_for() {
    let server = Server::start().await;
    let start = clock::now() - 100;
    let used = seconds(ID, 1, start, 60, 1_000_000_000);
    server.post(vec![used]).await;
    let path = format!("/api/v1/containers/{ID}/report");
    let plain = server.json(&path).await;
    assert_eq!(plain["advice"], json!([]), "nobody asked for anything");
    let asked = server
        .json(&format!("{path}?asked=cores=4,memory=1G"))
        .await;
    let rules: Vec<&str> = asked["advice"]
        .as_array()
        .expect("a list")
        .iter()
        .filter_map(|advice| advice["rule"].as_str())
        .collect();
    assert_eq!(rules, ["serial", "memory_unused"]);
    assert_eq!(
        asked["cpu"]["cores_had"],
        json!({"value": 4.0, "source": "asked", "cgroup": null})
    );
    for (format, kind, begin) in [
        ("text", "text/plain", "web\n"),
        ("markdown", "text/markdown", "## `web`\n"),
        ("html", "text/html", "<!doctype html>\n"),
    ] {
        let answer = server.get(&format!("{path}?format={format}&top=1")).await;
        let found = answer.headers()["content-type"].to_str().expect("text");
        assert!(found.starts_with(kind), "{found}");
        let text = answer.text().await.expect("text");
        assert!(text.starts_with(begin), "{text}");
    }
}

#[tokio::test]
async fn a_report_needs_a_container_and_the_right_to_read_it() {
    let server = Server::start().await;
    let now = clock::now();
    server.post(vec![seconds(ID, 1, now - 30, 10, 1)]).await;
    let status = async |path: &str| server.get(path).await.status();
    let path = format!("/api/v1/containers/{ID}/report");
    assert_eq!(
        status("/api/v1/containers/bbbbbbbbbbbb/report").await,
        StatusCode::NOT_FOUND
    );
    for wrong in ["asked=much", "from=9&to=3", "format=pdf", "rows=3"] {
        let answer = status(&format!("{path}?{wrong}")).await;
        assert_eq!(answer, StatusCode::BAD_REQUEST, "{wrong}");
    }
    let other = token(&Access::Container(id("bbbbbbbbbbbb")));
    let answer = server.get_with(&path, &other).await;
    assert_eq!(answer.status(), StatusCode::FORBIDDEN);
    let own = token(&Access::Container(id(ID)));
    assert_eq!(server.get_with(&path, &own).await.status(), StatusCode::OK);
}

#[tokio::test]
async fn the_command_reports_beside_a_server() {
    let data = TempDir::new().expect("a folder");
    let client = client();
    let key = create_key(&data, &[]);
    let server = Program::start(&data, &client, &[]).await;
    let segment = seconds(ID, 1, clock::now() - 60, 30, 1_000_000);
    let posted = server
        .post(&client, &key, batch(vec![segment]).encode())
        .await;
    assert!(posted.expect("an answer").status().is_success());
    let report = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bubble-server"));
        command
            .args(["report", "--data"])
            .arg(data.path())
            .args(arguments);
        command.env_clear().output().expect("it runs")
    };
    let text = report(&[ID]);
    let stdout = String::from_utf8(text.stdout).expect("text");
    assert!(stdout.contains("CPU time    30.0 ms"), "{stdout}");
    let output = report(&[ID, "--json", "--asked", "cores=2"]);
    let parsed: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(parsed["cpu"]["cores_had"]["value"], 2.0);
    let unknown = report(&["bbbbbbbbbbbb"]);
    assert!(!unknown.status.success());
    let stderr = String::from_utf8(unknown.stderr).expect("text");
    assert!(
        stderr.contains("no container bbbbbbbbbbbb is known"),
        "{stderr}"
    );
}

/// Asserts that objects have the properties of the schema and no others, at any depth.
fn matches_schema(value: &Value, schema: &Value, whole: &Value) {
    let target = |schema: &Value| {
        let reference = schema["$ref"].as_str().unwrap_or_default();
        reference
            .strip_prefix('#')
            .and_then(|at| whole.pointer(at))
            .cloned()
    };
    if let Some(target) = target(schema) {
        return matches_schema(value, &target, whole);
    }
    if let Some(one_of) = schema["oneOf"].as_array() {
        let real = one_of.iter().find(|it| it["type"] != "null");
        if !value.is_null() {
            matches_schema(value, real.expect("a schema"), whole);
        }
        return;
    }
    match value {
        Value::Object(members) => {
            let known = schema["properties"].as_object().expect("properties");
            for (name, member) in members {
                let schema = known
                    .get(name)
                    .unwrap_or_else(|| panic!("{name} is unknown"));
                matches_schema(member, schema, whole);
            }
            for name in schema["required"].as_array().into_iter().flatten() {
                assert!(
                    members.contains_key(name.as_str().expect("a name")),
                    "{name}"
                );
            }
        }
        Value::Array(items) => {
            for item in items {
                matches_schema(item, &schema["items"], whole);
            }
        }
        _ => {}
    }
}
