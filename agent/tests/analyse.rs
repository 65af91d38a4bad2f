//! `bubble-agent analyse`, run as a command.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::StatusCode;
use axum::routing::post;
use bubble_common::batch::Batch;
use bubble_common::segment::SourceId;
use rustix::process::{Pid, Signal, kill_process};

/// How long a test waits for a post.
const POST_TIMEOUT: Duration = Duration::from_secs(30);

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests")
        .join(name)
}

fn agent() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bubble-agent"));
    command.arg("analyse").stdin(Stdio::null());
    for name in ["SERVER", "API", "FORMAT", "NAME", "CONFIG", "INCLUDE_HOST"] {
        command.env_remove(format!("BUBBLE_{name}"));
    }
    command
}

fn dry_run(arguments: &[&str], path: &Path) -> Output {
    let mut command = agent();
    command.arg("--dry-run").args(arguments).arg(path);
    command.output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Compares with a file; `BUBBLE_BLESS=1` writes it.
fn golden(name: &str, text: &str) {
    let path = file(name);
    if std::env::var_os("BUBBLE_BLESS").is_some() {
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text, expected,
        "{name}: if this is right, BUBBLE_BLESS=1 keeps it"
    );
}

#[test]
fn the_report_is_the_same_for_text_and_json() {
    let text = dry_run(&["--name", "web"], &file("sysdig/web.txt"));
    assert_eq!(text.status.code(), Some(0), "{}", stderr(&text));
    golden("sysdig/report.txt", &stdout(&text));
    let json = dry_run(&["--name", "web"], &file("sysdig/web.jsonl"));
    assert_eq!(stdout(&json).replace("(json)", "(text)"), stdout(&text));
}

#[test]
fn a_container_of_a_recording_has_the_report_of_a_run() {
    let output = dry_run(&["--report"], &file("sysdig/web.jsonl"));
    let text = stdout(&output);
    let lines = ["web", "  wall time   193.4 ms", "Processes that failed"];
    for line in lines {
        assert!(text.lines().any(|it| it == line), "{line}: {text}");
    }
    assert!(text.contains("events that sysdig lost"), "{text}");
}

#[test]
fn the_report_can_be_read_by_programs() {
    let output = dry_run(&["--name", "web", "--json"], &file("sysdig/web.jsonl"));
    golden("sysdig/report.json", &stdout(&output));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["containers"][0]["id"], "0123456789ab");
}

#[test]
fn a_capture_is_reported() {
    let output = dry_run(&[], &file("captures/containers.scap"));
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let report = stdout(&output);
    assert!(report.contains("containers.scap (scap)"), "{report}");
    assert!(report.contains("5961688fa2f4"), "{report}");
    // The loop of 200 programs: each is counted once.
    assert!(report.contains("202 began, 202 ended"), "{report}");
}

#[test]
fn the_exit_code_says_how_it_ended() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, content: &[u8]| {
        let path = folder.path().join(name);
        std::fs::write(&path, content).unwrap();
        path
    };
    let whole = std::fs::read(file("sysdig/web.txt")).unwrap();
    let capture = std::fs::read(file("captures/containers.scap")).unwrap();
    let cut = |bytes: &[u8]| bytes[..bytes.len() / 2].to_vec();
    for (name, content) in [("cut.txt", cut(&whole)), ("cut.scap", cut(&capture))] {
        let output = dry_run(&[], &write(name, &content));
        assert_eq!(output.status.code(), Some(3), "{name}: {}", stderr(&output));
        assert!(stderr(&output).contains("at byte"), "{}", stderr(&output));
        assert!(stdout(&output).contains("INCOMPLETE"), "{name}");
    }
    let unknown = write("unknown", b"hello\n");
    for (arguments, path, code, says) in [
        (&[][..], unknown.as_path(), 1, "--format"),
        (&["--format", "json"], unknown.as_path(), 1, "sysdig -pc -j"),
        (
            &["--format", "text"],
            unknown.as_path(),
            1,
            "sysdig -pc -t a",
        ),
        (
            &["--format", "scap"],
            unknown.as_path(),
            1,
            "nothing of it can be read",
        ),
        (
            &["--format", "csv"],
            unknown.as_path(),
            2,
            "possible values",
        ),
        (&[], &write("empty", b""), 1, "it is empty"),
        (&[], Path::new("/nowhere/x"), 1, "No such file"),
        (
            &["--watch", "/tmp"],
            unknown.as_path(),
            2,
            "cannot be used with",
        ),
    ] {
        let output = dry_run(arguments, path);
        let error = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {error}");
        assert!(error.contains(says), "{arguments:?}: {error}");
    }
    let output = agent().arg(&unknown).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("--dry-run"), "{}", stderr(&output));
}

#[test]
fn tables_are_written() {
    let folder = tempfile::tempdir().unwrap();
    let tables = folder.path().join("tables");
    let output = dry_run(
        &["--tables", tables.to_str().unwrap()],
        &file("sysdig/web.txt"),
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let io = std::fs::read_to_string(tables.join("io.tsv")).unwrap();
    let row = "0123456789ab\t100\t1\tnginx\tfile\t/srv/a b\tin\t512\t1\n";
    assert!(io.contains(row), "{io}");
    for table in ["cpu.tsv", "processes.tsv"] {
        assert!(tables.join(table).exists());
    }
}

/// A server that is busy at the first post; returns the later posts with their queries.
fn server() -> (String, Receiver<(String, Batch)>) {
    let (sender, posts) = channel();
    let (address, bound) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let is_busy = std::sync::atomic::AtomicBool::new(true);
            let is_busy = std::sync::Arc::new(is_busy);
            let answer = move |RawQuery(query): RawQuery, body: Bytes| async move {
                if is_busy.swap(false, std::sync::atomic::Ordering::Relaxed) {
                    return (StatusCode::SERVICE_UNAVAILABLE, String::new());
                }
                let batch = Batch::decode(&body).unwrap();
                let stored = batch.segments.len();
                let receipt = format!(r#"{{"stored":{stored},"known":0,"refused":[]}}"#);
                sender.send((query.unwrap_or_default(), batch)).unwrap();
                (StatusCode::OK, receipt)
            };
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            address.send(listener.local_addr().unwrap()).unwrap();
            let app = Router::new().route("/api/v1/batch", post(answer));
            axum::serve(listener, app).await.unwrap();
        });
    });
    let address = bound.recv_timeout(POST_TIMEOUT).unwrap();
    (format!("http://{address}"), posts)
}

/// The starts of the segments of a post.
fn seconds(posts: &Receiver<(String, Batch)>) -> (String, SourceId, Vec<u64>) {
    let (query, batch) = posts.recv_timeout(POST_TIMEOUT).unwrap();
    let sources: Vec<_> = batch.segments.iter().map(|of| of.key.source).collect();
    assert!(sources.iter().all(|source| *source == batch.source));
    let starts = batch.segments.iter().map(|of| of.key.start);
    (query, batch.source, starts.collect())
}

#[test]
fn a_file_posted_twice_has_one_source() {
    let (url, posts) = server();
    let mut sources = Vec::new();
    for _ in 0..2 {
        let mut command = agent();
        command.args(["--server", &url, "--api", "k", "--name", "a b&c"]);
        let output = command.arg(file("sysdig/web.txt")).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        assert!(
            stdout(&output).contains("/c/0123456789ab"),
            "{}",
            stdout(&output)
        );
        let (query, source, _) = seconds(&posts);
        assert_eq!(query, "recording=a+b%26c");
        sources.push(source);
    }
    assert_eq!(sources[0], sources[1]);
}

#[test]
fn a_stream_is_posted_while_it_lasts() {
    let (url, posts) = server();
    let mut command = agent();
    command.args(["--server", &url, "--api", "k", "-"]);
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    for second in 1_000_000_010..1_000_000_013 {
        let line = format!(
            "1 {second}.500000000 0 web (0123456789ab) nginx (100:1) < read res=1 data=x fd=0(<f>/a) size=1 "
        );
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
        if second > 1_000_000_010 {
            // The second before is over.
            let (_, _, starts) = seconds(&posts);
            assert_eq!(starts, [second - 1]);
        }
    }
    drop(input);
    let (query, _, starts) = seconds(&posts);
    assert_eq!(
        (query.as_str(), &starts[..]),
        ("recording=standard+input", &[1_000_000_012][..])
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_folder_is_watched_until_a_signal() {
    let (url, posts) = server();
    let folder = tempfile::tempdir().unwrap();
    let copy = |name: &str| {
        std::fs::copy(file("sysdig/web.txt"), folder.path().join(name)).unwrap();
    };
    copy("a0");
    std::thread::sleep(Duration::from_millis(20));
    std::fs::write(folder.path().join("a1"), "hello\n").unwrap();
    std::thread::sleep(Duration::from_millis(20));
    copy("a2");
    let mut command = agent();
    command.args(["--server", &url, "--api", "k", "--watch"]);
    let mut child = command
        .arg(folder.path())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let (query, ..) = seconds(&posts);
    assert_eq!(query, "recording=a0");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let (mut query, ..) = seconds(&posts);
    while query == "recording=a0" {
        (query, ..) = seconds(&posts);
    }
    assert_eq!(query, "recording=a2");
    // One of the files could not be read.
    assert_eq!(child.wait().unwrap().code(), Some(3));
}

/// An interrupt ends watching, and not the reading of the files that are there.
#[test]
fn the_last_file_is_read_to_its_end() {
    let folder = tempfile::tempdir().unwrap();
    for (source, name) in [("sysdig/web.txt", "a0"), ("captures/containers.scap", "a1")] {
        std::fs::copy(file(source), folder.path().join(name)).unwrap();
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut command = agent();
    command.arg("--dry-run").arg("--watch").arg(folder.path());
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut output = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    output.read_line(&mut line).unwrap();
    assert_eq!(line, "a0 (text)\n");
    kill_process(Pid::from_child(&child), Signal::INT).unwrap();
    let mut rest = String::new();
    output.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("317,459 events"), "{rest}");
    assert!(!rest.contains("INCOMPLETE"), "{rest}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

/// Two sections about the same time: each is a source, so that the server counts both.
#[test]
fn a_section_that_goes_back_is_posted_as_another_source() {
    let (url, posts) = server();
    let folder = tempfile::tempdir().unwrap();
    let twice = folder.path().join("twice.scap");
    let once = std::fs::read(file("cases/01-control.scap")).unwrap();
    std::fs::write(&twice, [&once[..], &once].concat()).unwrap();
    let mut command = agent();
    command.args(["--server", &url, "--api", "k"]).arg(&twice);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let mut read = BTreeMap::new();
    for (_, batch) in posts.try_iter() {
        for segment in &batch.segments {
            assert_eq!(segment.key.source, batch.source);
            let bytes = segment.file_io.iter().map(|cell| cell.value.bytes_in);
            *read.entry(batch.source.0).or_insert(0) += bytes.sum::<u64>();
        }
    }
    assert_eq!(read.into_values().collect::<Vec<_>>(), [5_000, 5_000]);
}
