//! A server that is busy: what it does not take waits in the spool, on disk, and is posted again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use bubble_agent::send::{Queue, Sender};
use bubble_agent::spool::Spool;
use tokio::net::TcpListener;
use tokio::sync::mpsc::unbounded_channel;

/// How often the server says 429.
const BUSY: u32 = 3;

#[tokio::test]
async fn what_a_busy_server_does_not_take_waits_in_the_spool() {
    let (tell, mut posts) = unbounded_channel();
    let said = Arc::new(AtomicU32::new(0));
    let answer = move |body: Bytes| async move {
        tell.send(body.to_vec()).expect("the test listens");
        let mut headers = HeaderMap::new();
        if said.fetch_add(1, Ordering::Relaxed) < BUSY {
            headers.insert("retry-after", "1".parse().expect("a header"));
            return (StatusCode::TOO_MANY_REQUESTS, headers, "");
        }
        (StatusCode::OK, headers, "{}")
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let app = Router::new().route("/api/v1/batch", post(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });

    let folder = tempfile::tempdir().expect("a folder");
    let queue = Queue::new(Spool::open(folder.path(), 1 << 20).expect("a spool"));
    let waiting = || queue.with(|spool| spool.batches());
    queue.with(|spool| spool.append(b"a batch".to_vec(), 1));
    let sender = Sender::new(&url, "key", None).expect("a sender");
    let sent = async {
        for _ in 0..BUSY {
            assert_eq!(posts.recv().await.as_deref(), Some(&b"a batch"[..]));
            assert_eq!(waiting(), 1);
        }
        assert_eq!(posts.recv().await.as_deref(), Some(&b"a batch"[..]));
        while waiting() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::select! {
        () = sender.run(&queue) => unreachable!("it goes on for ever"),
        () = sent => {}
    }
    // It is posted once more by nobody.
    assert!(posts.try_recv().is_err());
}
