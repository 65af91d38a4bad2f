//! Only a receipt removes a batch from the spool. Anything else that answers at the server's URL does
//! not: the batch waits, the failure is counted, and it is posted again.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bubble_agent::attention::Attention;
use bubble_agent::metrics::Metrics;
use bubble_agent::send::Sender;
use bubble_agent::send::delivery::Delivery;
use bubble_agent::spool::Spool;
use bubble_agent::spool::queue::Queue;
use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::builder::Builder;
use bubble_common::segment::loss::Reason;
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, SourceId};
use tempfile::TempDir;
use tokio::net::TcpListener;

const START: u64 = 1_200_000;

/// A batch of one second of so many containers.
fn batch(containers: usize) -> Batch {
    let source = SourceId([7; 16]);
    let segments = (0..containers).map(|n| {
        let key = Key {
            container: ContainerId::new(&format!("c{n}")).expect("an id"),
            resolution: Resolution::Second,
            start: START,
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

/// The receipt of a server that stores everything.
fn receipt(batch: &Batch) -> Response {
    let stored = batch.segments.len();
    format!(r#"{{"stored":{stored},"known":0,"refused":[]}}"#).into_response()
}

/// The receipt of a server that refuses the container `c0`.
fn refusal(batch: &Batch, more: &str) -> Response {
    let stored = batch.segments.len() - 1;
    let refused = format!(r#"{{"container":"c0","start":{START},"resolution":"second",{more}}}"#);
    format!(r#"{{"stored":{stored},"known":0,"refused":[{refused}]}}"#).into_response()
}

/// A server, the agent's spool, and what the server was asked.
struct Fixture {
    folder: TempDir,
    queue: Arc<Queue>,
    sender: Sender,
    metrics: Metrics,
    attention: Attention,
    /// Number of segments of each post.
    posts: Arc<Mutex<Vec<usize>>>,
    followed: Arc<Mutex<u32>>,
}

impl Fixture {
    /// `answer` gets the number of the post and the batch.
    async fn new(
        answer: impl Fn(usize, &Batch) -> Response + Clone + Send + Sync + 'static,
    ) -> Self {
        let posts = Arc::new(Mutex::new(Vec::new()));
        let followed = Arc::new(Mutex::new(0));
        let (seen, gets) = (Arc::clone(&posts), Arc::clone(&followed));
        let answer = async move |body: Bytes| {
            let batch = Batch::decode(&body).expect("a batch");
            let number = {
                let mut posts = seen.lock().expect("no panic");
                posts.push(batch.segments.len());
                posts.len()
            };
            answer(number, &batch)
        };
        let login = async move || {
            *gets.lock().expect("no panic") += 1;
            "<html>please log in</html>"
        };
        let app = Router::new()
            .route("/api/v1/batch", post(answer))
            .route("/login", get(login.clone()).post(login));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let folder = tempfile::tempdir().expect("a folder");
        let queue = Queue::new(Spool::open(folder.path(), 1 << 20).expect("a spool"));
        Self {
            folder,
            queue,
            sender: Sender::new(&url, "key", None).expect("a sender"),
            metrics: Metrics::default(),
            attention: Attention::new(Duration::from_secs(10)),
            posts,
            followed,
        }
    }

    fn append(&self, batch: &Batch) {
        let count = batch.segments.len() as u32;
        self.queue.with(|spool| spool.append(batch.encode(), count));
    }

    fn waiting(&self) -> usize {
        self.queue.with(|spool| spool.batches())
    }

    fn posts(&self) -> Vec<usize> {
        self.posts.lock().expect("no panic").clone()
    }

    fn delivery(&self) -> Delivery {
        Delivery::new(
            self.sender.clone(),
            Arc::clone(&self.queue),
            self.metrics.clone(),
            self.attention.clone(),
        )
    }

    /// Sends until `done`.
    async fn send_until(&self, done: impl Fn(&Self) -> bool) {
        let wait = async {
            while !done(self) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        tokio::select! {
            () = self.delivery().run() => unreachable!("it goes on for ever"),
            () = wait => {}
        }
    }

    fn rejected(&self) -> Vec<Batch> {
        let Ok(files) = std::fs::read_dir(self.folder.path().join("rejected")) else {
            return Vec::new();
        };
        files
            .map(|file| {
                let bytes = std::fs::read(file.expect("an entry").path()).expect("a file");
                Batch::decode(&bytes).expect("a batch")
            })
            .collect()
    }
}

/// Answers that are no receipt, by number.
fn no_receipt(number: usize) -> Option<Response> {
    let too_many = (StatusCode::TOO_MANY_REQUESTS, [("retry-after", "0")], "");
    Some(match number {
        1 => (StatusCode::FOUND, [("location", "/login")], "").into_response(),
        2 => (StatusCode::TEMPORARY_REDIRECT, [("location", "/login")], "").into_response(),
        3 => "<html>It works!</html>".into_response(),
        4 => StatusCode::NO_CONTENT.into_response(),
        5 => "{}".into_response(),
        6 => r#"{"stored":0,"known":0,"refused":[]}"#.into_response(),
        7 => too_many.into_response(),
        8 => (StatusCode::UNPROCESSABLE_ENTITY, "<html>a proxy</html>").into_response(),
        _ => return None,
    })
}

#[tokio::test]
async fn only_a_receipt_removes_a_batch() {
    let fixture =
        Fixture::new(|number, batch| no_receipt(number).unwrap_or_else(|| receipt(batch))).await;
    fixture.append(&batch(2));
    // Not the number of posts: the server has counted a post before the agent has read its answer.
    fixture
        .send_until(|fixture| fixture.metrics.failed_posts() == 8)
        .await;
    assert_eq!(fixture.waiting(), 1);
    fixture.send_until(|fixture| fixture.waiting() == 0).await;
    assert_eq!(fixture.posts(), [2; 9]);
    assert_eq!(*fixture.followed.lock().expect("no panic"), 0);
    assert!(fixture.rejected().is_empty());
    assert_eq!(fixture.metrics.failed_posts(), 8);
}

#[tokio::test]
async fn a_segment_refused_for_good_is_set_aside_and_lost() {
    let fixture = Fixture::new(|_, batch| refusal(batch, r#""reason":"r","later":false"#)).await;
    fixture.append(&batch(3));
    fixture.send_until(|fixture| fixture.waiting() == 0).await;
    let [rejected] = &fixture.rejected()[..] else {
        panic!("one batch is rejected");
    };
    assert_eq!(rejected.segments, batch(1).segments);
    let lost = fixture
        .queue
        .with(|spool| spool.undelivered().take(SourceId([7; 16]), 0, |_| true));
    let container = ContainerId::new("c0").expect("an id");
    assert_eq!(lost, [((Some(container), Reason::REFUSED), 1)]);
    assert_eq!(fixture.metrics.refused_seconds(), 1);
}

#[tokio::test]
async fn a_batch_refused_for_good_is_set_aside_and_lost() {
    let malformed = r#"{"code":"malformed","message":"not a batch"}"#;
    let fixture =
        Fixture::new(move |_, _| (StatusCode::UNPROCESSABLE_ENTITY, malformed).into_response())
            .await;
    fixture.append(&batch(3));
    fixture.send_until(|fixture| fixture.waiting() == 0).await;
    assert_eq!(fixture.rejected(), [batch(3)]);
    assert_eq!(fixture.metrics.refused_seconds(), 3);
}

/// A clock that is wrong holds up only what it concerns, and nothing is given up.
#[tokio::test]
async fn a_refusal_that_may_pass_holds_up_no_other_batch() {
    let future = r#""reason":"it ends 7200 s in the future: set the clock of its host""#;
    for more in [future, r#""reason":"another","later":true"#] {
        let fixture = Fixture::new(move |_, batch| match batch.segments.len() {
            2 => refusal(batch, more),
            _ => receipt(batch),
        })
        .await;
        fixture.append(&batch(2));
        fixture.append(&batch(3));
        fixture.send_until(|fixture| fixture.waiting() == 1).await;
        assert_eq!(fixture.posts(), [2, 3]);
        assert!(fixture.rejected().is_empty());
        assert_eq!(fixture.queue.with(|spool| spool.segments()), 2);
    }
}

#[tokio::test]
async fn a_batch_that_is_too_large_is_posted_in_parts() {
    let fixture = Fixture::new(|_, batch| match batch.segments.len() {
        0..=2 => receipt(batch),
        _ => StatusCode::PAYLOAD_TOO_LARGE.into_response(),
    })
    .await;
    fixture.append(&batch(5));
    fixture.send_until(|fixture| fixture.waiting() == 0).await;
    let posts = fixture.posts();
    let taken: usize = posts.iter().filter(|count| **count <= 2).sum();
    assert_eq!(taken, 5, "{posts:?}");
    assert!(fixture.rejected().is_empty());

    // One segment cannot be made smaller here: it waits.
    let fixture = Fixture::new(|_, _| StatusCode::PAYLOAD_TOO_LARGE.into_response()).await;
    fixture.append(&batch(1));
    fixture
        .send_until(|fixture| fixture.metrics.failed_posts() == 1)
        .await;
    assert_eq!((fixture.waiting(), fixture.rejected().len()), (1, 0));
}

/// A receipt for something else is no receipt.
#[tokio::test]
async fn a_receipt_must_refuse_what_was_sent() {
    let other = r#"{"stored":0,"known":0,"refused":[{"container":"x","start":1,"resolution":"second","reason":"r","later":false}]}"#;
    let fixture = Fixture::new(move |number, batch| match number {
        1 => other.into_response(),
        _ => receipt(batch),
    })
    .await;
    fixture.append(&batch(1));
    fixture.send_until(|fixture| fixture.waiting() == 0).await;
    assert_eq!(fixture.posts().len(), 2);
    assert!(fixture.rejected().is_empty());
}
