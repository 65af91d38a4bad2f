//! Answers: the numbers do not depend on how far roll-up has come.

use bubble_common::segment::builder::Builder;
use bubble_common::segment::cell::{Cell, Row};
use bubble_common::segment::event::{Event, EventKind};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};
use bubble_common::segment::process::{Cpu, Exit, Process, ProcessId};
use bubble_common::segment::total::{Metric, Total};
use bubble_common::segment::{Coverage, Segment};
use bubble_server::clock;
use serde_json::{Value, json};

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
    // Across two boundaries of minutes, by two runs of an agent, with a gap of 7 s.
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
    // A repeated post is recognised, packed or not.
    assert_eq!(server.post(segments).await, (0, 2));
    assert_eq!(server.json(&path).await, after);
    server.roll_up(now + 200).await;
    assert_eq!(server.json(&path).await, after);

    // The same with slots of a minute.
    let path = format!(
        "/api/v1/containers/{ID}/summary?from={start}&to={}&step=60",
        start + 167
    );
    let minutes = server.json(&path).await;
    assert_eq!(minutes["range"]["resolution"], "minute");
    assert_eq!(minutes["accounting"]["process_cpu_ns"], 160_000_000);
    assert_eq!(sum(&minutes["files"]["out"]), 160.0 * 4_096.0);
}

/// A second that was observed in part stays marked in all resolutions, also after packing.
#[tokio::test]
async fn a_partial_second_stays_marked() {
    let server = Server::start().await;
    let now = clock::now();
    let start = now - now % 60 - 180;
    let partial = |mut segment: Segment, slot: u32| {
        segment.losses = vec![Cell {
            row: Row(Reason::PARTIAL.0, 0),
            slot,
            value: Loss { count: 1, bytes: 0 },
        }];
        segment
    };
    // Two runs of an agent share a second, which is partial in both.
    let segments = vec![
        partial(seconds(ID, 1, start, 100, 1_000_000), 99),
        partial(seconds(ID, 2, start + 99, 60, 1_000_000), 0),
    ];
    assert_eq!(server.post(segments).await, (2, 0));
    for packed in [false, true] {
        if packed {
            server.roll_up(now + 200).await;
        }
        let path = |step: u32| {
            let to = start + 180;
            format!("/api/v1/containers/{ID}/summary?from={start}&to={to}&step={step}")
        };
        let by_second = server.json(&path(1)).await;
        assert_eq!(by_second["partial"][99], 1.0, "{packed}");
        assert_eq!(sum(&by_second["partial"]), 1.0, "{packed}");
        assert_eq!(by_second["accounting"]["lost"], 0);
        assert_eq!(by_second["losses"][0]["reason"], "partial");
        let by_minute = server.json(&path(60)).await;
        assert_eq!(by_minute["partial"], serde_json::json!([0.0, 0.033, 0.0]));
    }
}

#[tokio::test]
async fn minutes_and_hours_have_no_gap_at_now() {
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
    let mut posted = seconds(ID, 1, now - 30, 30, 1_000_000);
    posted.totals = vec![Cell {
        row: Row(Metric::CPU_LIMIT.0, 0),
        slot: 0,
        value: Total { value: 2_000 },
    }];
    posted.losses = vec![Cell {
        row: Row(Reason::RING_FULL.0, 0),
        slot: 0,
        value: Loss {
            count: 1_200,
            bytes: 0,
        },
    }];
    server.post(vec![posted]).await;
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
    // What was lost may be of this process, and the limit is that of all.
    assert_eq!(own["losses"], at["losses"]);
    assert_eq!(own["accounting"]["lost"], 1_200);
    let whole = server.json(&of("summary?")).await;
    assert_eq!(own["cpu"]["limit"], whole["cpu"]["limit"]);
    assert_ne!(whole["cpu"]["limit"], json!([]));
    // The memory of its cgroup was never read.
    let container = server.json(&format!("/api/v1/containers/{ID}")).await;
    assert_eq!(container["memory_peak"], Value::Null);
    assert_eq!(container["memory_now"], Value::Null);
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
async fn a_cut_table_says_what_it_leaves_out() {
    let server = Server::start().await;
    let now = clock::now();
    let one = seconds(ID, 1, now - 30, 30, 1_000_000);
    let mut other = seconds(ID, 2, now - 30, 30, 3_000_000);
    other.processes[0].id.pid = 4_243;
    other.processes[0].name = "php".to_owned();
    server.post(vec![one, other]).await;
    let of = |what: &str| format!("/api/v1/containers/{ID}/table?from={}&{what}", now - 60);
    let table = server.json(&of("sort=cpu_ns&limit=1")).await;
    assert_eq!(table["rows"][0]["name"], "php");
    assert_eq!(table["total"]["rows"], 2);
    assert_eq!(table["total"]["sums"]["cpu_ns"], 120_000_000);
    assert_eq!(table["rest"]["rows"], 1);
    assert_eq!(table["rest"]["sums"]["cpu_ns"], 30_000_000);
    let table = server.json(&of("sort=cpu_ns&order=asc&offset=1")).await;
    assert_eq!(table["rows"][0]["name"], "php");
    let csv = server.get(&of("limit=1&format=csv")).await;
    let csv = csv.text().await.expect("text");
    let last = csv.lines().last().expect("a line");
    assert!(last.starts_with("(1 more rows),"), "{csv}");
    let csv = server.get(&of("group=name&format=csv")).await;
    let csv = csv.text().await.expect("text");
    assert!(csv.starts_with("name,rows,bytes_in,"), "{csv}");
    assert_eq!(csv.lines().count(), 3, "{csv}");
}

/// A second in which a process fails to connect to `failures` ports, each of which is an event, and
/// then is killed.
fn killed_after_failures(start: u64, failures: u16) -> Segment {
    let mut builder = Builder::new(seconds(ID, 3, start, 1, 0).key, 1);
    builder.cover(0, Coverage::SECOND);
    let id = ProcessId {
        pid: 7,
        start: start * 1_000_000_000,
        exec: 0,
    };
    let process = builder.process(Process {
        end: id.start + 9,
        exit: Some(Exit::Signal(9)),
        ..Process::new(id, "client")
    });
    let address = |port| Address::Ip([10, 0, 0, 9].into(), port);
    for n in 0..failures {
        let connection = builder.connection(Connection {
            protocol: Protocol::Tcp,
            role: Role::Client,
            local: Address::Ip([10, 0, 0, 1].into(), 20_000 + n),
            peer: address(5_432),
        });
        let io = NetworkIo {
            failures: 1,
            ..NetworkIo::default()
        };
        builder.network_io(process, connection, 0, io);
        builder.event(Event {
            at: id.start + u64::from(n),
            kind: EventKind::CONNECTION_FAILED,
            process: Some(process),
            detail: address(5_432).to_string(),
        });
    }
    // Busier than all of them together.
    let busy = builder.connection(Connection {
        protocol: Protocol::Tcp,
        role: Role::Server,
        local: address(80),
        peer: Address::Ip([10, 0, 0, 7].into(), 40_000),
    });
    let io = NetworkIo {
        bytes_out: 1 << 30,
        ..NetworkIo::default()
    };
    builder.network_io(process, busy, 0, io);
    builder.event(Event {
        at: id.start + 900_000_000,
        kind: EventKind::OOM_KILL,
        process: Some(process),
        detail: String::new(),
    });
    builder.build()
}

#[tokio::test]
async fn kills_and_failures_are_counted_before_any_cut() {
    let server = Server::start().await;
    let start = clock::now() - 60;
    server.post(vec![killed_after_failures(start, 4_208)]).await;
    let path = format!("/api/v1/containers/{ID}/summary?from={start}&step=1&top=1");
    let summary = server.json(&path).await;
    let events = summary["events"].as_array().expect("events");
    assert_eq!(events.len(), 1_001);
    assert_eq!(events.last().expect("an event")["kind"], "oom_kill");
    assert_eq!(summary["event_counts"]["connection_failed"], 4_208);
    assert_eq!(summary["event_counts"]["oom_kill"], 1);
    let network = &summary["network"];
    assert_eq!(sum(&network["failures"]), 4_208.0);
    assert_eq!(network["total_peers"], 2);
    let peer = &network["peers"][0];
    assert_eq!(
        (&peer["remote"], &peer["port"], &peer["failures"]),
        (&json!("10.0.0.9"), &json!(5_432), &json!(4_208))
    );
    assert_eq!(peer["connections"], 4_208);
    assert_eq!(summary["total_failed"], 1);
    assert_eq!(summary["failed"][0]["name"], "client");
    assert_eq!(summary["failed"][0]["exit"]["signal"], 9);
}

/// A second in which 20 processes with different names used CPU time.
fn twenty_names(start: u64) -> Segment {
    let of_one = seconds(ID, 1, start, 1, 0);
    let mut builder = Builder::new(of_one.key, 1);
    builder.cover(0, Coverage::SECOND);
    for n in 0..20 {
        let id = ProcessId {
            pid: 300 + n,
            start: start * 1_000_000_000,
            exec: 1,
        };
        let process = builder.process(Process::new(id, format!("name{n}")));
        builder.cpu(process, 0, 0, Cpu { ns: 1_000 });
    }
    builder.build()
}

#[tokio::test]
async fn as_many_series_as_are_asked_for() {
    let server = Server::start().await;
    let start = clock::now() - 60;
    server.post(vec![twenty_names(start)]).await;
    for (query, series) in [
        ("", 13),
        ("&top=1000", 20),
        ("&top=5", 6),
        ("&top=1000&series=7", 8),
    ] {
        let path = format!("/api/v1/containers/{ID}/summary?from={start}&step=1{query}");
        let summary = server.json(&path).await;
        let processes = summary["cpu"]["processes"].as_array().expect("series");
        assert_eq!(processes.len(), series, "{query}");
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
    for (query, found) in [
        ("sort=cpu&order=asc&limit=1", &["container004"][..]),
        ("sort=cpu_ns&order=desc&limit=1", &["container000"]),
        ("sort=id&offset=3", &["container003", "container004"]),
        ("filter=label:team=shop+image:nginx+003", &["container003"]),
        ("filter=label:team=sho", &[]),
        ("filter=label:team=sho*+003", &["container003"]),
        ("filter=host:node*+id:*001", &["container001"]),
        (
            "filter=host:node",
            &[
                "container004",
                "container003",
                "container002",
                "container001",
                "container000",
            ],
        ),
        ("filter=oom", &[]),
        ("filter=ended:%3C12h", &[]),
        ("filter=shop+absent", &[]),
    ] {
        let list = server.json(&format!("/api/v1/containers?{query}")).await;
        assert_eq!(ids(&list), found, "{query}");
    }
    let cut = server.json("/api/v1/containers?filter=nginx&limit=2").await;
    assert_eq!(
        (&cut["total"], &cut["rest"]["rows"]),
        (&json!(5), &json!(3))
    );
    assert_eq!(cut["rest"]["sums"]["cpu_ns"], 3_000 + 4_000 + 5_000);
    assert_eq!(cut["next"], "2");
    let groups = server
        .json("/api/v1/containers?group=label:team&filter=!id:*000")
        .await;
    assert_eq!(groups["total"], 1);
    let group = &groups["groups"][0];
    assert_eq!(group["group"], json!({ "label:team": "shop" }));
    assert_eq!(
        (&group["rows"], &group["sums"]["running"]),
        (&json!(4), &json!(4))
    );
    assert_eq!(group["sums"]["cpu_ns"], 1_000 + 2_000 + 3_000 + 4_000);
    let cut = server
        .json("/api/v1/containers?group=id&sort=cpu_ns&limit=1")
        .await;
    assert_eq!(cut["groups"][0]["group"]["id"], "container000");
    assert_eq!(
        (&cut["total"], &cut["rest"]["rows"]),
        (&json!(5), &json!(4))
    );
    assert_eq!(cut["next"], "1");
    let hosts = server.json("/api/v1/hosts").await;
    assert_eq!(hosts["hosts"][0]["host"], "node7");
}
