//! Folded rows: the number of their processes, and memory that existed at one time.

use bubble_common::segment::builder::Builder;
use bubble_common::segment::fold::Caps;
use bubble_common::segment::process::{Cpu, Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::{Coverage, Key, Resolution, Segment, SourceId};
use bubble_server::clock;
use serde_json::Value;

use crate::common::{Server, id};

const ID: &str = "cccccccccccc";
const SECOND: u64 = 1_000_000_000;
const MIB: u64 = 1 << 20;

/// `count` processes of a second, each after the other, that hold `rss` bytes. The cgroup has
/// `current` bytes.
fn second(at: u64, count: u64, name: &str, rss: u64, current: u64) -> Segment {
    let key = Key {
        container: id(ID),
        resolution: Resolution::Second,
        start: at,
        source: SourceId([1; 16]),
    };
    let mut builder = Builder::new(key, 1);
    builder.cover(0, Coverage::SECOND);
    let length = SECOND / count;
    for index in 0..count {
        let start = at * SECOND + index * length;
        let process = ProcessId {
            pid: index as u32 + 1,
            start,
            exec: 0,
        };
        let process = builder.process(Process {
            end: start + length,
            ..Process::new(process, name)
        });
        builder.cpu(process, 0, 0, Cpu { ns: 1_000 });
        let memory = Memory {
            vm: 2 * rss,
            rss,
            swap: 0,
            private: rss,
        };
        builder.memory(process, 0, memory);
    }
    builder.total(Metric::MEMORY_CURRENT, 0, current);
    builder.build().fold(&Caps::SECOND)
}

async fn rows(server: &Server, from: u64, to: u64, step: u64) -> Vec<Value> {
    let path = format!(
        "/api/v1/containers/{ID}/table?kind=process&format=json&from={from}&to={to}&step={step}"
    );
    let table = server.json(&path).await;
    table["rows"].as_array().expect("rows").clone()
}

/// The number of processes of all rows, and whether there may be more.
fn processes(rows: &[Value]) -> (u64, bool) {
    let count = rows.iter().filter_map(|row| row["count"].as_u64()).sum();
    (count, rows.iter().any(|row| row["count_at_least"] == true))
}

#[tokio::test]
async fn each_process_is_counted_once_at_every_resolution() {
    let server = Server::start().await;
    let now = clock::now();
    let start = now - 600 - now % 60;
    let posted: Vec<Segment> = [0, 1, 60]
        .into_iter()
        .map(|after| second(start + after, 1_200, "cc1", MIB, 5 * MIB))
        .collect();
    assert_eq!(server.post(posted).await, (3, 0));
    for _ in 0..2 {
        for step in [1, 60, 3_600] {
            let from = start - start % step;
            let rows = rows(&server, from, start + 120, step).await;
            assert_eq!(processes(&rows), (3_600, false), "step {step}");
            // How folded processes ended is not known.
            let folded = rows.iter().filter(|row| row["pid"] == 0);
            let folded: u64 = folded.filter_map(|row| row["count"].as_u64()).sum();
            let to = start + 120;
            let path = format!("/api/v1/containers/{ID}/summary?from={from}&to={to}&step={step}");
            let summary = server.json(&path).await;
            assert!(folded > 0);
            assert_eq!(summary["failed_unknown"], folded, "step {step}");
            assert_eq!(summary["distinct_processes"], 3_600);
            assert_eq!(summary["distinct_at_least"], false);
            // A comparison, which is by second, tells the same.
            if step == 1 {
                let path = format!("/api/v1/containers/{ID}/compare?with={ID}");
                let usage = server.json(&path).await["own"]["usage"].clone();
                assert_eq!(usage["failed_unknown"], folded);
                assert_eq!(usage["processes"], 3_600);
                assert_eq!(usage["processes_at_least"], false);
            }
        }
        // A second of a minute has its own number.
        let rows = rows(&server, start + 1, start + 2, 1).await;
        assert_eq!(processes(&rows), (1_200, false));
        server.roll_up(now + 600).await;
    }
}

#[tokio::test]
async fn memory_of_processes_one_after_the_other_is_at_most_that_of_the_container() {
    let server = Server::start().await;
    let start = clock::now() / 60 * 60 - 120;
    let seconds = (0..60).map(|after| second(start + after, 20, "cc1", 50 * MIB, 60 * MIB));
    let posted: Vec<Segment> = seconds.collect();
    server.post(posted).await;
    server.roll_up(clock::now() + 600).await;
    let path = format!(
        "/api/v1/containers/{ID}/summary?from={start}&to={}&step=60",
        start + 60
    );
    let summary = server.json(&path).await;
    assert_eq!(summary["range"]["resolution"], "minute");
    let memory = &summary["memory"];
    assert_eq!(memory["measure"], "resident");
    // The folded row, whose lives are unknown, and one of the others.
    let at_one_time = memory["at_one_time"][0].as_u64();
    assert!((50 * MIB..=110 * MIB).contains(&at_one_time.expect("measured")));
    let series = memory["processes"].as_array().expect("series");
    // All have one name, so they are one series, which counts each of them.
    assert_eq!(series.len(), 1);
    assert_eq!(series[0]["name"], "cc1");
    assert_eq!(series[0]["process"], serde_json::Value::Null);
    assert!(series[0]["count"].as_u64() > Some(1));
    let existed = 50 * MIB..=60 * MIB;
    let together = series[0]["values"][0].as_u64();
    assert!(existed.contains(&together.expect("measured")));
    for row in rows(&server, start, start + 60, 60).await {
        let highest = row["rss_max"].as_u64();
        assert!(existed.contains(&highest.expect("measured")), "{row}");
    }
}

/// Two seconds of 21 processes that share 100 MiB, each with 5 MiB of its own.
#[tokio::test]
async fn pages_that_processes_share_count_once() {
    let server = Server::start().await;
    let start = clock::now() / 60 * 60 - 120;
    let key = Key {
        container: id(ID),
        resolution: Resolution::Second,
        start,
        source: SourceId([1; 16]),
    };
    let mut builder = Builder::new(key, 2);
    let memory = Memory {
        vm: 200 * MIB,
        rss: 105 * MIB,
        swap: 0,
        private: 5 * MIB,
    };
    for slot in 0..2 {
        builder.cover(slot, Coverage::SECOND);
        builder.total(Metric::MEMORY_CURRENT, slot, 210 * MIB);
        for pid in 1..=21 {
            let process = ProcessId {
                pid,
                start: 1_000,
                exec: 0,
            };
            let process = builder.process(Process::new(process, "worker"));
            builder.memory(process, slot, memory);
        }
    }
    server.post(vec![builder.build()]).await;
    for _ in 0..2 {
        for step in [1, 60] {
            let path = format!(
                "/api/v1/containers/{ID}/summary?from={start}&to={}&step={step}",
                start + 60
            );
            let summary = server.json(&path).await;
            let memory = &summary["memory"];
            assert_eq!(memory["shared"][0], 100 * MIB, "step {step}");
            assert_eq!(memory["at_one_time"][0], 205 * MIB);
            let series = memory["processes"].as_array().expect("series");
            let stacked = series.iter().map(|series| series["values"][0].as_u64());
            assert_eq!(stacked.sum::<Option<u64>>(), Some(105 * MIB));
            let process = &summary["processes"][0];
            assert_eq!(process["rss_max"], 105 * MIB);
            assert_eq!(process["private_max"], 5 * MIB);
        }
        server.roll_up(clock::now() + 600).await;
    }
}

/// A second in which a process with 100 MiB of its own ends before one that shares 90 MiB begins.
#[tokio::test]
async fn shared_pages_count_while_their_process_lives() {
    let server = Server::start().await;
    let at = clock::now() / 60 * 60 - 120;
    let key = Key {
        container: id(ID),
        resolution: Resolution::Second,
        start: at,
        source: SourceId([1; 16]),
    };
    let mut builder = Builder::new(key, 1);
    builder.cover(0, Coverage::SECOND);
    let middle = at * SECOND + SECOND / 2;
    let lives = [(1, at * SECOND, middle, 0), (2, middle, 0, 90 * MIB)];
    for (pid, start, end, shared) in lives {
        let id = ProcessId {
            pid,
            start,
            exec: 0,
        };
        let process = builder.process(Process {
            end,
            ..Process::new(id, format!("p{pid}"))
        });
        let memory = Memory {
            vm: 200 * MIB,
            rss: 100 * MIB,
            swap: 0,
            private: 100 * MIB,
        };
        builder.memory(process, 0, memory.with_shared(shared));
    }
    server.post(vec![builder.build()]).await;
    let path = format!(
        "/api/v1/containers/{ID}/summary?from={at}&to={}&step=1",
        at + 1
    );
    let memory = server.json(&path).await["memory"].clone();
    assert_eq!(memory["at_one_time"][0], 100 * MIB);
    assert_eq!(memory["shared"][0], 90 * MIB);
}
