//! Strangers and slow clients: they take no place that others need.

use std::net::SocketAddr;
use std::time::Duration;

use bubble_server::clock;
use bubble_server::http::batch::MEDIA_TYPE;
use bubble_server::http::state::Limits;
use reqwest::{Client, StatusCode};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::common::{Server, batch, client, seconds};
use crate::live::next;
use crate::program::{Program, create_key};

/// Half-open connections.
const STRANGERS: usize = 1_000;
/// Far more than anything here takes, even on a busy machine.
const LIMIT: Duration = Duration::from_secs(30);
const ID: &str = "aaaaaaaaaaaa";

/// Lets this process hold all the connections of these tests.
fn raise_descriptor_limit() {
    let found = getrlimit(Resource::Nofile);
    let current = found.maximum;
    let raised = Rlimit { current, ..found };
    setrlimit(Resource::Nofile, raised).expect("the limit can be raised to its maximum");
}

fn address(url: &str) -> SocketAddr {
    let address = url.strip_prefix("http://").expect("a URL");
    address.parse().expect("an address")
}

/// Opens a connection and sends `text`.
async fn open(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.expect("a connection");
    stream.write_all(text.as_bytes()).await.expect("sent");
    stream
}

/// Pings over a new connection, as a probe does.
async fn ping(url: &str) -> StatusCode {
    let fresh = Client::builder().pool_max_idle_per_host(0).build();
    let answer = fresh.expect("a client").get(format!("{url}/ping")).send();
    let answer = timeout(LIMIT, answer).await.expect("an answer in time");
    answer.expect("an answer").status()
}

async fn is_closed(stream: &mut TcpStream) -> bool {
    matches!(
        timeout(LIMIT, stream.read(&mut [0])).await,
        Ok(Ok(0) | Err(_))
    )
}

/// Opens connections that send half a header, and pings all the while.
async fn besiege(url: &str) -> Vec<TcpStream> {
    let mut strangers = Vec::new();
    while strangers.len() < STRANGERS {
        strangers.push(open(address(url), "GET / HTTP/1.1\r\nHost: x\r\nX: ").await);
        if strangers.len() % 100 == 0 {
            assert_eq!(
                ping(url).await,
                StatusCode::OK,
                "{} strangers",
                strangers.len()
            );
        }
    }
    strangers
}

#[tokio::test(flavor = "multi_thread")]
async fn a_thousand_strangers_keep_nobody_out() {
    raise_descriptor_limit();
    let limits = Limits {
        connections: 100,
        connections_per_network: 100,
        ..Limits::default()
    };
    let server = Server::with_limits(limits).await;
    let now = clock::now();
    server.post(vec![seconds(ID, 1, now - 3, 1, 7)]).await;
    let live = server.get(&format!("/api/v1/containers/{ID}/live")).await;
    let (mut stream, mut buffer) = (live.bytes_stream(), String::new());
    next(&mut stream, &mut buffer).await;

    let mut strangers = besiege(&server.url).await;
    assert!(
        is_closed(&mut strangers[0]).await,
        "the first one gives way"
    );
    let metrics = server.get("/metrics").await.text().await.expect("text");
    let count = |name: &str| -> usize {
        let line = metrics.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.rsplit(' ').next()?.parse().ok());
        value.expect("a number")
    };
    assert!(count("bubble_server_connections_evicted_total") >= STRANGERS - 100);
    assert_eq!(count("bubble_server_connections_refused_total"), 0);
    // A request in progress goes on.
    server.post(vec![seconds(ID, 1, now - 2, 1, 7)]).await;
    let (_, second) = next(&mut stream, &mut buffer).await;
    assert_eq!(second["range"]["to"].as_f64(), Some((now - 1) as f64));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_with_few_descriptors_answers_beside_a_thousand_strangers() {
    raise_descriptor_limit();
    let (data, client) = (TempDir::new().expect("a temporary folder"), client());
    let key = create_key(&data, &[]);
    let program = Program::start_limited(&data, &client, "ulimit -n 256").await;
    let _strangers = besiege(&program.url).await;
    let body = batch(vec![seconds(ID, 1, clock::now() - 3, 1, 7)]).encode();
    let answer = program.post(&client, &key, body).await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn slow_posts_of_one_key_take_no_place_of_others() {
    let limits = Limits {
        posts: 4,
        ..Limits::default()
    };
    let server = Server::with_limits(limits).await;
    let head = format!(
        "POST /api/v1/batch HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\n\
         Content-Type: {MEDIA_TYPE}\r\nContent-Length: 1000000\r\n\r\nx",
        server.key
    );
    let mut slow = Vec::new();
    for _ in 0..20 {
        slow.push(open(address(&server.url), &head).await);
    }
    let now = clock::now();
    for second in 0..20 {
        server
            .post(vec![seconds(ID, 1, now - 30 + second, 1, 7)])
            .await;
    }
    // They are told so, and lose their connections.
    let mut answer = String::new();
    let read = slow[0].read_to_string(&mut answer);
    timeout(LIMIT, read).await.expect("in time").expect("text");
    assert!(answer.starts_with("HTTP/1.1 429 "), "{answer}");
    assert!(answer.contains("slower than"), "{answer}");
}
