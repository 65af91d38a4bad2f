//! The workload against the kernel's own accounts: what it says it did is what it did.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use bubble_workload::truth::{EventTruth, Flow, LoopResult, Truth};

/// A folder of the test's own, with a path short enough for a Unix socket.
fn directory(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("bubble-workload-{}-{name}", std::process::id()))
}

fn run(name: &str, args: &[&str]) -> Output {
    let directory = directory(name);
    let output = Command::new(env!("CARGO_BIN_EXE_bubble-workload"))
        .arg("--directory")
        .arg(&directory)
        .args(args)
        .output()
        .expect("the workload runs");
    // Only an empty folder can be removed so, and empty it must be: the workload tidies up.
    if directory.exists() {
        std::fs::remove_dir(&directory).expect("the workload left nothing behind");
    }
    output
}

fn truth(output: &Output) -> Truth {
    let text = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error} in {text:?}; {:?}", output.stderr))
}

fn flow(bytes: u64, operations: u64) -> Flow {
    Flow { bytes, operations }
}

/// 100,000 bytes in blocks of 4,096 are 24 whole ones and a rest.
const BYTES: &str = "100000";

#[test]
fn files_there_and_back() {
    for by in ["read-write", "pread-pwrite", "readv-writev", "io-uring"] {
        let truth = truth(&run(by, &["file", "--by", by, "--bytes", BYTES]));
        if let Some(why) = truth.unsupported {
            // Only io_uring may be refused, and then by name.
            assert_eq!(by, "io-uring");
            assert!(why.starts_with("io_uring_setup: "), "{why}");
            continue;
        }
        let [file] = truth.files.as_slice() else {
            panic!("{by}: {:?}", truth.files)
        };
        assert_eq!(
            (file.read, file.written),
            (flow(100_000, 25), flow(100_000, 25)),
            "{by}"
        );
        assert_eq!((file.opens, truth.opens), (2, 2), "{by}");
        assert!(truth.operations_are_exact, "{by}");
    }
}

#[test]
fn files_from_one_to_another() {
    for by in ["sendfile", "splice", "copy-file-range"] {
        let truth = truth(&run(by, &["file", "--by", by, "--bytes", BYTES]));
        let ends = |name: &str| {
            let found = truth.files.iter().find(|file| file.path.ends_with(name));
            found
                .unwrap_or_else(|| panic!("{by}: {:?}", truth.files))
                .clone()
        };
        assert_eq!(ends("/first").read, flow(100_000, 25), "{by}");
        assert_eq!(ends("/first").written, flow(100_000, 25), "{by}");
        assert_eq!(ends("/second").written, flow(100_000, 25), "{by}");
        assert_eq!(truth.opens, 3, "{by}");
    }
}

#[test]
fn large_copies_do_not_promise_operations() {
    let args = [
        "file", "--by", "sendfile", "--bytes", BYTES, "--block", "65536",
    ];
    let truth = truth(&run("large", &args));
    assert!(!truth.operations_are_exact);
    assert_eq!(truth.files[1].written.bytes, 100_000);
}

#[test]
fn both_ends_of_a_unix_socket() {
    for kind in ["stream", "datagram"] {
        let truth = truth(&run(kind, &["unix", "--kind", kind, "--bytes", "5000"]));
        let [parent, child] = truth.connections.as_slice() else {
            panic!("{kind}: {:?}", truth.connections)
        };
        assert_eq!(parent.received, child.sent, "{kind}");
        assert_eq!(child.received, parent.sent, "{kind}");
        assert_eq!(child.sent, flow(5000, 5), "{kind}");
        assert_eq!(
            (&parent.local, &parent.peer),
            (&child.peer, &child.local),
            "{kind}"
        );
        assert_ne!(parent.pid, child.pid, "{kind}");
    }
}

#[test]
fn children_end_as_told() {
    let truth = truth(&run(
        "processes",
        &["processes", "--count", "100", "--us", "10"],
    ));
    assert_eq!(truth.processes.len(), 101);
    for (number, child) in truth.processes[1..].iter().enumerate() {
        let ending = match number {
            49 => (None, Some(9)),
            99 => (None, Some(15)),
            _ => (Some(number as i32), None),
        };
        assert_eq!((child.exit_code, child.signal), ending, "{child:?}");
        assert_eq!(child.args[1..3], ["child".to_owned(), number.to_string()]);
        assert_eq!(child.parent, truth.processes[0].pid);
        assert!(child.cpu_ns > Some(0));
    }
}

#[test]
fn a_child_changes_its_name_and_ends_as_another_program() {
    let truth = truth(&run("renames", &["renames"]));
    let child = &truth.processes[1];
    // With another code when the kernel says that it has another name than it took.
    assert_eq!(child.exit_code, Some(7), "{child:?}");
    assert_eq!(child.names.len(), 4, "{child:?}");
}

#[test]
fn burns_what_it_was_told() {
    let truth = truth(&run("burn", &["burn", "--seconds", "0.2"]));
    let used = truth.processes[1].cpu_ns.expect("a child's CPU is known");
    // What it aims at is found by trying; what it reports is the kernel's word.
    assert!((50_000_000..800_000_000).contains(&used), "{used}");
}

#[test]
fn holds_the_memory() {
    let truth = truth(&run("memory", &["memory", "--mib", "20", "--seconds", "0"]));
    assert!(
        truth.processes[1].max_rss_bytes >= Some(20 << 20),
        "{truth:?}"
    );
}

#[test]
fn opens_and_removes() {
    let truth = truth(&run("opens", &["opens", "--count", "1500"]));
    assert_eq!(truth.opens, 1500);
}

#[test]
fn leaves_with_the_code() {
    let output = run("exit", &["exit", "--after-ms", "1", "--code", "3"]);
    assert_eq!(
        (output.status.code(), output.status.signal()),
        (Some(3), None)
    );
    assert_eq!(truth(&output).processes[0].exit_code, Some(3));
}

#[test]
fn is_refused() {
    // A port that was free a moment ago.
    let address = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .expect("a free port")
        .to_string();
    let truth = truth(&run("refused", &["refused", "--connect", &address]));
    let pid = truth.processes[0].pid;
    assert_eq!(
        truth.events,
        [EventTruth::ConnectionRefused { pid, peer: address }]
    );
}

#[test]
fn loops() {
    for case in [
        "getpid",
        "pread",
        "open-close",
        "tcp-pingpong",
        "fork-exec-exit",
    ] {
        let output = run(case, &["loop", case, "--count", "10", "--rounds", "3"]);
        let result: LoopResult = serde_json::from_slice(&output.stdout).expect("a result in JSON");
        assert_eq!((result.case.as_str(), result.rounds_ns.len()), (case, 3));
        assert!(
            result.min_ns > 0.0 && result.min_ns <= result.median_ns,
            "{result:?}"
        );
    }
}
