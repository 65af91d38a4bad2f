//! The time budget: where the time of threads went, by slot, by process and as columns of tables.

use bubble_common::segment::builder::Builder;
use bubble_common::segment::process::{Cpu, Process, ProcessId};
use bubble_common::segment::wait::Waits;
use bubble_common::segment::{Coverage, Segment};
use bubble_server::clock;
use serde_json::{Value, json};

use crate::common::{Server, seconds};

const ID: &str = "aaaaaaaaaaaa";

/// Two seconds: `db` waits for a disk, then for a lock; `idle` sleeps with two threads, if it waits at all.
fn waiting(start: u64, with_waits: bool) -> Segment {
    // An agent that was upgraded is another source.
    let source = if with_waits { 3 } else { 2 };
    let mut builder = Builder::new(seconds(ID, source, start, 1, 0).key, 2);
    let process = |pid, name: &str| {
        let start = start * 1_000_000_000;
        Process::new(
            ProcessId {
                pid,
                start,
                exec: 0,
            },
            name,
        )
    };
    let (db, idle) = (process(7, "db"), process(8, "idle"));
    let (db, idle) = (builder.process(db), builder.process(idle));
    for slot in 0..2 {
        builder.cover(slot, Coverage::SECOND);
        builder.cpu(db, 0, slot, Cpu { ns: 250_000_000 });
        if !with_waits {
            continue;
        }
        let mut waits = Waits::default();
        let other = if slot == 0 {
            &mut waits.disk
        } else {
            &mut waits.lock
        };
        (*other, waits.core) = (7_000, 500);
        builder.waits(db, slot, waits);
        let sleep = 20_000;
        builder.waits(
            idle,
            slot,
            Waits {
                sleep,
                ..Waits::default()
            },
        );
    }
    builder.build()
}

fn values<'a>(summary: &'a Value, state: &str) -> &'a Value {
    let states = summary["time"]["states"].as_array().expect("states");
    let found = states.iter().find(|item| item["state"] == state);
    found.map_or(&Value::Null, |item| &item["values"])
}

#[tokio::test]
async fn the_time_of_threads_adds_up() {
    let server = Server::start().await;
    let start = clock::now() / 60 * 60 - 120;
    server.post(vec![waiting(start, true)]).await;
    let of = |path: &str| {
        format!(
            "/api/v1/containers/{ID}/{path}from={start}&to={}&step=1",
            start + 2
        )
    };
    let summary = server.json(&of("summary?")).await;
    assert_eq!(summary["time"]["waits_known"], true);
    assert_eq!(values(&summary, "running"), &json!([25.0, 25.0]));
    assert_eq!(values(&summary, "core"), &json!([5.0, 5.0]));
    assert_eq!(values(&summary, "disk"), &json!([70.0, 0.0]));
    assert_eq!(values(&summary, "lock"), &json!([0.0, 70.0]));
    assert_eq!(values(&summary, "sleep"), &json!([200.0, 200.0]));
    assert_eq!(values(&summary, "network"), &Value::Null);
    // Of one process, and in its row.
    let key = format!("7-{}", start * 1_000_000_000);
    let own = server.json(&of(&format!("summary?process={key}&"))).await;
    assert_eq!(values(&own, "sleep"), &Value::Null);
    let waits = json!({"core": 100_000_000, "disk": 700_000_000, "lock": 700_000_000});
    assert_eq!(own["processes"][0]["waits"], waits);
    // Tables sort by it, and idle time is not what somebody waits for.
    let table = server
        .json(&of(
            "table?kind=process&format=json&sort=wait_ns&order=desc&",
        ))
        .await;
    assert_eq!(table["rows"][0]["name"], "db");
    let sums = &table["total"]["sums"];
    assert_eq!(sums["wait_ns"], 1_500_000_000_u64);
    assert_eq!(sums["wait_sleep_ns"], 4_000_000_000_u64);
    let csv = server.get(&of("table?kind=process&format=csv&")).await;
    let csv = csv.text().await.expect("text");
    let mut lines = csv.lines().map(|line| line.split(',').collect::<Vec<_>>());
    let column = lines
        .next()
        .expect("names")
        .iter()
        .position(|name| *name == "wait_disk_ns");
    let column = column.expect("a column");
    let disks: Vec<&str> = lines.map(|line| line[column]).collect();
    assert!(
        disks.contains(&"700000000") && disks.contains(&"0"),
        "{csv}"
    );
}

#[tokio::test]
async fn waits_that_nobody_counted_are_not_zero() {
    let server = Server::start().await;
    let start = clock::now() / 60 * 60 - 120;
    server.post(vec![waiting(start, false)]).await;
    let of = |path: &str| {
        format!(
            "/api/v1/containers/{ID}/{path}?from={start}&to={}&step=1",
            start + 2
        )
    };
    let summary = server.json(&of("summary")).await;
    assert_eq!(summary["time"]["waits_known"], false);
    assert_eq!(summary["time"]["states"].as_array().map(Vec::len), Some(1));
    let csv = server
        .get(&format!("{}&kind=process&format=csv", of("table")))
        .await;
    let csv = csv.text().await.expect("text");
    // The ten kinds of waits are the last columns.
    let row = csv.lines().nth(1).expect("a row");
    assert!(row.ends_with(&",".repeat(10)), "{csv}");
}

#[tokio::test]
async fn waits_before_an_upgrade_are_not_zero() {
    let server = Server::start().await;
    let start = clock::now() / 60 * 60 - 120;
    let both = [(start, false), (start + 2, true)].map(|(from, waits)| waiting(from, waits));
    server.post(both.to_vec()).await;
    let to = start + 4;
    let path = format!("/api/v1/containers/{ID}/summary?from={start}&to={to}&step=1");
    let summary = server.json(&path).await;
    let unknown = Value::Null;
    assert_eq!(
        values(&summary, "running"),
        &json!([25.0, 25.0, 25.0, 25.0])
    );
    assert_eq!(
        values(&summary, "core"),
        &json!([unknown, unknown, 5.0, 5.0])
    );
    assert_eq!(
        values(&summary, "lock"),
        &json!([unknown, unknown, 0.0, 70.0])
    );
    // The processes before it are others.
    let rows = summary["processes"].as_array().expect("rows");
    let known = |is_known: bool| {
        let rows = rows.iter().filter(|row| row["waits_known"] == is_known);
        rows.count()
    };
    assert_eq!((known(false), known(true)), (2, 2));
}
