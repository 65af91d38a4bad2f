//! The budget of memory: who gets none waits, or is told so, and nothing is lost.

use std::sync::Arc;

use bubble_common::batch::Batch;
use bubble_common::segment::builder::Builder;
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::process::{Process, ProcessId};
use bubble_common::segment::{Coverage, Key, Resolution, Segment, SourceId};
use bubble_server::auth::token::Access;
use bubble_server::clock;
use bubble_server::http::batch::MEDIA_TYPE;
use bubble_server::http::state::Limits;
use bubble_server::memory::{Memory, Pool};
use futures_util::future::join_all;
use reqwest::{Response, StatusCode};

use crate::common::{Server, batch, id, seconds, token};
use crate::live::next;

const ID: &str = "aaaaaaaaaaaa";
/// Memory of the servers here.
const LIMIT: usize = 128 << 20;

async fn limited(memory: usize) -> Arc<Server> {
    let limits = Limits {
        memory,
        ..Limits::default()
    };
    Arc::new(Server::with_limits(limits).await)
}

/// Ten seconds in which `processes` each write to as many files.
fn heavy(start: u64, source: u8, processes: u32) -> Segment {
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
    ];
    while pools.iter().any(|pool: &&Pool| pool.reserved() > 0) {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
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
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}
