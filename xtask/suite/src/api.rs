//! A client of the server's HTTP API. Its types have only those fields of the answers that the tests
//! use.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::settings;

/// A client of the API, with an administrator's token.
#[derive(Clone, Debug)]
pub struct Api {
    agent: ureq::Agent,
    url: String,
    token: String,
}

/// A container, as in the list.
#[derive(Clone, Debug, Deserialize)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// `running` or `ended`.
    pub state: String,
    /// Seconds since the Unix epoch.
    pub first_seen: f64,
    /// Seconds since the Unix epoch.
    pub last_seen: f64,
    /// Exit code of its first process.
    pub exit_code: Option<i64>,
    /// Whether the OOM killer ended a process in it.
    #[serde(default)]
    pub oom_killed: bool,
}

#[derive(Debug, Deserialize)]
struct Containers {
    containers: Vec<Container>,
}

/// A host, as its agent reports it.
#[derive(Clone, Debug, Deserialize)]
pub struct Host {
    /// Its name.
    pub host: String,
    /// Seconds since the Unix epoch.
    pub last_seen: f64,
}

#[derive(Debug, Deserialize)]
struct Hosts {
    hosts: Vec<Host>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Exit {
    /// Exit code.
    pub code: Option<i32>,
    /// Signal that killed it.
    pub signal: Option<i32>,
}

/// One program that one process ran.
#[derive(Clone, Debug, Deserialize)]
pub struct Process {
    /// `PID-START-EXEC`, on the host.
    #[serde(alias = "process")]
    pub key: String,
    /// Process id in the container.
    pub container_pid: u32,
    /// Effective user id on the host.
    pub uid: u32,
    /// Effective group id on the host. `None`: not known.
    #[serde(default)]
    pub gid: Option<u32>,
    /// Its name.
    pub name: String,
    /// Path of the file that it runs.
    pub exe: String,
    /// Its arguments, word by word.
    pub args: Vec<String>,
    /// How the process ended. Only on the row of its last program.
    pub exit: Option<Exit>,
    /// Number of processes folded into this row.
    #[serde(default = "one")]
    pub count: u64,
    /// CPU time, ns.
    pub cpu_ns: u64,
    /// Waits by kind, ns.
    #[serde(default)]
    pub waits: std::collections::BTreeMap<String, u64>,
    /// The row stands for more processes than `count`.
    #[serde(default)]
    pub count_at_least: bool,
    /// Largest resident set, bytes. `None`: never measured.
    #[serde(default)]
    pub rss_max: Option<u64>,
    /// Largest private part of it, bytes. `None`: not known.
    #[serde(default)]
    pub private_max: Option<u64>,
}

fn one() -> u64 {
    1
}

impl Process {
    /// Identity of the process over all its programs: `PID-START`.
    pub fn life(&self) -> &str {
        self.key
            .rsplit_once('-')
            .map_or(self.key.as_str(), |(life, _)| life)
    }

    /// The rest of its key: the number of the row within the process.
    pub fn exec(&self) -> Option<u32> {
        self.key.rsplit_once('-')?.1.parse().ok()
    }
}

/// What one process did with one file.
#[derive(Clone, Debug, Deserialize)]
pub struct File {
    /// Key of the process.
    pub process: String,
    /// Path in the container.
    pub path: String,
    /// `file`, `pipe`, …
    pub kind: String,
    /// Bytes read.
    pub bytes_in: u64,
    /// Bytes written.
    pub bytes_out: u64,
    /// Reads.
    pub ops_in: u64,
    /// Writes.
    pub ops_out: u64,
    /// Opens.
    pub opens: u64,
    /// Pages of its mappings that page faults brought in.
    #[serde(default)]
    pub mapped_pages: u64,
    /// Time that it waited for it, ns.
    #[serde(default)]
    pub waited_ns: u64,
}

/// What one process did with one connection.
#[derive(Clone, Debug, Deserialize)]
pub struct Connection {
    /// Key of the process.
    pub process: String,
    /// `tcp`, `udp`, `unix`, …
    pub protocol: String,
    /// This end.
    pub local: String,
    /// The other end.
    pub peer: String,
    /// Bytes received.
    pub bytes_in: u64,
    /// Bytes sent.
    pub bytes_out: u64,
    /// Receives.
    pub ops_in: u64,
    /// Sends.
    pub ops_out: u64,
    /// Failures to connect.
    #[serde(default)]
    pub failures: u64,
    /// Connections made or accepted.
    #[serde(default)]
    pub connects: u64,
    /// `client`, `server` or `unknown`.
    #[serde(default)]
    pub role: String,
    /// Time that it waited for it, ns.
    #[serde(default)]
    pub waited_ns: u64,
}

#[derive(Debug, Deserialize)]
struct Table<T> {
    rows: Vec<T>,
}

/// An event.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// `oom_kill`, `connection_failed`, …
    pub kind: String,
    /// Key of the process.
    #[serde(default)]
    pub process: Option<String>,
    /// Details.
    #[serde(default)]
    pub detail: String,
}

/// A loss.
#[derive(Clone, Debug, Deserialize)]
pub struct Loss {
    /// Reason.
    pub reason: String,
    /// Number of losses.
    pub count: u64,
}

/// The cross-check of the CPU time.
#[derive(Clone, Debug, Deserialize)]
pub struct Accounting {
    /// Sum of the processes, ns.
    pub process_cpu_ns: u64,
    /// The cgroup's own count, ns.
    pub cgroup_cpu_ns: Option<u64>,
}

/// The data of the page.
#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    /// The container.
    pub container: Container,
    /// Covered share of each slot, 0 to 1.
    pub covered: Vec<f64>,
    /// Share of each slot that was observed in part, 0 to 1.
    pub partial: Vec<f64>,
    /// Events in order of time.
    #[serde(default)]
    pub events: Vec<Event>,
    /// Losses.
    #[serde(default)]
    pub losses: Vec<Loss>,
    /// The cross-check of the CPU time.
    pub accounting: Accounting,
    /// Files.
    pub files: FilePanel,
    /// Memory.
    pub memory: MemoryPanel,
    /// The container's own figures over the range, by name.
    pub totals: std::collections::BTreeMap<String, u64>,
}

/// The memory in a [`Summary`], in bytes by slot.
#[derive(Clone, Debug, Deserialize)]
pub struct MemoryPanel {
    /// In use, by the cgroup.
    pub current: Vec<Option<u64>>,
    /// Shared pages of the process with most.
    pub shared: Vec<Option<u64>>,
    /// Highest sum of all processes at one time.
    pub at_one_time: Vec<Option<u64>>,
}

/// The files in a [`Summary`].
#[derive(Clone, Debug, Deserialize)]
pub struct FilePanel {
    /// Files, busiest first.
    pub rows: Vec<FileTotal>,
}

/// Sums of a file over all processes.
#[derive(Clone, Debug, Deserialize)]
pub struct FileTotal {
    /// Path in the container.
    pub path: String,
    /// Bytes written.
    pub bytes_out: u64,
}

/// All stored data of a container.
#[derive(Clone, Debug, Deserialize)]
pub struct Ledger {
    /// The container, events, losses, cross-check.
    pub summary: Summary,
    /// A row for each program of each process.
    pub processes: Vec<Process>,
    /// A row for each process and file.
    pub files: Vec<File>,
    /// A row for each process and connection.
    pub connections: Vec<Connection>,
}

/// A time span, seconds since the Unix epoch.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// Start.
    pub from: f64,
    /// End, exclusive.
    pub to: f64,
}

impl Api {
    /// A client of the server at `url`.
    pub fn new(url: &str, token: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(settings::timeout(Duration::from_secs(5))))
            .timeout_recv_response(Some(settings::timeout(Duration::from_secs(60))))
            .build();
        Self {
            agent: config.into(),
            url: url.to_owned(),
            token: token.to_owned(),
        }
    }

    /// Whether the server answers.
    pub fn answers(&self) -> bool {
        self.agent
            .get(format!("{}/ping", self.url))
            .call()
            .is_ok_and(|got| got.status() == 200)
    }

    fn request(&self, path: &str) -> Result<ureq::http::Response<ureq::Body>> {
        let url = format!("{}{path}", self.url);
        let authorization = format!("Bearer {}", self.token);
        let request = self.agent.get(&url).header("authorization", authorization);
        request.call().with_context(|| format!("GET {url}"))
    }

    /// The object in the answer. `None` for status 404.
    fn get<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>> {
        let mut answer = self.request(path)?;
        let status = answer.status().as_u16();
        // The largest table of the suite has a row for each of thousands of processes.
        let body = answer
            .body_mut()
            .with_config()
            .limit(512 << 20)
            .read_to_string()?;
        if status == 404 {
            return Ok(None);
        }
        ensure!(status == 200, "GET {path}: {status}: {body}");
        let object = serde_json::from_str(&body);
        let shown = || body.chars().take(400).collect::<String>();
        object
            .map(Some)
            .with_context(|| format!("GET {path}: unexpected answer: {}", shown()))
    }

    /// The JSON at a path that has no type here.
    ///
    /// # Errors
    /// If the server does not answer with JSON.
    pub fn json(&self, path: &str) -> Result<Value> {
        self.get(path)?.with_context(|| format!("no {path}"))
    }

    /// The container with this id.
    ///
    /// # Errors
    /// If the answer is not valid.
    pub fn container(&self, id: &str) -> Result<Option<Container>> {
        self.get(&format!("/api/v1/containers/{id}"))
    }

    /// Searches containers for `text`.
    ///
    /// # Errors
    /// If the answer is not valid.
    pub fn search(&self, text: &str) -> Result<Vec<Container>> {
        let path = format!("/api/v1/containers?state=all&limit=100&search={text}");
        let found: Option<Containers> = self.get(&path)?;
        Ok(found.map(|found| found.containers).unwrap_or_default())
    }

    /// The hosts with an agent that has reported.
    ///
    /// # Errors
    /// If the answer is not valid.
    pub fn hosts(&self) -> Result<Vec<Host>> {
        let found: Option<Hosts> = self.get("/api/v1/hosts")?;
        Ok(found.map(|found| found.hosts).unwrap_or_default())
    }

    /// The data of the page of a container.
    ///
    /// # Errors
    /// If the answer is not valid, or the container unknown.
    pub fn summary(&self, id: &str, span: Span) -> Result<Summary> {
        let Span { from, to } = span;
        let path = format!("/api/v1/containers/{id}/summary?from={from}&to={to}&step=1");
        self.get(&path)?
            .with_context(|| format!("no container {id}"))
    }

    /// The same, of one process over all its programs: its key or `PID-START`.
    ///
    /// # Errors
    /// If the answer is not valid, or the container unknown.
    pub fn summary_of(&self, id: &str, span: Span, process: &str) -> Result<Value> {
        let Span { from, to } = span;
        self.json(&format!(
            "/api/v1/containers/{id}/summary?from={from}&to={to}&step=1&process={process}"
        ))
    }

    fn table<T: DeserializeOwned>(&self, id: &str, kind: &str, span: Span) -> Result<Vec<T>> {
        let Span { from, to } = span;
        let path = format!(
            "/api/v1/containers/{id}/table?kind={kind}&from={from}&to={to}&format=json&step=1"
        );
        let table: Table<T> = self
            .get(&path)?
            .with_context(|| format!("no container {id}"))?;
        Ok(table.rows)
    }

    /// All stored data of a container.
    ///
    /// # Errors
    /// If the answer is not valid, or the container unknown.
    pub fn ledger(&self, id: &str, span: Span) -> Result<Ledger> {
        Ok(Ledger {
            summary: self.summary(id, span)?,
            processes: self.table(id, "process", span)?,
            files: self.table(id, "file", span)?,
            connections: self.table(id, "network", span)?,
        })
    }

    /// Follows a container live: passes the data of each `slots` event to `each`, until `each` returns
    /// false, the stream ends, or the deadline passes.
    ///
    /// # Errors
    /// If the server does not stream.
    pub fn live(
        &self,
        id: &str,
        deadline: Instant,
        mut each: impl FnMut(Summary) -> bool,
    ) -> Result<()> {
        let path = format!("/api/v1/containers/{id}/live?step=1&top=200");
        let answer = self.request(&path)?;
        ensure!(answer.status() == 200, "GET {path}: {}", answer.status());
        let mut event = String::new();
        for line in BufReader::new(answer.into_body().into_reader()).lines() {
            let line = line?;
            if Instant::now() > deadline {
                break;
            }
            if let Some(name) = line.strip_prefix("event:") {
                event = name.trim().to_owned();
            } else if let Some(data) = line.strip_prefix("data:")
                && event == "slots"
            {
                let summary = serde_json::from_str(data)
                    .with_context(|| format!("GET {path}: unexpected data: {data}"))?;
                if !each(summary) {
                    break;
                }
            }
        }
        Ok(())
    }
}
