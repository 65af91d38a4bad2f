//! The real program, as a process of its own.

use std::fs::{File, read_to_string};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use bubble_server::http::batch::MEDIA_TYPE;
use reqwest::{Client, Response};
use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;

use crate::common::SECRET;

/// Where it writes its log, within the data directory.
const LOG: &str = "log";

/// A server that runs; it is killed when this is dropped.
pub(crate) struct Program {
    child: Child,
    pub(crate) url: String,
}

impl Program {
    /// Starts it on `data`, with `variables` in its environment, and waits until it answers.
    pub(crate) async fn start(data: &TempDir, client: &Client, variables: &[(&str, &str)]) -> Self {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = free.local_addr().expect("bound").to_string();
        drop(free);
        let log = File::create(data.path().join(LOG)).expect("a log");
        let child = Command::new(env!("CARGO_BIN_EXE_bubble-server"))
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
        let program = Self { child, url };
        for _ in 0..1_000 {
            let ping = client.get(format!("{}/ping", program.url)).send().await;
            if ping.is_ok_and(|answer| answer.status().is_success()) {
                return program;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("the server does not come up: {}", log_of(data));
    }

    /// Posts a batch; an error, when there was no answer.
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

    /// Kills it, which must still have run.
    pub(crate) fn kill(&mut self) {
        self.child.kill().expect("it ran");
        self.child.wait().expect("it ran");
    }

    /// Sends it a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).expect("it runs");
    }

    /// Asks it to stop, which it must do well.
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

/// What the latest program on `data` has logged.
pub(crate) fn log_of(data: &TempDir) -> String {
    read_to_string(data.path().join(LOG)).expect("the log is text")
}

/// A new API key, by the program with `variables` in its environment.
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
