//! Uploads of captures: read by a process of their own, stored as recordings, and refused within bounds.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use bubble_capture::open::Opened;
use bubble_capture::recording::input::Input;
use bubble_capture::recording::{Recording as _, Step};
use bubble_capture::scap::Options;
use bubble_capture::window::Window;
use bubble_common::segment::SourceId;
use bubble_server::auth::key;
use bubble_server::auth::token::Access;
use bubble_server::clock;
use bubble_server::http::state::Limits;
use flate2::Compression;
use flate2::write::GzEncoder;
use reqwest::StatusCode;
use rustix::process::Signal;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::common::{Server, id, seconds, token};

/// A container of `containers.scap`.
const BUSY: &str = "5961688fa2f4";

/// A server that reads captures with the real program.
struct Site {
    server: Server,
    url: String,
    folder: TempDir,
}

impl Site {
    async fn start() -> Self {
        Self::with(Limits::default(), Duration::from_secs(60)).await
    }

    async fn with(limits: Limits, min_cpu: Duration) -> Self {
        let server = Server::with_limits(limits).await;
        let folder = TempDir::new().expect("a temporary folder");
        let mut state = server.state.clone();
        state.readers.program = PathBuf::from(env!("CARGO_BIN_EXE_bubble-server"));
        state.readers.folder = folder.path().to_owned();
        state.readers.min_cpu = min_cpu;
        let url = server.also(state).await;
        Self {
            server,
            url,
            folder,
        }
    }

    /// Uploads a file with a key or token.
    async fn upload_by(&self, by: &str, body: Vec<u8>) -> (StatusCode, Value) {
        let answer = self
            .server
            .client
            .post(format!("{}/api/v1/recordings?name=a%20capture", self.url))
            .bearer_auth(by)
            .body(body)
            .send()
            .await
            .expect("an answer");
        let status = answer.status();
        (status, answer.json().await.expect("JSON"))
    }

    async fn upload(&self, body: Vec<u8>) -> (StatusCode, Value) {
        self.upload_by(&self.server.admin, body).await
    }

    /// Uploads a file that must be taken.
    async fn stored(&self, body: Vec<u8>) -> Value {
        let (status, answer) = self.upload(body).await;
        assert_eq!(status, StatusCode::OK, "{answer}");
        answer
    }

    /// Uploads a file that must be refused. Nothing of it is left.
    async fn refused(&self, body: Vec<u8>) -> (u16, String) {
        let (status, answer) = self.upload(body).await;
        let listed = self.server.json("/api/v1/recordings").await;
        assert_eq!(listed["recordings"], json!([]), "{answer}");
        let left = std::fs::read_dir(self.folder.path()).expect("a folder");
        assert_eq!(left.count(), 0, "files are left");
        let message = answer["message"].as_str().unwrap_or_default();
        (status.as_u16(), message.to_owned())
    }
}

fn agent_file(path: &str) -> Vec<u8> {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("../agent/tests");
    let path = tests.join(path);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

/// CPU time by container, as read in this process.
fn cpu_of(capture: &[u8]) -> BTreeMap<String, u64> {
    let input = Input::new(std::io::Cursor::new(capture.to_vec()), None).expect("a thread");
    let mut opened = Opened::new(input, None, Options::default()).expect("a capture");
    let mut window = Window::new(SourceId([1; 16]), 0);
    while let Ok(Step::More) = opened.step(&mut window) {}
    window.close_all();
    let mut sums = BTreeMap::new();
    for segment in window.take_closed() {
        let ns = segment.cpu.iter().map(|cell| cell.value.ns).sum::<u64>();
        *sums.entry(segment.key.container.to_string()).or_default() += ns;
    }
    sums
}

#[tokio::test]
async fn an_uploaded_capture_is_a_recording_with_all_that_it_has() {
    let site = Site::start().await;
    let capture = agent_file("captures/containers.scap");
    let answer = site.stored(capture.clone()).await;
    assert_eq!(answer["format"], "scap");
    assert_eq!(answer["events"], 317_459);
    assert_eq!(answer["damage"], Value::Null);
    assert_eq!(answer["bytes"], capture.len() as u64);
    assert_eq!(
        (&answer["known"], &answer["refused"]),
        (&json!(0), &json!([]))
    );
    let expected = cpu_of(&capture);
    assert!(expected[BUSY] > 1_000_000_000);

    let list = site.server.json("/api/v1/recordings").await;
    assert_eq!(list["max_bytes"], 1 << 30);
    let recording = &list["recordings"][0];
    assert_eq!(json!([recording["id"]]), answer["recordings"]);
    assert_eq!(recording["name"], "a capture");
    assert_eq!(recording["posted_by"], "administrator");
    let upload = &recording["upload"];
    assert_eq!(upload["stored"], true);
    for field in ["bytes", "events", "losses", "from", "to"] {
        assert_eq!(upload[field], answer[field], "{field}");
    }
    let listed = recording["containers"].as_array().expect("a list");
    let found: BTreeMap<String, u64> = listed
        .iter()
        .map(|one| {
            let id = one["id"].as_str().expect("an id").to_owned();
            (id, one["cpu_ns"].as_u64().expect("a number"))
        })
        .collect();
    assert_eq!(found, expected);
    // The links that the page makes: each container, from its first second to its last.
    for container in answer["containers"].as_array().expect("a list") {
        let (id, from, to) = (&container["id"], &container["from"], &container["to"]);
        let id = id.as_str().expect("an id");
        let path = format!("/api/v1/containers/{id}/summary?from={from}&to={to}");
        let summary = site.server.json(&path).await;
        assert_eq!(
            summary["accounting"]["process_cpu_ns"], expected[id],
            "{id}"
        );
    }

    // The same file counts once.
    let again = site.stored(capture).await;
    assert!(again["known"].as_u64() > Some(0), "{again}");
    let list = site.server.json("/api/v1/recordings").await;
    assert_eq!(list["recordings"], json!([recording]));
}

#[tokio::test]
async fn every_format_is_read() {
    let site = Site::start().await;
    for (file, format) in [
        ("sysdig/web.jsonl", "json"),
        ("sysdig/web.txt", "text"),
        ("cases/01-control.scap", "scap"),
        ("cases/08-150-failed.scap.gz", "scap"),
    ] {
        let answer = site.stored(agent_file(file)).await;
        assert_eq!(answer["format"], format, "{file}");
        assert!(answer["stored"].as_u64() > Some(0), "{file}: {answer}");
    }
    let compressed = zstd::encode_all(&agent_file("sysdig/web.jsonl")[..], 1).expect("memory");
    for body in [gzip(&agent_file("cases/02-control.scap")), compressed] {
        let answer = site.stored(body).await;
        assert!(answer["stored"].as_u64() > Some(0), "{answer}");
    }
    let list = site.server.json("/api/v1/recordings").await;
    assert_eq!(list["recordings"].as_array().map(Vec::len), Some(6));
}

/// Real captures of several years, in the folder of foreign recordings.
#[tokio::test]
async fn foreign_captures_are_stored() {
    let Some(folder) = bubble_testing::captures::folder_if_present() else {
        return;
    };
    let folder = folder.join("captures");
    let site = Site::start().await;
    let read = |file: &str| std::fs::read(folder.join(file)).expect("a capture");
    for file in [
        "502error.scap",
        "run_as_user_0.scap",
        "sample.scap",
        "options.scap",
    ] {
        let capture = read(file);
        let expected = cpu_of(&capture);
        let answer = site.stored(capture).await;
        let ids: Vec<_> = answer["containers"]
            .as_array()
            .expect("a list")
            .iter()
            .collect();
        assert_eq!(ids.len(), expected.len(), "{file}: {answer}");
        assert!(answer["events"].as_u64() > Some(0), "{file}");
    }
}

#[tokio::test]
async fn a_capture_without_containers_is_said_and_not_stored() {
    let site = Site::start().await;
    let web = String::from_utf8(agent_file("sysdig/web.txt")).expect("text");
    let host: String = web
        .lines()
        .filter(|line| line.contains(" host "))
        .flat_map(|line| [line, "\n"])
        .collect();
    let line = "1 1506127469.900000000 0 host (host) bash (1:1) > read fd=3(<f>/x) size=1 \n";
    let answer = site
        .stored([host.as_bytes(), line.as_bytes()].concat())
        .await;
    assert_eq!(answer["containers"], json!([]), "{answer}");
    assert_eq!(answer["recordings"], json!([]));
    let list = site.server.json("/api/v1/recordings").await;
    assert_eq!(list["recordings"], json!([]));
}

#[tokio::test]
async fn a_cut_capture_is_stored_up_to_the_cut_and_says_so() {
    let site = Site::start().await;
    let capture = agent_file("captures/containers.scap");
    let cut = capture[..capture.len() / 2].to_vec();
    let expected = cpu_of(&cut);
    let answer = site.stored(cut).await;
    let damage = answer["damage"].as_str().expect("a reason");
    assert!(damage.starts_with("cut short"), "{damage}");
    let list = site.server.json("/api/v1/recordings").await;
    let recording = &list["recordings"][0];
    assert_eq!(recording["upload"]["damage"], damage);
    let sum = recording["containers"].as_array().expect("a list");
    let sum: u64 = sum.iter().filter_map(|one| one["cpu_ns"].as_u64()).sum();
    assert_eq!(sum, expected.values().sum::<u64>());
}

#[tokio::test]
async fn sections_that_go_back_in_time_are_recordings_of_their_own() {
    let site = Site::start().await;
    let capture = agent_file("cases/01-control.scap");
    let answer = site.stored([&capture[..], &capture[..]].concat()).await;
    assert_eq!(
        answer["recordings"].as_array().map(Vec::len),
        Some(2),
        "{answer}"
    );
    let list = site.server.json("/api/v1/recordings").await;
    let ids: Vec<&Value> = list["recordings"]
        .as_array()
        .expect("a list")
        .iter()
        .map(|one| &one["id"])
        .collect();
    assert_eq!(json!(ids), answer["recordings"]);
}

#[tokio::test]
async fn files_that_are_no_captures_are_refused_with_what_helps() {
    let site = Site::start().await;
    for (body, says) in [
        (Vec::new(), "it is empty"),
        (b"hello".to_vec(), "sysdig -w"),
        (vec![0; 100_000], "sysdig -w"),
        (b"\xfd7zXZ\0\0".to_vec(), "xz -d"),
        (agent_file("cases/10-network.pcapng"), "network capture"),
        (agent_file("cases/11-big-endian.scap"), "big-endian"),
        (gzip(b"hello"), "sysdig -w"),
        (
            gzip(&agent_file("cases/01-control.scap"))[..40].to_vec(),
            "cut short",
        ),
        (
            agent_file("cases/01-control.scap")[..40].to_vec(),
            "nothing of it can be read",
        ),
    ] {
        let (status, message) = site.refused(body).await;
        assert_eq!(status, 422, "{message}");
        assert!(message.contains(says), "{message:?} lacks {says:?}");
    }
}

#[tokio::test]
async fn a_bomb_ends_at_its_bound_and_leaves_nothing() {
    let site = Site::with(Limits::default(), Duration::from_secs(1)).await;
    // Empty lines in an array: 64 GiB of them in a file of a few MB.
    let mebibyte = zstd::encode_all(&vec![b'\n'; 1 << 20][..], 19).expect("memory");
    let mut bomb = zstd::encode_all(&b"["[..], 1).expect("memory");
    for _ in 0..65_536 {
        bomb.extend_from_slice(&mebibyte);
    }
    let (status, message) = site.refused(bomb).await;
    assert_eq!(status, 413, "{message}");
    assert!(message.contains("takes more than"), "{message}");
    // The next one is read.
    let answer = site.stored(agent_file("cases/01-control.scap")).await;
    assert_eq!(answer["damage"], Value::Null);
}

/// Other bytes with the same content.
fn with_empty_member(gzipped: &[u8]) -> Vec<u8> {
    [gzipped, &gzip(b"")].concat()
}

/// A block of a capture that says how long it is, and is as long.
fn long_block(bytes: usize) -> Vec<u8> {
    let mut capture = agent_file("cases/01-control.scap");
    let length = u32::try_from(bytes).expect("32 bits");
    capture.extend_from_slice(&0x0bad_u32.to_le_bytes());
    capture.extend_from_slice(&length.to_le_bytes());
    capture.resize(capture.len() + bytes - 12, 0);
    capture.extend_from_slice(&length.to_le_bytes());
    capture
}

#[tokio::test]
async fn a_capture_that_takes_too_much_memory_is_refused() {
    // The reader has a quarter of it.
    let limits = Limits {
        memory: 256 << 20,
        ..Limits::default()
    };
    let site = Site::with(limits, Duration::from_secs(60)).await;
    let (status, message) = site.refused(long_block(60 << 20)).await;
    assert_eq!(status, 413, "{message}");
    assert!(message.contains("64 MiB of memory"), "{message}");
    let answer = site.stored(agent_file("captures/containers.scap")).await;
    assert_eq!(answer["events"], 317_459);
}

/// Runs the reader alone with bounds. Returns the signal that ended it.
fn read_within(bounds: [&str; 3], capture: Vec<u8>) -> Option<i32> {
    let [memory, cpu, output] = bounds;
    let mut input = tempfile::tempfile().expect("a file");
    input.write_all(&capture).expect("written");
    let mut child = Command::new(env!("CARGO_BIN_EXE_bubble-server"))
        .args([
            "read-capture",
            "--memory",
            memory,
            "--cpu",
            cpu,
            "--output",
            output,
        ])
        .env_clear()
        .env("MIMALLOC_ARENA_EAGER_COMMIT", "0")
        .stdin(input)
        .stdout(tempfile::tempfile().expect("a file"))
        .stderr(Stdio::null())
        .spawn()
        .expect("it runs");
    child.wait().expect("it ends").signal()
}

#[test]
fn the_kernel_bounds_a_reader() {
    let capture = || agent_file("captures/containers.scap");
    let plenty = "1000000000";
    assert_eq!(read_within([plenty, "60", plenty], capture()), None);
    let signal = read_within([plenty, "60", "1000"], capture());
    assert_eq!(signal, Some(Signal::XFSZ.as_raw()));
    let signal = read_within(["64000000", "60", plenty], long_block(60 << 20));
    assert_eq!(signal, Some(Signal::ABORT.as_raw()));
}

#[tokio::test]
async fn uploads_are_bounded_in_size() {
    let capture = agent_file("cases/01-control.scap");
    let limits = Limits {
        capture: capture.len() as u64,
        ..Limits::default()
    };
    let site = Site::with(limits, Duration::from_secs(60)).await;
    let (status, message) = site.refused([&capture[..], b"x"].concat()).await;
    assert_eq!(status, 413);
    assert!(message.contains("--max-capture"), "{message}");
    // Without an announced length.
    let chunks = [capture.clone(), b"x".to_vec()].map(Ok::<_, std::io::Error>);
    let answer = site
        .server
        .client
        .post(format!("{}/api/v1/recordings?name=x", site.url))
        .bearer_auth(&site.server.admin)
        .body(reqwest::Body::wrap_stream(futures_util::stream::iter(
            chunks,
        )))
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    site.stored(capture).await;

    let none = Limits {
        capture: 0,
        ..Limits::default()
    };
    let site = Site::with(none, Duration::from_secs(60)).await;
    let (status, message) = site.refused(agent_file("cases/01-control.scap")).await;
    assert_eq!(status, 403);
    assert!(message.contains("bubble-agent analyse"), "{message}");
}

#[tokio::test]
async fn a_name_is_checked() {
    let site = Site::start().await;
    for query in ["", "?name=", "?name=a%0Ab", "?name=a&x=1"] {
        let answer = site
            .server
            .client
            .post(format!("{}/api/v1/recordings{query}", site.url))
            .bearer_auth(&site.server.admin)
            .body(agent_file("cases/01-control.scap"))
            .send()
            .await
            .expect("an answer");
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{query}");
    }
}

#[tokio::test]
async fn keys_and_administrators_upload_and_nobody_else() {
    let site = Site::start().await;
    let capture = agent_file("captures/containers.scap");
    let answer = site
        .server
        .client
        .post(format!("{}/api/v1/recordings?name=x", site.url))
        .body(capture.clone())
        .send()
        .await
        .expect("an answer");
    assert_eq!(answer.status(), StatusCode::UNAUTHORIZED);
    let of_one = token(&Access::Container(id(BUSY)));
    let (status, _) = site.upload_by(&of_one, capture.clone()).await;
    assert_eq!(status, StatusCode::FORBIDDEN);
    let (status, _) = site.upload_by("no.key", capture.clone()).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);

    // A key writes containers of its owner, and new ones.
    let (status, answer) = site.upload_by(&site.server.key, capture.clone()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    let list = site.server.json("/api/v1/recordings").await;
    assert_eq!(list["recordings"][0]["posted_by"], "tests");
    let (other, key) = key::create("others", clock::now());
    site.server
        .state
        .store
        .create_key(key)
        .await
        .expect("stored");
    let (status, answer) = site.upload_by(&other, with_empty_member(&capture)).await;
    assert_eq!(status, StatusCode::OK);
    assert_eq!(answer["recordings"], json!([]), "{answer}");
    assert_eq!(answer["refused"][0]["code"], "other_owner");
    assert_eq!(site.server.json("/api/v1/recordings").await, list);
    // An administrator writes those of all owners.
    let answer = site.stored(with_empty_member(&capture)).await;
    assert_eq!(answer["refused"], json!([]));
}

#[tokio::test]
async fn an_upload_of_an_administrator_takes_no_container_from_its_agent() {
    let site = Site::start().await;
    site.stored(agent_file("captures/containers.scap")).await;
    // The container had no owner, so the agent that posts it next has it.
    let now = clock::now();
    let live = seconds(BUSY, 1, now - 60, 10, 1_000);
    assert_eq!(site.server.post(vec![live]).await, (1, 0));
}

#[tokio::test]
async fn a_deleted_recording_can_be_uploaded_again() {
    let site = Site::start().await;
    let capture = agent_file("cases/01-control.scap");
    let answer = site.stored(capture.clone()).await;
    let id = answer["recordings"][0].as_str().expect("an id").to_owned();
    let path = format!("{}/api/v1/recordings/{id}", site.url);
    let delete = site
        .server
        .client
        .delete(path)
        .bearer_auth(&site.server.admin);
    let deleted = delete.send().await.expect("an answer");
    assert_eq!(deleted.status(), StatusCode::NO_CONTENT);
    // Its rows are not removed yet: they would take the new ones with them.
    let (status, message) = site.refused(capture.clone()).await;
    assert_eq!(status, 503, "{message}");
    assert!(message.contains("deleted just now"), "{message}");
    site.server.state.store.sweep().await.expect("answers");
    let again = site.stored(capture).await;
    assert_eq!(again["stored"], answer["stored"]);
    let list = site.server.json("/api/v1/recordings").await;
    assert_eq!(list["recordings"][0]["id"], id.as_str());
}
