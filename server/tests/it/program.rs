//! The real program, as a separate process.

use std::fs::{File, read_to_string};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bubble_server::http::batch::MEDIA_TYPE;
use reqwest::{Client, Response};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::common::SECRET;

/// File of the log, in the data directory.
const LOG: &str = "log";

/// A running server, killed on drop.
pub(crate) struct Program {
    child: Child,
    pub(crate) url: String,
}

/// An address that nobody listens on, each time another. Its port is none that the system gives to
/// connections. A listener of our own would live on in a child that another test is starting.
fn free_address() -> String {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let number = std::process::id().wrapping_mul(331);
        let number = number.wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
        let address = format!("127.0.0.1:{}", 26_000 + number % 6_000);
        if std::net::TcpStream::connect(&address).is_err() {
            return address;
        }
    }
}

impl Program {
    /// Starts it on `data`, with `variables` in its environment, and waits until it answers.
    pub(crate) async fn start(data: &TempDir, client: &Client, variables: &[(&str, &str)]) -> Self {
        let program = Command::new(env!("CARGO_BIN_EXE_bubble-server"));
        Self::start_by(program, data, client, variables).await
    }

    /// Starts it on `data` after `limits`, commands of a shell, and waits until it answers.
    pub(crate) async fn start_limited(data: &TempDir, client: &Client, limits: &str) -> Self {
        let mut shell = Command::new("/bin/sh");
        let limited = format!("{limits}; exec \"$0\" \"$@\"");
        shell.args(["-c", &limited, env!("CARGO_BIN_EXE_bubble-server")]);
        Self::start_by(shell, data, client, &[]).await
    }

    async fn start_by(
        mut command: Command,
        data: &TempDir,
        client: &Client,
        variables: &[(&str, &str)],
    ) -> Self {
        let address = free_address();
        let log = File::create(data.path().join(LOG)).expect("a log");
        let child = command
            .args(["serve", "--listen", &address, "--data"])
            .arg(data.path())
            .env_clear()
            .env("BUBBLE_LOG", "error")
            .env("AUTH_SECRET", SECRET)
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("it runs");
        let url = format!("http://{address}");
        let mut program = Self { child, url };
        for _ in 0..1_000 {
            // Another test may have taken the port meanwhile, and its server would answer.
            let ended = program.child.try_wait().expect("a child");
            assert!(ended.is_none(), "the server ended: {}", log_of(data));
            let ping = client.get(format!("{}/ping", program.url)).send().await;
            if ping.is_ok_and(|answer| answer.status().is_success()) {
                return program;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server does not come up: {}", log_of(data));
    }

    /// Posts a batch. An error means that no answer came.
    pub(crate) async fn post(
        &self,
        client: &Client,
        key: &str,
        body: Vec<u8>,
    ) -> reqwest::Result<Response> {
        client
            .post(format!("{}/api/v1/batch", self.url))
            .bearer_auth(key)
            .header("content-type", MEDIA_TYPE)
            .body(body)
            .send()
            .await
    }

    /// The most memory that it has had, in bytes.
    pub(crate) fn peak_memory(&self) -> usize {
        let status = read_to_string(format!("/proc/{}/status", self.child.id()));
        let status = status.expect("it runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kib = peak.and_then(|peak| peak.trim().strip_suffix("kB"));
        let kib: usize = kib.and_then(|kib| kib.trim().parse().ok()).expect("KiB");
        kib << 10
    }

    /// Kills it. It must be running.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it ran");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Stops it. It must exit with success.
    pub(crate) fn stop(&mut self) {
        self.signal(Signal::TERM);
        let status = self.child.wait().expect("it ran");
        assert!(status.success(), "{status}");
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The log of the latest program on `data`.
pub(crate) fn log_of(data: &TempDir) -> String {
    read_to_string(data.path().join(LOG)).expect("the log is text")
}

/// Runs a command of the program on `data`, with `variables` in its environment. Returns what it prints.
pub(crate) fn run(data: &TempDir, words: &[&str], variables: &[(&str, &str)]) -> String {
    let done = Command::new(env!("CARGO_BIN_EXE_bubble-server"))
        .args(words)
        .arg("--data")
        .arg(data.path())
        .env_clear()
        .env("AUTH_SECRET", SECRET)
        .envs(variables.iter().copied())
        .output()
        .expect("it runs");
    assert!(done.status.success(), "{done:?}");
    String::from_utf8(done.stdout)
        .expect("text")
        .trim()
        .to_owned()
}

/// Makes an API key by the program, with `variables` in its environment.
pub(crate) fn create_key(data: &TempDir, variables: &[(&str, &str)]) -> String {
    let made = Command::new(env!("CARGO_BIN_EXE_bubble-server"))
        .args(["key", "create", "--owner", "test", "--data"])
        .arg(data.path())
        .envs(variables.iter().copied())
        .output()
        .expect("it runs");
    String::from_utf8(made.stdout)
        .expect("text")
        .trim()
        .to_owned()
}
