//! A server in this process, and segments to post to it.

use std::sync::{Arc, Once};

use bubble_common::batch::{AgentReport, Batch};
use bubble_common::segment::builder::Builder;
use bubble_common::segment::file::{File, FileIo, FileKind};
use bubble_common::segment::process::{Cpu, Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;
use bubble_common::segment::{ContainerId, Coverage, Key, Resolution, Segment, SourceId};
use bubble_server::auth::key;
use bubble_server::auth::secret::Secret;
use bubble_server::auth::token::{self, Access};
use bubble_server::http::batch::MEDIA_TYPE;
use bubble_server::http::state::{AppState, Limits};
use bubble_server::rollup::Rollup;
use bubble_server::span::retention::Retention;
use bubble_server::store::Store;
use bubble_server::store::sqlite::{Durability, Sqlite};
use bubble_server::{clock, http};
use reqwest::{Client, Response, StatusCode};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::watch;

pub(crate) const SECRET: &str = "a secret for tests that is long enough";

/// A server on a free port, with its own empty store.
pub(crate) struct Server {
    pub(crate) url: String,
    pub(crate) key: String,
    pub(crate) admin: String,
    pub(crate) state: AppState,
    pub(crate) client: Client,
    _stop: watch::Sender<bool>,
    _data: TempDir,
}

pub(crate) fn secret() -> Secret {
    Secret::new(SECRET).expect("it is long enough")
}

pub(crate) fn client() -> Client {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        rustls::crypto::ring::default_provider()
            .install_default()
            .expect("nobody else installs one");
    });
    Client::new()
}

impl Server {
    pub(crate) async fn start() -> Self {
        Self::with_limits(Limits::default()).await
    }

    pub(crate) async fn with_limits(limits: Limits) -> Self {
        let data = TempDir::new().expect("a temporary folder");
        let store: Arc<dyn Store> =
            Arc::new(Sqlite::serve(data.path(), Durability::Process).expect("an empty store"));
        let (text, key) = key::create("tests", clock::now());
        store.create_key(key).await.expect("a new key");
        let (stop, stopped) = watch::channel(false);
        let state = AppState::new(store, secret(), Retention::default(), limits, stopped);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(http::serve(listener, state.clone()));
        Self {
            url,
            key: text,
            admin: token(&Access::Admin),
            state,
            client: client(),
            _stop: stop,
            _data: data,
        }
    }

    /// Serves another state on another port. Returns its URL.
    pub(crate) async fn also(&self, state: AppState) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        tokio::spawn(http::serve(listener, state));
        url
    }

    /// Posts a body as a batch.
    pub(crate) async fn post_bytes(&self, body: Vec<u8>) -> Response {
        self.post_to("/api/v1/batch", body).await
    }

    pub(crate) async fn post_to(&self, path: &str, body: Vec<u8>) -> Response {
        self.client
            .post(format!("{}{path}", self.url))
            .bearer_auth(&self.key)
            .header("content-type", MEDIA_TYPE)
            .body(body)
            .send()
            .await
            .expect("an answer")
    }

    /// Posts segments, which must be accepted. Returns (stored, known).
    pub(crate) async fn post(&self, segments: Vec<Segment>) -> (u64, u64) {
        let answer = self.post_bytes(batch(segments).encode()).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let receipt: Value = answer.json().await.expect("a receipt");
        let count = |name: &str| receipt[name].as_u64().expect("a number");
        (count("stored"), count("known"))
    }

    /// Gets a path as an administrator.
    pub(crate) async fn get(&self, path: &str) -> Response {
        self.get_with(path, &self.admin).await
    }

    pub(crate) async fn get_with(&self, path: &str, token: &str) -> Response {
        self.client
            .get(format!("{}{path}", self.url))
            .bearer_auth(token)
            .send()
            .await
            .expect("an answer")
    }

    /// Gets JSON as an administrator. Panics if the answer is an error.
    pub(crate) async fn json(&self, path: &str) -> Value {
        let answer = self.get(path).await;
        let status = answer.status();
        let text = answer.text().await.expect("a body");
        assert_eq!(status, StatusCode::OK, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    /// Rolls up what is due at `now`.
    pub(crate) async fn roll_up(&self, now: u64) {
        let (store, metrics) = (self.state.store.clone(), self.state.metrics.clone());
        let mut rollup = Rollup::new(store, Retention::default(), metrics);
        let done = rollup.run(now).await.expect("the store answers");
        assert_eq!(done.failed, 0);
    }
}

pub(crate) fn token(access: &Access) -> String {
    let expires = clock::now() + 600;
    token::create(&secret(), access, expires)
        .expect("a token")
        .0
}

pub(crate) fn id(name: &str) -> ContainerId {
    ContainerId::new(name).expect("a container id")
}

pub(crate) fn batch(segments: Vec<Segment>) -> Batch {
    Batch {
        source: SourceId([1; 16]),
        agent: AgentReport {
            host: "node7".to_owned(),
            version: "0.1.0".to_owned(),
            cores: 4,
            sent_at: clock::now_ns(),
            ..AgentReport::default()
        },
        segments,
    }
}

/// Seconds of a container in which one process uses `ns` of CPU a second, and
/// writes 4,096 bytes.
pub(crate) fn seconds(container: &str, source: u8, start: u64, slots: u32, ns: u64) -> Segment {
    let key = Key {
        container: id(container),
        resolution: Resolution::Second,
        start,
        source: SourceId([source; 16]),
    };
    let mut builder = Builder::new(key, slots as usize);
    builder.fact("name", "web");
    builder.fact("image", "nginx:1.27");
    builder.fact("host", "node7");
    builder.fact("label.team", "shop");
    let process = ProcessId {
        pid: 4_242,
        start: 1_000,
        exec: 1,
    };
    let mut process = Process::new(process, "nginx");
    process.args = "nginx\0-g\0daemon off;".to_owned();
    let process = builder.process(process);
    let file = builder.file(File {
        path: "/var/log/access.log".to_owned(),
        kind: FileKind::Regular,
    });
    for slot in 0..slots {
        builder.cover(slot, Coverage::SECOND);
        builder.cpu(process, 0, slot, Cpu { ns });
        let memory = Memory {
            vm: 2 << 20,
            rss: 1 << 20,
            swap: 0,
            private: 1 << 20,
        };
        builder.memory(process, slot, memory);
        let io = FileIo {
            bytes_out: 4_096,
            ops_out: 1,
            ..FileIo::default()
        };
        builder.file_io(process, file, slot, io);
        builder.total(Metric::CPU_USER, slot, ns);
        builder.total(Metric::MEMORY_CURRENT, slot, 3 << 20);
    }
    builder.build()
}
