//! Compares the workload's output with the expected work and with the kernel's own accounts.

use std::net::TcpListener;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Command, Output};

use bubble_workload::truth::{EventTruth, Flow, LoopResult, Truth};

/// A folder for one test, with a path short enough for a Unix socket.
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
    // Fails unless the folder is empty, as the workload must remove its files.
    if directory.exists() {
        std::fs::remove_dir(&directory).expect("the workload removed its files");
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

/// 100,000 bytes are 24 blocks of 4,096 bytes and a shorter one.
const BYTES: &str = "100000";

#[test]
fn folders_and_names_change() {
    let made = truth(&run(
        "folders",
        &["folders", "--count", "6", "--paths", "4"],
    ));
    let written: Vec<u64> = made.files.iter().map(|file| file.written.bytes).collect();
    assert_eq!(written, [1000 + 1004, 1001 + 1005, 1002, 1003]);
    assert_eq!(made.opens, 9);

    let renamed = truth(&run("renamed", &["renamed"]));
    let of = |end: &str| renamed.files.iter().find(|file| file.path.ends_with(end));
    assert_eq!(of("/memfd:other").unwrap().written.operations, 20);
    assert_eq!(of("c/within/out/file").unwrap().read.operations, 20);
}

#[test]
fn a_replaced_descriptor_still_moves_the_bytes_of_the_former_file() {
    let truth = truth(&run("replaced", &["replaced"]));
    let of = |end: &str| truth.files.iter().find(|file| file.path.ends_with(end));
    let decoy = of("/decoy").unwrap();
    assert_eq!((decoy.read, decoy.opens), (flow(0, 0), 13));
    assert_eq!(of("/target").unwrap().written, flow(3000, 3));
}

#[test]
fn files_are_written_and_read_back() {
    for by in ["read-write", "pread-pwrite", "readv-writev", "io-uring"] {
        let truth = truth(&run(by, &["file", "--by", by, "--bytes", BYTES]));
        if let Some(why) = truth.unsupported {
            // The kernel may refuse only io_uring.
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
fn one_file_is_copied_to_another() {
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
fn large_copies_have_inexact_operations() {
    let args = [
        "file", "--by", "sendfile", "--bytes", BYTES, "--block", "65536",
    ];
    let truth = truth(&run("large", &args));
    assert!(!truth.operations_are_exact);
    assert_eq!(truth.files[1].written.bytes, 100_000);
}

#[test]
fn both_ends_of_a_unix_socket_agree() {
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
fn children_end_as_requested() {
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
fn a_child_renames_itself_and_executes_another_program() {
    let truth = truth(&run("renames", &["renames"]));
    let child = &truth.processes[1];
    // The child exits with another code if the kernel reports another name.
    assert_eq!(child.exit_code, Some(7), "{child:?}");
    assert_eq!(child.names.len(), 3, "{child:?}");
}

/// Each child executes what it says, or it would exit with another code. Those that become another user
/// need root.
#[test]
fn children_change_who_they_are() {
    for of in ["memfd", "proc-self", "deleted", "script", "thread"] {
        let truth = truth(&run(&format!("identity-{of}"), &["identity", of]));
        let child = &truth.processes[1];
        assert_eq!(child.exit_code, Some(7), "{child:?}");
        assert!(child.exe.is_some(), "{child:?}");
    }
}

#[test]
fn burns_the_requested_cpu_time() {
    let truth = truth(&run("burn", &["burn", "--seconds", "0.2"]));
    let used = truth.processes[1].cpu_ns.expect("a child's CPU is known");
    // The workload only approximates the request, but reports the count of the kernel.
    assert!((50_000_000..800_000_000).contains(&used), "{used}");
}

#[test]
fn holds_the_requested_memory() {
    let truth = truth(&run("memory", &["memory", "--mib", "20", "--seconds", "0"]));
    assert!(
        truth.processes[1].max_rss_bytes >= Some(20 << 20),
        "{truth:?}"
    );
}

#[test]
fn opens_and_removes_files() {
    let truth = truth(&run("opens", &["opens", "--count", "1500"]));
    assert_eq!(truth.opens, 1500);
}

#[test]
fn exits_with_the_code() {
    let output = run("exit", &["exit", "--after-ms", "1", "--code", "3"]);
    assert_eq!(
        (output.status.code(), output.status.signal()),
        (Some(3), None)
    );
    assert_eq!(truth(&output).processes[0].exit_code, Some(3));
}

#[test]
fn a_connection_is_refused() {
    // Nothing listens here any more.
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
fn measures_loops() {
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
