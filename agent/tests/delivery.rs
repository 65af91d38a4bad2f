//! Delivery by attention: what somebody looks at is posted at once, the rest is merged, and each second
//! is posted once.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::RawQuery;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bubble_agent::attention::{Attention, Names};
use bubble_agent::metrics::Metrics;
use bubble_agent::send::Sender;
use bubble_agent::send::delivery::Delivery;
use bubble_agent::spool::Spool;
use bubble_agent::spool::queue::Queue;
use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::builder::Builder;
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, SourceId};
use tokio::net::TcpListener;

/// Start of a minute.
const START: u64 = 1_200_000;
/// An interval of delivery that no test waits for.
const LONG: Duration = Duration::from_secs(3_600);

/// A batch of one second of the containers `c0`, `c1`, ….
fn second(source: u8, second: u64, containers: usize) -> Batch {
    let source = SourceId([source; 16]);
    let segments = (0..containers).map(|n| {
        let key = Key {
            container: ContainerId::new(&format!("c{n}")).expect("an id"),
            resolution: Resolution::Second,
            start: START + second,
            source,
        };
        let mut builder = Builder::new(key, 1);
        builder.cover(0, Coverage::SECOND);
        builder.build()
    });
    Batch {
        source,
        agent: AgentReport::default(),
        segments: segments.collect(),
    }
}

fn names(names: &[&str]) -> Names {
    names.iter().map(|name| (*name).to_owned()).collect()
}

/// A post as the server got it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Post {
    /// Container, first second, number of seconds.
    segments: Vec<(String, u64, u32)>,
    /// Whether the server may have some of it.
    repeated: bool,
}

fn parsed(headers: &HeaderMap, batch: &Batch) -> Post {
    let segments = batch.segments.iter();
    let segments = segments.map(|segment| {
        let key = &segment.key;
        let name = key.container.as_str().to_owned();
        (name, key.start - START, segment.slots())
    });
    Post {
        segments: segments.collect(),
        repeated: headers.contains_key("x-bubble-repeated"),
    }
}

fn receipt(batch: &Batch) -> Response {
    let stored = batch.segments.len();
    format!(r#"{{"stored":{stored},"known":0,"refused":[]}}"#).into_response()
}

/// A server, and what it was posted.
struct Server {
    url: String,
    posts: Arc<Mutex<Vec<Post>>>,
    /// Queries of the requests for what is looked at.
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    /// `answer` gets the number of the post and the batch; `watched` the number of the request for what
    /// is looked at.
    async fn start(
        answer: impl Fn(usize, &Batch) -> Response + Clone + Send + Sync + 'static,
        watched: impl Fn(usize) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let posts = Arc::new(Mutex::new(Vec::new()));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (seen, queries) = (Arc::clone(&posts), Arc::clone(&asked));
        let take = async move |headers: HeaderMap, body: Bytes| {
            let batch = Batch::decode(&body).expect("a batch");
            let number = {
                let mut posts = seen.lock().expect("no panic");
                posts.push(parsed(&headers, &batch));
                posts.len()
            };
            answer(number, &batch)
        };
        let tell = async move |RawQuery(query): RawQuery| {
            let number = {
                let mut queries = queries.lock().expect("no panic");
                queries.push(query.unwrap_or_default());
                queries.len()
            };
            watched(number)
        };
        let app = Router::new()
            .route("/api/v1/batch", post(take))
            .route("/api/v1/watch", get(tell));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, posts, asked }
    }

    /// One that stores everything.
    async fn storing() -> Self {
        let never = |_| StatusCode::NOT_FOUND.into_response();
        Self::start(|_, batch| receipt(batch), never).await
    }

    fn posts(&self) -> Vec<Post> {
        self.posts.lock().expect("no panic").clone()
    }

    fn sender(&self) -> Sender {
        Sender::new(&self.url, "key", None).expect("a sender")
    }
}

fn spool(folder: &Path) -> Arc<Queue> {
    Queue::new(Spool::open(folder, 1 << 20).expect("a spool"))
}

fn append(queue: &Queue, batch: &Batch) {
    let count = batch.segments.len() as u32;
    queue.with(|spool| spool.append(batch.encode(), count));
    queue.notify();
}

/// Delivers until `done`.
async fn deliver_until(
    server: &Server,
    queue: &Arc<Queue>,
    attention: &Attention,
    done: impl Fn() -> bool,
) {
    let (queue, attention) = (Arc::clone(queue), attention.clone());
    let delivery = Delivery::new(server.sender(), queue, Metrics::default(), attention);
    tokio::select! {
        () = delivery.run() => unreachable!("it goes on for ever"),
        () = until(done) => {}
    }
}

async fn until(done: impl Fn() -> bool) {
    let wait = async {
        while !done() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    let limit = Duration::from_secs(60);
    tokio::time::timeout(limit, wait).await.expect("in time");
}

fn segment(name: &str, start: u64, seconds: u32) -> (String, u64, u32) {
    (name.to_owned(), start, seconds)
}

#[tokio::test]
async fn waiting_seconds_become_one_segment_a_container() {
    let server = Server::storing().await;
    let folder = tempfile::tempdir().expect("a folder");
    let queue = spool(folder.path());
    let attention = Attention::new(Duration::from_secs(1));
    attention.set_watched(Some(Names::new()));
    for n in 0..70 {
        append(&queue, &second(1, n, 2));
    }
    let is_empty = || queue.with(|spool| spool.batches()) == 0;
    deliver_until(&server, &queue, &attention, is_empty).await;
    let of = |start, seconds| {
        ["c0", "c1"]
            .map(|name| segment(name, start, seconds))
            .to_vec()
    };
    let posts = [of(0, 60), of(60, 10)].map(|segments| Post {
        segments,
        repeated: false,
    });
    assert_eq!(server.posts(), posts);
}

#[tokio::test]
async fn a_server_that_does_not_say_what_is_looked_at_gets_each_second() {
    let server = Server::storing().await;
    let folder = tempfile::tempdir().expect("a folder");
    let queue = spool(folder.path());
    for n in 0..3 {
        append(&queue, &second(1, n, 1));
    }
    let is_empty = || queue.with(|spool| spool.batches()) == 0;
    deliver_until(&server, &queue, &Attention::new(LONG), is_empty).await;
    let mut posts = server.posts();
    posts.sort_by_key(|post| post.segments[0].1);
    let single = |n| Post {
        segments: vec![segment("c0", n, 1)],
        repeated: false,
    };
    assert_eq!(posts, [single(0), single(1), single(2)]);
}

#[tokio::test]
async fn what_is_looked_at_does_not_wait_and_is_posted_once() {
    let server = Server::storing().await;
    let folder = tempfile::tempdir().expect("a folder");
    let queue = spool(folder.path());
    let attention = Attention::new(LONG);
    attention.set_watched(Some(names(&["c0", "elsewhere"])));
    // The first second of a run shows that it runs.
    append(&queue, &second(1, 0, 2));
    let posted = |count| move |server: &Server| server.posts().len() >= count;
    let driver = async {
        until(|| queue.with(|spool| spool.batches()) == 0).await;
        for n in 1..4 {
            append(&queue, &second(1, n, 2));
        }
        until(|| {
            server
                .posts()
                .iter()
                .flat_map(|post| &post.segments)
                .filter(|s| s.0 == "c0")
                .map(|s| s.2)
                .sum::<u32>()
                == 4
        })
        .await;
        let before = server.posts().len();
        append(&queue, &second(1, 4, 2));
        until(|| posted(before + 1)(&server)).await;
        assert_eq!(queue.with(|spool| spool.batches()), 4, "c1 waits");
        // Something happens in the other one, and then nobody looks any more.
        attention.urge(names(&["c1"]));
        until(|| queue.with(|spool| spool.batches()) == 0).await;
        attention.set_watched(Some(Names::new()));
        append(&queue, &second(1, 5, 2));
        attention.flush();
        until(|| queue.with(|spool| spool.batches()) == 0).await;
    };
    let delivery = Delivery::new(
        server.sender(),
        Arc::clone(&queue),
        Metrics::default(),
        attention.clone(),
    );
    tokio::select! {
        () = delivery.run() => unreachable!("it goes on for ever"),
        () = driver => {}
    }
    let mut counts: BTreeMap<(String, u64), u32> = BTreeMap::new();
    for post in server.posts() {
        assert!(!post.repeated, "{post:?}");
        for (name, start, seconds) in post.segments {
            for second in start..start + u64::from(seconds) {
                *counts.entry((name.clone(), second)).or_default() += 1;
            }
        }
    }
    assert_eq!(counts.len(), 2 * 6);
    assert!(counts.values().all(|count| *count == 1), "{counts:?}");
    assert!(server.posts().contains(&Post {
        segments: vec![segment("c1", 1, 4)],
        repeated: false,
    }));
}

#[tokio::test]
async fn what_was_delivered_early_is_not_posted_again_once_the_server_says_nothing_more() {
    let server = Server::storing().await;
    let folder = tempfile::tempdir().expect("a folder");
    let queue = spool(folder.path());
    let attention = Attention::new(LONG);
    attention.set_watched(Some(names(&["c0"])));
    append(&queue, &second(1, 0, 2));
    let is_empty = || queue.with(|spool| spool.batches()) == 0;
    deliver_until(&server, &queue, &attention, is_empty).await;
    append(&queue, &second(1, 1, 2));
    let early = segment("c0", 1, 1);
    let is_posted = |segment: &(String, u64, u32)| {
        server
            .posts()
            .iter()
            .any(|post| post.segments.contains(segment))
    };
    deliver_until(&server, &queue, &attention, || is_posted(&early)).await;
    // The receipt may be on its way yet: then it is repeated as such, which the server knows.
    attention.set_watched(None);
    deliver_until(&server, &queue, &attention, is_empty).await;
    let posts = server.posts();
    let settled = posts.iter().filter(|post| !post.repeated);
    let times = settled.flat_map(|post| &post.segments);
    assert_eq!(
        times.filter(|segment| **segment == early).count(),
        1,
        "{posts:?}"
    );
    assert!(is_posted(&segment("c1", 1, 1)), "{posts:?}");
}

#[tokio::test]
async fn a_post_without_a_receipt_is_repeated_as_such() {
    let fail_first = |number, batch: &Batch| match number {
        1 => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
        _ => receipt(batch),
    };
    let server = Server::start(fail_first, |_| StatusCode::NOT_FOUND.into_response()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let queue = spool(folder.path());
    let attention = Attention::new(Duration::from_secs(1));
    attention.set_watched(Some(Names::new()));
    append(&queue, &second(1, 0, 1));
    deliver_until(&server, &queue, &attention, || server.posts().len() == 1).await;
    // Others have joined it meanwhile.
    append(&queue, &second(1, 1, 1));
    let is_empty = || queue.with(|spool| spool.batches()) == 0;
    deliver_until(&server, &queue, &attention, is_empty).await;
    append(&queue, &second(1, 2, 1));
    deliver_until(&server, &queue, &attention, is_empty).await;
    // Killed: the next run does not know what was posted.
    append(&queue, &second(1, 3, 1));
    drop(queue);
    let queue = spool(folder.path());
    append(&queue, &second(2, 5, 1));
    let is_empty = || queue.with(|spool| spool.batches()) == 0;
    deliver_until(&server, &queue, &attention, is_empty).await;
    let posts = server.posts();
    let repeated: Vec<bool> = posts.iter().map(|post| post.repeated).collect();
    assert_eq!(repeated, [false, true, false, true, false]);
    assert_eq!(posts[1].segments, [segment("c0", 0, 2)]);
    // Two sources are not merged.
    assert_eq!(posts[4].segments, [segment("c0", 5, 1)]);
}

#[tokio::test]
async fn posts_that_are_too_large_are_merged_from_fewer_seconds() {
    let at_most_3 = |_, batch: &Batch| match batch.segments[0].slots() {
        0..=3 => receipt(batch),
        _ => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    };
    let server = Server::start(at_most_3, |_| StatusCode::NOT_FOUND.into_response()).await;
    let folder = tempfile::tempdir().expect("a folder");
    let queue = spool(folder.path());
    let attention = Attention::new(Duration::from_secs(1));
    attention.set_watched(Some(Names::new()));
    for n in 0..4 {
        append(&queue, &second(1, n, 1));
    }
    let is_empty = || queue.with(|spool| spool.batches()) == 0;
    deliver_until(&server, &queue, &attention, is_empty).await;
    let posts = server.posts();
    let taken = posts.iter().flat_map(|post| &post.segments);
    let taken: u32 = taken.map(|segment| segment.2).filter(|n| *n <= 3).sum();
    assert_eq!(taken, 4, "{posts:?}");
}

#[tokio::test]
async fn the_agent_follows_what_the_server_says() {
    let tell = |number| match number {
        1 => r#"{"version":"v1","containers":["c0"],"more":7}"#.into_response(),
        2 => StatusCode::SERVICE_UNAVAILABLE.into_response(),
        3 => r#"{"version":"v2","containers":["c1"]}"#.into_response(),
        // An older server answers with its page.
        _ => "<html>".into_response(),
    };
    let server = Server::start(|_, batch| receipt(batch), tell).await;
    let attention = Attention::new(LONG);
    let (sender, follows) = (server.sender(), attention.clone());
    let asked = Arc::clone(&server.asked);
    let follow = tokio::spawn(async move { sender.watch("node 7", &follows).await });
    until(|| asked.lock().expect("no panic").len() >= 4 && !attention.is_known()).await;
    follow.abort();
    let asked = asked.lock().expect("no panic").clone();
    assert_eq!(
        asked[..4],
        [
            "host=node+7",
            "host=node+7&version=v1",
            "host=node+7",
            "host=node+7&version=v2"
        ]
    );
}
