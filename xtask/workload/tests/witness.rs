//! Compares the witness with the truth that the other cases print about themselves.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use bubble_workload::truth::{Flow, Truth};
use bubble_workload::witnessed::{Bytes, Witnessed, WitnessedProcess};

const WORKLOAD: &str = env!("CARGO_BIN_EXE_bubble-workload");

/// A folder for one test, with a path short enough for a Unix socket.
fn directory(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("bubble-witness-{}-{name}", std::process::id()))
}

/// The processes of a command, and what it printed.
fn witness(command: &[&str]) -> (Witnessed, String) {
    let output = Command::new(WORKLOAD)
        .args(["witness", "--"])
        .args(command)
        .stdin(Stdio::null())
        .output()
        .expect("the workload runs");
    let printed = String::from_utf8_lossy(&output.stderr).into_owned();
    let witnessed = serde_json::from_slice(&output.stdout);
    let witnessed = witnessed.unwrap_or_else(|error| panic!("{error}; {printed}"));
    (witnessed, printed)
}

/// Runs a case under the witness. The truth is the last line that it prints.
fn case(name: &str, args: &[&str]) -> (Witnessed, Truth, u64) {
    let directory = directory(name);
    let folder = directory.to_str().expect("a folder in UTF-8");
    let command = [&[WORKLOAD, "--directory", folder], args].concat();
    let (witnessed, printed) = witness(&command);
    let truth: Truth = serde_json::from_str(&printed)
        .unwrap_or_else(|error| panic!("{name}: {error} in {printed:?}"));
    let _ = std::fs::remove_dir_all(&directory);
    (witnessed, truth, printed.len() as u64)
}

fn sum(flows: impl Iterator<Item = Flow>) -> u64 {
    flows.map(|flow| flow.bytes).sum()
}

/// What the truth says that one process moved.
fn expected(truth: &Truth, pid: u32) -> Bytes {
    let files = truth.files.iter().filter(|file| file.pid == pid);
    let connections = truth.connections.iter().filter(|other| other.pid == pid);
    Bytes {
        read: sum(files.clone().map(|file| file.read))
            + sum(connections.clone().map(|c| c.received)),
        written: sum(files.map(|file| file.written)) + sum(connections.map(|c| c.sent)),
    }
}

fn process(witnessed: &Witnessed, pid: u32) -> &WitnessedProcess {
    let mut all = witnessed.processes.iter();
    let found = all.find(|process| process.pid == pid);
    found.unwrap_or_else(|| panic!("no process {pid} in {:?}", witnessed.processes))
}

#[test]
fn files_by_each_call_are_as_the_case_says() {
    for by in [
        "read-write",
        "pread-pwrite",
        "readv-writev",
        "sendfile",
        "splice",
        "copy-file-range",
    ] {
        let (witnessed, truth, printed) = case(by, &["file", "--by", by, "--bytes", "100000"]);
        assert_eq!(truth.unsupported, None, "{by}");
        let [process] = witnessed.processes.as_slice() else {
            panic!("{by}: {:?}", witnessed.processes)
        };
        let mut expected = expected(&truth, process.pid);
        expected.written += printed;
        assert_eq!(process.moved(), expected, "{by}");
        assert_eq!(process.spliced.read > 0, by == "splice", "{by}");
    }
}

#[test]
fn messages_are_counted_by_their_calls() {
    let (witnessed, truth, _) = case("send-recv", &["unix", "--kind", "stream"]);
    assert_eq!(truth.processes.len(), 2);
    for side in &truth.processes {
        let expected = expected(&truth, side.pid);
        assert!(expected.read > 0 && expected.written > 0, "{expected:?}");
        assert_eq!(process(&witnessed, side.pid).messages, expected);
    }
    let by_read = ["unix", "--kind", "stream", "--by", "read-write"];
    let (witnessed, truth, _) = case("read-write", &by_read);
    for side in &truth.processes {
        let process = process(&witnessed, side.pid);
        assert_eq!(process.messages, Bytes::default());
        assert!(process.io.read >= expected(&truth, side.pid).read);
    }
}

#[test]
fn the_sums_of_a_process_are_without_those_of_its_children() {
    let file = directory("children");
    std::fs::write(&file, vec![b'x'; 70_000]).expect("a file");
    let script = "for n in 1 2 3; do cat \"$0\" > /dev/null; done; exit 7";
    let name = file.to_str().expect("a name in UTF-8");
    let (witnessed, _) = witness(&["/bin/sh", "-c", script, name]);
    std::fs::remove_file(&file).expect("the file is still there");
    assert_eq!(witnessed.exit_code, 7);
    let moved: Vec<u64> = witnessed
        .processes
        .iter()
        .map(|p| p.moved().written)
        .collect();
    assert_eq!(moved, [70_000, 70_000, 70_000, 0]);
    // The shell itself read no more than its libraries' headers.
    assert!(witnessed.processes[3].io.read < 70_000);
    assert!(witnessed.processes[0].exec_read > 0);
    assert_eq!(witnessed.processes[0].args, ["cat", name]);
}
