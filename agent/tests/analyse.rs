//! `bubble-agent analyse` as it is typed.

use std::io::Write as _;
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

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(30);

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
fn exit_codes_tell_how_it_went() {
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

/// Something that answers as a server does, but for the first post: what is posted, with the query.
fn server() -> (String, Receiver<(String, Batch)>) {
    let (tell, posts) = channel();
    let (address, bound) = channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Runtime::new().unwrap();
        runtime.block_on(async {
            let busy = std::sync::atomic::AtomicBool::new(true);
            let busy = std::sync::Arc::new(busy);
            let answer = move |RawQuery(query): RawQuery, body: Bytes| async move {
                if busy.swap(false, std::sync::atomic::Ordering::Relaxed) {
                    return (StatusCode::SERVICE_UNAVAILABLE, "");
                }
                let batch = Batch::decode(&body).unwrap();
                tell.send((query.unwrap_or_default(), batch)).unwrap();
                (StatusCode::OK, "{}")
            };
            let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
            address.send(listener.local_addr().unwrap()).unwrap();
            let app = Router::new().route("/api/v1/batch", post(answer));
            axum::serve(listener, app).await.unwrap();
        });
    });
    let address = bound.recv_timeout(PATIENCE).unwrap();
    (format!("http://{address}"), posts)
}

/// The starts of the segments of a post.
fn seconds(posts: &Receiver<(String, Batch)>) -> (String, SourceId, Vec<u64>) {
    let (query, batch) = posts.recv_timeout(PATIENCE).unwrap();
    let sources: Vec<_> = batch.segments.iter().map(|of| of.key.source).collect();
    assert!(sources.iter().all(|source| *source == batch.source));
    let starts = batch.segments.iter().map(|of| of.key.start);
    (query, batch.source, starts.collect())
}

#[test]
fn a_file_is_posted_and_posted_again_as_the_same() {
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
fn a_stream_is_posted_while_it_goes_on() {
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
    for second in 10..13 {
        let line = format!(
            "1 {second}.500000000 0 web (0123456789ab) nginx (100:1) < read res=1 data=x fd=0(<f>/a) size=1 "
        );
        writeln!(input, "{line}").unwrap();
        input.flush().unwrap();
        if second > 10 {
            // The second before is over.
            let (_, _, starts) = seconds(&posts);
            assert_eq!(starts, [second - 1]);
        }
    }
    drop(input);
    let (query, _, starts) = seconds(&posts);
    assert_eq!(
        (query.as_str(), &starts[..]),
        ("recording=standard+input", &[12][..])
    );
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_folder_is_watched_until_it_is_told_to_end() {
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
    let pid = child.id().to_string();
    let told = Command::new("kill").args(["-INT", &pid]).status().unwrap();
    assert!(told.success());
    let (mut query, ..) = seconds(&posts);
    while query == "recording=a0" {
        (query, ..) = seconds(&posts);
    }
    assert_eq!(query, "recording=a2");
    // One of them could not be read.
    assert_eq!(child.wait().unwrap().code(), Some(3));
}
