//! Posts to a real server, from the original chisel and from ours. Compares the posted rows with the
//! answers of the API and of the paths of the Python system.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use bubble_suite::api::{Process, Span};
use bubble_suite::server::Server;
use bubble_testing::captures;
use serde_json::Value;
use tempfile::TempDir;

use crate::collector::{Rows, rows};
use crate::sysdig::Sysdig;
use crate::wire::posted;

const BALANCER: &str = "59fd49aa4072";
const WEB: &str = "c78a447010cd";

/// Bytes in and out by process id and descriptor.
type Bytes = BTreeMap<(String, String), (u64, u64)>;
/// CPU, ns, by process id and second.
type Cpu = BTreeMap<(String, u64), u64>;

fn url(server: &Server) -> String {
    format!("{}/event/api/{}", server.url(), server.key())
}

/// The process id in a key of the API, `PID-START-EXEC`.
fn pid(key: &str) -> String {
    key.split('-').next().expect("a first part").to_owned()
}

/// CPU time and bytes of a container in the rows.
fn sums_of(rows: &Rows, id: &str) -> (Cpu, Bytes) {
    let (mut cpu, mut bytes) = (Cpu::new(), Bytes::new());
    for ((second, kind, fields), value) in rows {
        match kind.as_str() {
            "cpu" if fields[5] == id => {
                *cpu.entry((fields[2].clone(), *second)).or_default() += value;
            }
            "fd" if fields[2] == id => {
                let (name, direction) = (fields[3].as_str(), fields[4].as_str());
                let name = if name.starts_with("pipe:[") {
                    "pipe"
                } else {
                    name
                };
                let both = bytes
                    .entry((fields[0].clone(), name.to_owned()))
                    .or_default();
                let one = if direction == "in" {
                    &mut both.0
                } else {
                    &mut both.1
                };
                *one += value;
            }
            _ => {}
        }
    }
    (cpu, bytes)
}

/// Compares with the API that the page uses.
fn check_api(server: &Server, rows: &Rows, id: &str) -> Vec<Process> {
    let (cpu, expected) = sums_of(rows, id);
    let seconds = rows.keys().map(|(second, ..)| *second);
    let span = Span {
        from: seconds.clone().min().expect("rows") as f64,
        to: seconds.max().expect("rows") as f64 + 1.0,
    };
    let ledger = server.api().ledger(id, span).expect("the container");
    let mut bytes = Bytes::new();
    for row in &ledger.connections {
        let name = format!("{}->{}", row.local, row.peer);
        bytes.insert((pid(&row.process), name), (row.bytes_in, row.bytes_out));
    }
    for row in &ledger.files {
        let key = (pid(&row.process), row.path.clone());
        bytes.insert(key, (row.bytes_in, row.bytes_out));
    }
    assert_eq!(bytes, expected, "{id}");
    for process in &ledger.processes {
        let pid = pid(&process.key);
        let ns: u64 = cpu
            .iter()
            .filter(|((of, _), _)| *of == pid)
            .map(|(_, ns)| ns)
            .sum();
        assert_eq!(process.cpu_ns, ns, "{id} {pid}");
    }
    assert_eq!(
        ledger.summary.accounting.process_cpu_ns,
        cpu.values().sum::<u64>()
    );
    ledger.processes
}

/// The rows of an answer that maps each process id to an array of rows.
fn flat(answer: &Value) -> Vec<(String, Value)> {
    let processes = answer.as_object().expect("by process").iter();
    let rows = |(pid, rows): (&String, &Value)| {
        let rows = rows.as_array().expect("rows").clone();
        rows.into_iter()
            .map(|row| (pid.clone(), row))
            .collect::<Vec<_>>()
    };
    processes.flat_map(rows).collect()
}

/// Compares with `/container/ID/…`, which the page of the Python system uses.
fn check_legacy(server: &Server, rows: &Rows, id: &str) {
    let (cpu, bytes) = sums_of(rows, id);
    let get = |path: &str| {
        let path = format!("/container/{id}/{path}");
        server.api().json(&path).expect("an answer")
    };
    let number = |row: &Value, what: &str| row[what].as_u64().expect("a number");
    let point = |(pid, row): (String, Value)| {
        let second = row["ts"].as_f64().expect("a number") as u64;
        ((pid, second), number(&row, "duration"))
    };
    let found: Cpu = flat(&get("cpu")).into_iter().map(point).collect();
    assert_eq!(found, cpu, "{id}");
    let file = |(pid, row): (String, Value)| {
        let name = row["file_name"].as_str().expect("text").to_owned();
        ((pid, name), (number(&row, "io_in"), number(&row, "io_out")))
    };
    let found: Bytes = flat(&get("io")).into_iter().map(file).collect();
    assert_eq!(found, bytes, "{id}");
    let processes = get("proc");
    let processes = processes["data"].as_array().expect("rows");
    let pids: Vec<String> = processes.iter().map(|row| row["id"].to_string()).collect();
    assert!(cpu.keys().all(|(pid, _)| pids.contains(pid)), "{pids:?}");
}

fn check(server: &Server, rows: &Rows) {
    for (id, program, ns) in [
        (BALANCER, "/usr/sbin/haproxy", 50_000_000),
        (WEB, "python", 20_000_000),
    ] {
        let processes = check_api(server, rows, id);
        let found = processes.iter().find(|process| process.args[0] == program);
        assert_eq!(found.map(|process| process.cpu_ns), Some(ns), "{program}");
        check_legacy(server, rows, id);
    }
}

fn start(folder: &TempDir) -> Server {
    Server::start(folder.path()).expect("a server (set BUBBLE_SERVER_BIN)")
}

#[test]
fn the_bodies_of_the_original_chisel() {
    let Some(captures) = captures::folder_if_present() else {
        return;
    };
    let folder = TempDir::new().expect("a temporary folder");
    let server = start(&folder);
    let bodies = ["cpu", "fd"].map(|kind| {
        let path = captures.join(format!("legacy/chisel-{kind}.json"));
        fs::read_to_string(path).expect("a readable body")
    });
    for body in &bodies {
        let answer = ureq::post(&url(&server))
            .send(body.as_str())
            .expect("an answer");
        assert_eq!(answer.status(), 200);
    }
    check(&server, &rows(bodies.iter().map(String::as_str)));
}

fn run(server: &Server, capture: &Path) {
    let ended = Sysdig::start(capture, "sysdigdocker", &url(server), &[]).wait();
    assert!(ended.success && ended.stderr.is_empty(), "{}", ended.stderr);
}

/// Posts everything twice, as happens with retries. It counts once.
#[test]
fn our_chisel() {
    let Some(captures) = captures::folder_if_present() else {
        return;
    };
    let folder = TempDir::new().expect("a temporary folder");
    let server = start(&folder);
    let capture = captures.join("captures/502error.scap");
    let rows = posted(&capture, "sysdigdocker", &[]);
    for _ in 0..2 {
        run(&server, &capture);
        check(&server, &rows);
    }
}

/// The server is unavailable at first, and is killed after some rows have arrived. Each row counts
/// once.
#[test]
fn our_chisel_with_outages_of_the_server() {
    let Some(captures) = captures::folder_if_present() else {
        return;
    };
    let folder = TempDir::new().expect("a temporary folder");
    let mut server = start(&folder);
    let capture = captures.join("captures/502error.scap");
    let rows = posted(&capture, "sysdigdocker", &[]);
    server.kill().expect("a running server");
    let mut sysdig = Sysdig::start(&capture, "sysdigdocker", &url(&server), &[]);
    sysdig.wait_for_message("is unavailable");
    server.resume().expect("a restarted server");
    while server
        .api()
        .container(BALANCER)
        .expect("an answer")
        .is_none()
    {}
    server.kill().expect("a running server");
    server.resume().expect("a restarted server");
    let ended = sysdig.wait();
    assert!(
        ended.success && ended.stderr.contains("is available again"),
        "{}",
        ended.stderr
    );
    check(&server, &rows);
}

#[test]
fn a_key_unknown_to_the_server() {
    let Some(captures) = captures::folder_if_present() else {
        return;
    };
    let folder = TempDir::new().expect("a temporary folder");
    let server = start(&folder);
    let capture = captures.join("captures/502error.scap");
    let wrong = format!("{}/event/api/wrong", server.url());
    let ended = Sysdig::start(&capture, "sysdigdocker", &wrong, &[]).wait();
    assert!(
        !ended.success && ended.stderr.contains("status 401"),
        "{}",
        ended.stderr
    );
    assert!(server.api().container(WEB).expect("an answer").is_none());
}
