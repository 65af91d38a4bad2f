//! A small HTTP server that records the bodies posted to it, and can answer wrongly.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;

use serde_json::Value;

/// The answer to a post.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Answer {
    Status(u16),
    /// No answer: the server reads the request and closes the connection.
    None,
}

/// One request.
pub(crate) struct Post {
    pub(crate) path: String,
    pub(crate) body: String,
    pub(crate) answer: Answer,
}

/// The values of rows by second, kind and the other fields of the row.
pub(crate) type Rows = BTreeMap<(u64, String, Vec<String>), u64>;

/// A running server.
pub(crate) struct Collector {
    pub(crate) port: u16,
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<Vec<Post>>,
}

/// A port without a listener.
pub(crate) fn free_port() -> u16 {
    bubble_suite::server::free_port("127.0.0.1").expect("a free port")
}

impl Collector {
    /// Answers all posts with 200.
    pub(crate) fn start() -> Self {
        Self::start_on(0, |_| Answer::Status(200))
    }

    /// Listens on `port`. `answer` decides the answer to the n-th post.
    pub(crate) fn start_on(port: u16, answer: fn(usize) -> Answer) -> Self {
        Self::start_with(port, answer, |stream| stream)
    }

    /// As [`Self::start_on`], with another layer between TCP and HTTP, such as TLS.
    pub(crate) fn start_with<S: Read + Write + 'static>(
        port: u16,
        answer: fn(usize) -> Answer,
        wrap: impl Fn(TcpStream) -> S + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", port)).expect("a free port");
        let port = listener.local_addr().expect("a bound listener").port();
        let is_stopped = Arc::new(AtomicBool::new(false));
        let stopped = is_stopped.clone();
        let serve = move || {
            let mut posts = Vec::new();
            for stream in listener.incoming() {
                if stopped.load(Ordering::SeqCst) {
                    break;
                }
                // A client that rejects our certificate posts nothing.
                if let Some((mut stream, path, body)) = read(wrap(stream.expect("a client"))) {
                    let answer = answer(posts.len());
                    if let Answer::Status(status) = answer {
                        let head = format!("HTTP/1.1 {status} It\r\ncontent-length: 0\r\n\r\n");
                        stream.write_all(head.as_bytes()).expect("a waiting client");
                        stream.flush().expect("a waiting client");
                    }
                    posts.push(Post { path, body, answer });
                }
            }
            posts
        };
        Self {
            port,
            is_stopped,
            thread: std::thread::spawn(serve),
        }
    }

    /// The URL for a chisel.
    pub(crate) fn url(&self) -> String {
        url(self.port)
    }

    /// Stops it and returns the posts.
    pub(crate) fn stop(self) -> Vec<Post> {
        self.is_stopped.store(true, Ordering::SeqCst);
        // The thread checks the flag when a client connects.
        TcpStream::connect(("127.0.0.1", self.port)).expect("a running server");
        self.thread.join().expect("no panic")
    }
}

/// The URL for a chisel of a collector on this port.
pub(crate) fn url(port: u16) -> String {
    format!("http://127.0.0.1:{port}/event/api/KEY")
}

/// Reads a request. Returns the stream, the path and the body.
fn read<S: Read + Write>(stream: S) -> Option<(S, String, String)> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let path = line.strip_prefix("POST ")?.split(' ').next()?.to_owned();
    let mut length = 0;
    while line != "\r\n" {
        line.clear();
        reader.read_line(&mut line).ok()?;
        let lower = line.to_ascii_lowercase();
        if let Some(text) = lower.strip_prefix("content-length:") {
            length = text.trim().parse().ok()?;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    let body = String::from_utf8(body).expect("bodies are UTF-8");
    Some((reader.into_inner(), path, body))
}

/// The rows of the bodies.
///
/// # Panics
/// If a row occurs twice in a second.
pub(crate) fn rows<'a>(bodies: impl IntoIterator<Item = &'a str>) -> Rows {
    let mut rows = Rows::new();
    for body in bodies {
        let body: Value = serde_json::from_str(body).expect("JSON");
        let ts: u64 = body["ts"]
            .as_str()
            .expect("text")
            .parse()
            .expect("a number");
        assert_eq!(ts % 1_000_000_000, 0);
        let kind = body["evt_type"].as_str().expect("text");
        let columns = body["jinfo"].as_array().expect("an array").len();
        for row in body["data"].as_array().expect("an array") {
            let (value, fields) = row
                .as_array()
                .expect("an array")
                .split_last()
                .expect("a value");
            let fields: Vec<String> = fields
                .iter()
                .map(|field| field.as_str().expect("text").to_owned())
                .collect();
            // The direction of a descriptor's bytes has no column.
            assert_eq!(fields.len(), columns + usize::from(kind == "fd"));
            let key = (ts / 1_000_000_000, kind.to_owned(), fields);
            let value = value.as_u64().expect("a number");
            assert_eq!(rows.insert(key.clone(), value), None, "twice: {key:?}");
        }
    }
    rows
}

/// Sums of the rows of one kind over all seconds.
pub(crate) fn sums(rows: &Rows, wanted: &str) -> BTreeMap<Vec<String>, u64> {
    let mut sums = BTreeMap::new();
    for ((_, kind, fields), value) in rows {
        if kind == wanted {
            *sums.entry(fields.clone()).or_default() += value;
        }
    }
    sums
}
