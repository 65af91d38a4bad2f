//! Lanes, series and comparisons: complete before any cut, whatever they fold.

use bubble_common::segment::builder::Builder;
use bubble_common::segment::event::{Event, EventKind};
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::network::{Address, Connection, NetworkIo, Protocol, Role};
use bubble_common::segment::process::{Cpu, Exit, Process, ProcessId};
use bubble_common::segment::{Coverage, Key, Resolution, Segment, SourceId};
use bubble_server::clock;
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::common::{Server, id, seconds};

const ID: &str = "eeeeeeeeeeee";
const SECOND: u64 = 1_000_000_000;
/// Seconds of a build.
const LENGTH: u64 = 20;
const COMPILERS: u32 = 40;

fn process(builder: &mut Builder, pid: u32, start: u64, exec: u32, part: Process) -> u32 {
    let id = ProcessId { pid, start, exec };
    builder.process(Process { id, ..part })
}

/// `sh`, which becomes `make`, with compilers that live for half a second: two in a second. The one
/// with pid 110 is killed. Second 7 is a gap.
fn build(start: u64) -> Segment {
    let key = Key {
        container: id(ID),
        resolution: Resolution::Second,
        start,
        source: SourceId([1; 16]),
    };
    let mut builder = Builder::new(key, LENGTH as usize);
    let begin = start * SECOND;
    let named = |name: &str| Process::new(ProcessId::default(), name);
    let shell = Process {
        end: begin + SECOND,
        ..named("sh")
    };
    let shell = process(&mut builder, 10, begin, 0, shell);
    builder.cpu(shell, 0, 0, Cpu { ns: 1_000_000 });
    let make = Process {
        args: "make\0-j2".to_owned(),
        ..named("make")
    };
    let make = process(&mut builder, 10, begin, 1, make);
    for slot in (0..LENGTH as u32).filter(|slot| *slot != 7) {
        builder.cover(slot, Coverage::SECOND);
        builder.cpu(make, 3, slot, Cpu { ns: 10_000_000 });
    }
    for n in 0..COMPILERS {
        let from = begin + u64::from(n) * SECOND / 2;
        let is_killed = n == 10;
        let compiler = Process {
            parent: 10,
            container_pid: 1_000 + n,
            end: from + SECOND / 2,
            exit: Some(if is_killed {
                Exit::Signal(9)
            } else {
                Exit::Code(0)
            }),
            ..named("cc1")
        };
        let compiler = process(&mut builder, 100 + n, from, 1, compiler);
        if n / 2 != 7 {
            let ns = 100_000_000 + u64::from(n) * 1_000;
            builder.cpu(compiler, n % 2, n / 2, Cpu { ns });
        }
        if is_killed {
            builder.event(Event {
                at: from + SECOND / 4,
                kind: EventKind::OOM_KILL,
                process: Some(compiler),
                detail: String::new(),
            });
        }
    }
    builder.build()
}

fn path(start: u64, more: &str) -> String {
    let to = start + LENGTH;
    format!("/api/v1/containers/{ID}/lanes?from={start}&to={to}{more}")
}

fn numbers(values: &Value) -> Vec<u64> {
    let values = values.as_array().expect("a column").iter();
    values
        .map(|value| value.as_u64().expect("a number"))
        .collect()
}

fn total_us(lanes: &Value) -> u64 {
    numbers(&lanes["cells"]["cpu_us"]).iter().sum()
}

/// CPU time of the compilers, ns.
fn compilers_ns() -> u64 {
    let known = (0..COMPILERS).filter(|n| n / 2 != 7);
    known.map(|n| 100_000_000 + u64::from(n) * 1_000).sum()
}

#[tokio::test]
async fn lanes_have_every_process_with_its_parent_its_end_and_its_cores() {
    let server = Server::start().await;
    let now = clock::now();
    let start = now - now % 60 - 100;
    server.post(vec![build(start)]).await;
    let lanes = server.json(&path(start, "")).await;
    assert_eq!(lanes["total"], COMPILERS + 1);
    assert_eq!(
        (&lanes["folded"], &lanes["folded_before"]),
        (&json!(0), &json!(0))
    );
    let columns = &lanes["lanes"];
    // A fork and its exec are one process.
    let first: Vec<&str> = numbers(&columns["names"][0])
        .iter()
        .map(|name| lanes["names"][*name as usize].as_str().expect("a name"))
        .collect();
    assert_eq!(first, ["sh", "make"]);
    assert_eq!(columns["key"][0], format!("10-{}-1", start * SECOND));
    assert_eq!(columns["command"][0], "make -j2");
    assert_eq!(
        (&columns["parent"][0], &columns["end"][0]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(columns["parent"][1], 0);
    assert_eq!(columns["start"][2], start as f64 + 0.5);
    assert_eq!(columns["end"][2], start as f64 + 1.0);
    assert_eq!(
        (&columns["exit"][2], &columns["exit"][11]),
        (&json!(0), &json!(-9))
    );
    assert_eq!(
        (&columns["failed"][11], &columns["oom_killed"][11]),
        (&json!(1), &json!(1))
    );
    assert_eq!(columns["pid"][11], 1_010);
    assert_eq!(columns["cpu_ns"][11], 100_010_000);
    // The gap is a gap, and has no cells.
    assert_eq!(lanes["covered"][7], 0.0);
    assert!(!numbers(&lanes["cells"]["slot"]).contains(&7));
    // The cells of a lane follow those of the lanes before.
    let before: u64 = numbers(&columns["cells"])[..11].iter().sum();
    let cell = before as usize;
    let cells = &lanes["cells"];
    let place = (
        &cells["slot"][cell],
        &cells["core"][cell],
        &cells["cpu_us"][cell],
    );
    assert_eq!(place, (&json!(5), &json!(0), &json!(100_010)));
    let all = compilers_ns() + 19 * 10_000_000 + 1_000_000;
    assert_eq!(lanes["total_cpu_ns"], all);
    assert_eq!(total_us(&lanes), all / 1_000);
    server.roll_up(now + 200).await;
    assert_eq!(server.json(&path(start, "")).await, lanes);
}

#[tokio::test]
async fn what_lanes_fold_keeps_its_sums_and_its_failures() {
    let server = Server::start().await;
    let start = clock::now() - 100;
    server.post(vec![build(start)]).await;
    let whole = server.json(&path(start, "")).await;
    for limit in [1, 3, 20, 40] {
        let lanes = server.json(&path(start, &format!("&limit={limit}"))).await;
        let columns = &lanes["lanes"];
        assert_eq!(
            numbers(&columns["count"]).iter().sum::<u64>(),
            u64::from(COMPILERS) + 1
        );
        assert_eq!(lanes["folded"], COMPILERS + 1 - limit);
        assert_eq!(lanes["total_cpu_ns"], whole["total_cpu_ns"]);
        assert_eq!(
            numbers(&columns["cpu_ns"]).iter().sum::<u64>(),
            whole["total_cpu_ns"]
        );
        assert_eq!(total_us(&lanes), total_us(&whole));
        assert_eq!(numbers(&columns["failed"]).iter().sum::<u64>(), 1);
        if limit >= 3 {
            // The parent and the process that was killed have lanes, though they used little.
            let exits = columns["exit"].as_array().expect("a column");
            assert!(exits.contains(&json!(-9)), "{limit}");
            assert_eq!(columns["key"][0], format!("10-{}-1", start * SECOND));
            let last = columns["key"].as_array().expect("a column").len() - 1;
            let parent = format!("10-{}-1", start * SECOND);
            assert_eq!(columns["key"][last], format!("0-0-0/{parent}/cc1"));
            assert_eq!(columns["parent"][last], 0);
            let first = columns["start"][last].as_f64().expect("a start") - start as f64;
            // With 40 lanes it is the one that did nothing, in the gap.
            assert_eq!(first, if limit == 40 { 7.5 } else { 0.0 }, "{limit}");
        }
    }
    let coarse = server.json(&path(start, "&slots=6")).await;
    assert_eq!(
        (&coarse["range"]["step"], &coarse["range"]["slots"]),
        (&json!(4), &json!(5))
    );
    assert_eq!(coarse["covered"], json!([1.0, 0.75, 1.0, 1.0, 1.0]));
    assert_eq!(total_us(&coarse), total_us(&whole));
}

/// A second in which two processes use a file and a peer.
fn used(start: u64, offset: u64) -> Segment {
    let key = Key {
        container: id(ID),
        resolution: Resolution::Second,
        start: start + offset,
        source: SourceId([2; 16]),
    };
    let mut builder = Builder::new(key, 1);
    builder.cover(0, Coverage::SECOND);
    for pid in [1, 2] {
        let process = process(
            &mut builder,
            pid,
            start,
            0,
            Process::new(ProcessId::default(), "web"),
        );
        for (path, bytes_in) in [("/data/a", 100 + offset), ("/data/a b", 7)] {
            let file = builder.file(File {
                path: path.to_owned(),
                kind: FileKind::Regular,
            });
            let io = FileIo {
                bytes_in,
                opens: 1,
                ..FileIo::default()
            };
            builder.file_io(process, file, 0, io);
        }
        let connection = builder.connection(Connection {
            protocol: Protocol::Tcp,
            role: Role::Client,
            local: Address::Ip([10, 0, 0, 1].into(), 20_000 + pid as u16),
            peer: Address::Ip([10, 0, 0, 9].into(), 5_432),
        });
        let io = NetworkIo {
            bytes_out: 50,
            failures: u64::from(pid == 2 && offset == 2),
            ..NetworkIo::default()
        };
        builder.network_io(process, connection, 0, io);
    }
    builder.build()
}

#[tokio::test]
async fn a_file_and_a_peer_have_series() {
    let server = Server::start().await;
    let start = clock::now() - 100;
    server
        .post([0, 2].map(|offset| used(start, offset)).into())
        .await;
    let range = format!("from={start}&to={}&step=1", start + 3);
    let of = |what: &str| format!("/api/v1/containers/{ID}/series?{range}&{what}");
    let file = server
        .json(&of("kind=file&filter=path:%3D%3D%22/data/a%22"))
        .await;
    assert_eq!(file["rows"], 2);
    assert_eq!(
        (&file["in"], &file["opens"]),
        (&json!([200, null, 204]), &json!([2, null, 2]))
    );
    let both = server.json(&of("kind=file")).await;
    assert_eq!(
        (&both["rows"], &both["in"]),
        (&json!(4), &json!([214, null, 218]))
    );
    let peer = server
        .json(&of("kind=network&filter=remote:%3D10.0.0.9+port:5432"))
        .await;
    assert_eq!(
        (&peer["out"], &peer["failures"]),
        (&json!([100, null, 100]), &json!([0, null, 1]))
    );
    let none = server
        .json(&of("kind=network&filter=remote:%3D10.0.0.8"))
        .await;
    assert_eq!(
        (&none["rows"], &none["out"]),
        (&json!(0), &json!([0, null, 0]))
    );
    for wrong in ["kind=cpu", "filter=x", "kind=file&filter=bytes_in:many"] {
        let answer = server.get(&of(wrong)).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{wrong}");
    }
}

#[tokio::test]
async fn two_containers_are_compared_by_totals() {
    let server = Server::start().await;
    let start = clock::now() - 100;
    let other = "ffffffffffff";
    let slower = seconds(other, 1, start, 20, 40_000_000);
    server.post(vec![build(start), slower]).await;
    let path = |limit: u32| format!("/api/v1/containers/{ID}/compare?with={other}&limit={limit}");
    let all = server.json(&path(50)).await;
    assert_eq!(all["own"]["container"]["id"], ID);
    assert_eq!(all["own"]["usage"]["cpu_ns"], compilers_ns() + 191_000_000);
    assert_eq!(all["own"]["usage"]["processes"], COMPILERS + 1);
    assert_eq!(all["own"]["usage"]["failed"], 1);
    assert_eq!(
        (&all["own"]["seconds"], &all["own"]["known_seconds"]),
        (&json!(20.0), &json!(19.0))
    );
    assert_eq!(all["other"]["usage"]["cpu_ns"], 800_000_000);
    assert_eq!(all["other"]["usage"]["memory_max"], 3 << 20);
    let names = |answer: &Value| -> Vec<String> {
        let rows = answer["commands"]["rows"].as_array().expect("rows");
        let names = rows.iter().map(|row| row["name"].as_str().expect("a name"));
        names.map(str::to_owned).collect()
    };
    // `cc1` has all failures of one, `nginx` all written bytes of the other.
    assert_eq!(names(&all)[..2], ["cc1", "nginx"]);
    let compilers = &all["commands"]["rows"][0];
    assert_eq!(compilers["own"]["processes"], COMPILERS);
    assert_eq!(compilers["other"], Value::Null);
    assert_eq!(all["files"]["rows"][0]["other"]["bytes_out"], 20 * 4_096);
    let cut = server.json(&path(1)).await;
    assert_eq!(names(&cut), ["cc1"]);
    assert_eq!(cut["commands"]["total"], 4);
    assert_eq!(cut["commands"]["rest_own"]["cpu_ns"], 191_000_000);
    assert_eq!(cut["commands"]["rest_other"]["cpu_ns"], 800_000_000);
    let absent = server
        .get(&format!(
            "/api/v1/containers/{ID}/compare?with=0123456789ab"
        ))
        .await;
    assert_eq!(absent.status(), StatusCode::NOT_FOUND);
}
