//! The budget of memory: who gets none waits, or is told so, and nothing is lost.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bubble_common::batch::Batch;
use bubble_common::segment::builder::Builder;
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::process::{Cpu, Process, ProcessId};
use bubble_common::segment::{Coverage, Key, Resolution, Segment, SourceId};
use bubble_server::auth::token::Access;
use bubble_server::clock;
use bubble_server::http::batch::MEDIA_TYPE;
use bubble_server::http::state::Limits;
use bubble_server::memory::{Memory, Pool};
use bubble_server::query::Ask;
use futures_util::future::join_all;
use reqwest::{Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::time::timeout;

use crate::common::{Server, batch, client, id, seconds, token};
use crate::live::next;
use crate::program::{Program, create_key};

pub(crate) const ID: &str = "aaaaaaaaaaaa";
/// Memory of the servers here.
const LIMIT: usize = 128 << 20;
/// Longest wait for anything here.
const TIMEOUT: Duration = Duration::from_secs(60);

async fn limited(memory: usize) -> Arc<Server> {
    let limits = Limits {
        memory,
        ..Limits::default()
    };
    Arc::new(Server::with_limits(limits).await)
}

/// Ten seconds in which `processes` each write to as many files.
pub(crate) fn heavy(start: u64, source: u8, processes: u32) -> Segment {
    let key = Key {
        container: id(ID),
        resolution: Resolution::Second,
        start,
        source: SourceId([source; 16]),
    };
    let mut builder = Builder::new(key, 10);
    for slot in 0..10 {
        builder.cover(slot, Coverage::SECOND);
    }
    for number in 0..processes {
        let process = ProcessId {
            pid: 1_000 + number,
            start: 1_000,
            exec: 1,
        };
        let process = builder.process(Process::new(process, "writer"));
        for file in 0..processes {
            let path = format!("/data/{file:04}");
            let file = builder.file(File {
                path,
                kind: FileKind::Regular,
            });
            for slot in 0..10 {
                let io = FileIo {
                    bytes_out: 1,
                    ops_out: 1,
                    ..FileIo::default()
                };
                builder.file_io(process, file, slot, io);
            }
        }
    }
    builder.build()
}

async fn post(server: &Server, body: Vec<u8>) -> Response {
    let post = server.client.post(format!("{}/api/v1/batch", server.url));
    let post = post.bearer_auth(&server.key).body(body);
    let post = post.header("content-type", MEDIA_TYPE).send();
    post.await.expect("an answer")
}

/// Waits until all memory is given back: the answer is there before its request has ended.
async fn is_given_back(memory: &Memory) {
    let pools = [
        &memory.bodies,
        &memory.posts,
        &memory.queries,
        &memory.large_query,
        &memory.answers,
        &memory.events,
    ];
    let given_back = async {
        while pools.iter().any(|pool: &&Pool| pool.reserved() > 0) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(TIMEOUT, given_back).await.expect("given back");
}

#[tokio::test(flavor = "multi_thread")]
async fn heavy_posts_at_once_wait_for_memory_and_count_once() {
    let server = limited(LIMIT).await;
    let start = (clock::now() - 900) / 60 * 60;
    // Only few fit into the memory for posts at a time. Each comes four times.
    let bodies: Vec<Vec<u8>> = (0..12)
        .map(|number| batch(vec![heavy(start, number % 3 + 1, 70)]).encode())
        .collect();
    let work = bodies.iter().map(|body| {
        let (server, body) = (Arc::clone(&server), body.clone());
        async move {
            // As the agent does: an answer that asks for patience is no loss.
            loop {
                let answer = post(&server, body.clone()).await;
                match answer.status() {
                    StatusCode::OK => return,
                    StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                        assert!(answer.headers().contains_key("retry-after"));
                    }
                    status => panic!("{status}: {}", answer.text().await.expect("text")),
                }
            }
        }
    });
    join_all(work).await;
    let url = format!(
        "/api/v1/containers/{ID}/table?kind=file&from={start}&to={}",
        start + 10
    );
    let url = format!("{url}&limit=1");
    // Beyond a small query: it begins again with the memory of a large one.
    let table = server.json(&url).await;
    assert_eq!(table["total"]["sums"]["bytes_out"], 3 * 10 * 70 * 70);
    is_given_back(&server.state.memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_never_fits_is_413() {
    let server = limited(LIMIT).await;
    let start = (clock::now() - 900) / 60 * 60;
    // All of these fit by themselves. The answer about all of them does not.
    for number in 0..8 {
        let body = batch(vec![heavy(start + 10 * number, 1, 70)]).encode();
        assert_eq!(post(&server, body).await.status(), StatusCode::OK);
    }
    let of = |to| format!("/api/v1/containers/{ID}/summary?from={start}&to={to}&step=1");
    let answer = server.get(&of(start + 80)).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    let text = answer.text().await.expect("text");
    assert!(text.contains("--memory-limit"), "{text}");
    // A body that decodes to more than there is.
    let large: Batch = batch(vec![heavy(start, 2, 200)]);
    assert_eq!(
        post(&server, large.encode()).await.status(),
        StatusCode::PAYLOAD_TOO_LARGE
    );
    is_given_back(&server.state.memory).await;
    assert_eq!(server.get("/ping").await.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn streams_share_their_bytes_and_count_against_their_token() {
    let limits = Limits {
        streams_per_token: 20,
        ..Limits::default()
    };
    let server = Server::with_limits(limits).await;
    let now = clock::now();
    server.post(vec![seconds(ID, 1, now - 3, 1, 7)]).await;
    let own = token(&Access::Container(id(ID)));
    let path = format!("/api/v1/containers/{ID}/live");
    let mut streams = Vec::new();
    for _ in 0..20 {
        let answer = server.get_with(&path, &own).await;
        assert_eq!(answer.status(), StatusCode::OK);
        streams.push((answer.bytes_stream(), String::new()));
    }
    let refused = server.get_with(&path, &own).await;
    assert_eq!(refused.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(
        server.get(&path).await.status(),
        StatusCode::OK,
        "another token"
    );

    for (stream, buffer) in &mut streams {
        let (_, first) = next(stream, buffer).await;
        assert_eq!(first["accounting"]["process_cpu_ns"], 7);
    }
    server.post(vec![seconds(ID, 1, now - 2, 1, 9)]).await;
    for (stream, buffer) in &mut streams {
        let (_, second) = next(stream, buffer).await;
        assert_eq!(second["accounting"]["process_cpu_ns"], 9);
    }
    drop(streams);
    // A closed stream gives its place back.
    while server.get_with(&path, &own).await.status() != StatusCode::OK {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A second in which each of 100 processes with 8 KiB of words uses a core, and opens 10 files that are not
/// those of other seconds.
fn with_long_arguments(start: u64) -> Segment {
    let key = seconds(ID, 1, start, 1, 0).key;
    let mut builder = Builder::new(key, 1);
    builder.cover(0, Coverage::SECOND);
    for number in 0..100 {
        let process = ProcessId {
            pid: 1_000 + number,
            start: 1_000,
            exec: 1,
        };
        let process = builder.process(Process {
            args: format!("{number}{}", "\0a".repeat(4_090)),
            ..Process::new(process, "writer")
        });
        builder.cpu(process, number % 8, 0, Cpu { ns: 7 });
        for file in 0..10 {
            let file = builder.file(File {
                path: format!("/data/{start}/{file}"),
                kind: FileKind::Regular,
            });
            let io = FileIo {
                opens: 1,
                ..FileIo::default()
            };
            builder.file_io(process, file, 0, io);
        }
    }
    builder.build()
}

#[tokio::test(flavor = "multi_thread")]
async fn long_arguments_stay_within_the_memory_of_a_query() {
    let (data, client) = (TempDir::new().expect("a temporary folder"), client());
    let key = create_key(&data, &[]);
    let limit = (512 << 20).to_string();
    let program = Program::start(&data, &client, &[("BUBBLE_MEMORY_LIMIT", &limit)]).await;
    let start = (clock::now() - 900) / 60 * 60;
    // One in each minute: the rows of one minute are folded.
    for minute in 0..10 {
        let body = batch(vec![with_long_arguments(start + 60 * minute)]).encode();
        let answer = program.post(&client, &key, body).await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::OK);
    }
    let own = token(&Access::Admin);
    let get = async |path: &str| {
        let (url, to) = (&program.url, start + 600);
        let url = format!("{url}/api/v1/containers/{ID}/{path}from={start}&to={to}");
        let answer = client.get(url).bearer_auth(&own).send().await;
        let answer = answer.expect("an answer");
        (answer.status(), answer.bytes().await.expect("a body"))
    };
    let (fits, too_large) = (StatusCode::OK, StatusCode::PAYLOAD_TOO_LARGE);
    for (path, expected) in [
        ("table?step=1&kind=file&limit=1&", fits),
        ("table?step=1&kind=cpu&limit=1&", fits),
        ("table?step=1&kind=process&limit=1&", fits),
        ("table?step=1&kind=file&limit=1&filter=args:a&", fits),
        ("table?step=1&kind=file&limit=1&group=args&", fits),
        ("table?step=1&kind=file&limit=1&group=args,path&", too_large),
        ("table?step=1&kind=file&limit=1&sort=args&", fits),
        ("table?step=1&kind=file&", too_large),
        ("table?step=1&kind=file&format=csv&", too_large),
        ("summary?step=1&top=100&", fits),
        ("lanes?", fits),
    ] {
        let (status, body) = get(path).await;
        let text = String::from_utf8_lossy(&body[body.len() - body.len().min(300)..]).into_owned();
        assert_eq!(status, expected, "{path}: {text}");
        let peak = program.peak_memory() >> 20;
        assert!(peak < 512, "{peak} MiB after {path}");
    }
    let (_, body) = get("table?step=1&kind=file&limit=1&").await;
    let table: Value = serde_json::from_slice(&body).expect("JSON");
    assert_eq!(table["total"]["rows"], 10_000);
    let words = table["rows"][0]["args"].as_array().expect("words");
    assert_eq!((words.len(), &words[4_090]), (4_091, &Value::from("a")));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_without_memory_lags_and_loses_no_second() {
    let server = limited(LIMIT).await;
    let now = clock::now();
    server.post(vec![seconds(ID, 1, now - 30, 1, 1)]).await;
    let path = format!("/api/v1/containers/{ID}/live");
    let answer = server.get(&path).await;
    let (mut stream, mut buffer) = (answer.bytes_stream(), String::new());
    let (_, first) = next(&mut stream, &mut buffer).await;
    assert_eq!(first["accounting"]["process_cpu_ns"], 1);
    let events = &server.state.memory.events;
    assert!(events.reserved() > 0, "what new streams start with");

    let free = events.size() - events.reserved();
    let others = events.try_reserve(free).expect("free");
    server.post(vec![seconds(ID, 1, now - 12, 1, 20)]).await;
    let none = timeout(Duration::from_secs(2), next(&mut stream, &mut buffer));
    assert!(none.await.is_err(), "there is no memory for an event");
    server.post(vec![seconds(ID, 1, now - 11, 1, 300)]).await;
    drop(others);
    let all = async {
        let mut sum = 0;
        // It may begin earlier than what lagged.
        while sum < 320 {
            let (_, later) = next(&mut stream, &mut buffer).await;
            let known = later["accounting"]["process_cpu_ns"].as_u64();
            sum = known.expect("a number");
        }
    };
    timeout(TIMEOUT, all).await.expect("no second is lost");
    // What new streams started with is outdated now.
    is_given_back(&server.state.memory).await;
    drop(stream);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_without_memory_starts_later() {
    let server = limited(LIMIT).await;
    let now = clock::now();
    server.post(vec![seconds(ID, 1, now - 3, 1, 7)]).await;
    let events = &server.state.memory.events;
    let others = events.try_reserve(events.size()).expect("free");
    let path = format!("/api/v1/containers/{ID}/live");
    let answer = server.get(&path).await;
    let (mut stream, mut buffer) = (answer.bytes_stream(), String::new());
    let none = timeout(Duration::from_secs(2), next(&mut stream, &mut buffer));
    assert!(none.await.is_err(), "there is no memory for an event");
    drop(others);
    let (_, first) = next(&mut stream, &mut buffer).await;
    assert_eq!(first["accounting"]["process_cpu_ns"], 7);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_key_takes_more_than_half_of_the_memory_for_bodies() {
    let server = limited(LIMIT).await;
    let half = server.state.memory.bodies.size() / 2;
    let answer = post(&server, vec![0; half - (64 << 10)]).await;
    assert_eq!(
        answer.status(),
        StatusCode::UNPROCESSABLE_ENTITY,
        "it is no batch"
    );
    let answer = post(&server, vec![0; half + 1]).await;
    assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    is_given_back(&server.state.memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_coarse_post_needs_memory_for_the_rows_beside_it() {
    let server = limited(LIMIT).await;
    let start = clock::now() / 3_600 * 3_600 - 2 * 3_600;
    for second in start..start + 10 {
        let body = batch(vec![with_long_arguments(second)]).encode();
        assert_eq!(post(&server, body).await.status(), StatusCode::OK);
    }
    let minute = seconds(ID, 1, start, 60, 7).coarsen();
    let minute = batch(vec![minute.expect("a minute")]).encode();
    let posts = &server.state.memory.posts;
    let others = posts.try_reserve(posts.size() - (9 << 20)).expect("free");
    let refused = post(&server, minute.clone()).await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    drop(others);
    assert_eq!(post(&server, minute).await.status(), StatusCode::OK);
    is_given_back(&server.state.memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_does_not_wait_long_for_the_memory_of_its_answer() {
    let server = limited(LIMIT).await;
    let now = clock::now();
    server.post(vec![seconds(ID, 1, now - 3, 1, 7)]).await;
    let answers = &server.state.memory.answers;
    let slow_reader = answers.try_reserve(answers.size()).expect("free");
    let began = Instant::now();
    let refused = server
        .get(&format!("/api/v1/containers/{ID}/summary"))
        .await;
    assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert!(began.elapsed() < Duration::from_secs(30), "it holds memory");
    drop(slow_reader);
    is_given_back(&server.state.memory).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_memory_for_its_moments_says_so() {
    let server = limited(64 << 20).await;
    let start = (clock::now() - 900) / 60 * 60;
    for number in 0..6 {
        let body = batch(vec![heavy(start + 10 * number, 1, 20)]).encode();
        assert_eq!(post(&server, body).await.status(), StatusCode::OK);
    }
    let saved = async |seconds: u64| {
        let ask = Ask {
            from: Some(start as f64),
            to: Some((start + seconds) as f64),
            ..Ask::default()
        };
        let saved = server.state.query.saved(&id(ID), &ask).await;
        let saved = saved.expect("a file");
        serde_json::from_slice::<Value>(&saved).expect("JSON")
    };
    let short = saved(2).await;
    assert_eq!(short["moments"].as_array().map(Vec::len), Some(2));
    assert_eq!(short["note"], Value::Null);
    let long = saved(60).await;
    assert_eq!(long["moments"].as_array().map(Vec::len), Some(0));
    let note = long["note"].as_str().expect("a note");
    assert!(note.contains("--memory-limit"), "{note}");
    assert_eq!(long["summary"]["accounting"], {
        let path = format!(
            "/api/v1/containers/{ID}/summary?from={start}&to={}",
            start + 60
        );
        server.json(&format!("{path}&step=1")).await["accounting"].clone()
    });
    is_given_back(&server.state.memory).await;
}
