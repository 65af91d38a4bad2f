//! The server's HTTP API, as a reader sees it. Only what the tests look at is named here; what
//! else an answer holds is not their business.

use std::io::{BufRead, BufReader};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// A reader of the API, with the administrator's token.
#[derive(Clone, Debug)]
pub struct Api {
    agent: ureq::Agent,
    url: String,
    token: String,
}

/// One container, as the list has it.
#[derive(Clone, Debug, Deserialize)]
pub struct Container {
    /// Its id.
    pub id: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// `running` or `ended`.
    pub state: String,
    /// Seconds since 1970.
    pub first_seen: f64,
    /// Seconds since 1970.
    pub last_seen: f64,
    /// Exit code of its first process.
    pub exit_code: Option<i64>,
    /// Whether the kernel killed in it for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
}

#[derive(Debug, Deserialize)]
struct Containers {
    containers: Vec<Container>,
}

/// A host, as the agent on it says.
#[derive(Clone, Debug, Deserialize)]
pub struct Host {
    /// Its name.
    pub host: String,
    /// Seconds since 1970.
    pub last_seen: f64,
}

#[derive(Debug, Deserialize)]
struct Hosts {
    hosts: Vec<Host>,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct Exit {
    /// It returned this.
    pub code: Option<i32>,
    /// This signal ended it.
    pub signal: Option<i32>,
}

/// One program that one process ran.
#[derive(Clone, Debug, Deserialize)]
pub struct Process {
    /// `PID-START-EXEC`, on the host.
    #[serde(alias = "process")]
    pub key: String,
    /// Process id as seen inside.
    pub container_pid: u32,
    /// Its name.
    pub name: String,
    /// Its arguments, word by word.
    pub args: Vec<String>,
    /// How the process ended; only with its last program.
    pub exit: Option<Exit>,
    /// How many processes are folded into this row.
    #[serde(default = "one")]
    pub count: u64,
    /// CPU, ns.
    pub cpu_ns: u64,
    /// Largest resident set, bytes.
    #[serde(default)]
    pub rss_max: u64,
}

fn one() -> u64 {
    1
}

impl Process {
    /// What tells the process from others whatever it runs: `PID-START`.
    pub fn life(&self) -> &str {
        self.key
            .rsplit_once('-')
            .map_or(self.key.as_str(), |(life, _)| life)
    }

    /// The rest of its key: how often it had become another row.
    pub fn exec(&self) -> Option<u32> {
        self.key.rsplit_once('-')?.1.parse().ok()
    }
}

/// What one process did with one file.
#[derive(Clone, Debug, Deserialize)]
pub struct File {
    /// Key of the process.
    pub process: String,
    /// Path, as seen inside.
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
}

#[derive(Debug, Deserialize)]
struct Table<T> {
    rows: Vec<T>,
}

/// Something that happened.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    /// `oom_kill`, `connection_failed`, …
    pub kind: String,
    /// Key of the process.
    #[serde(default)]
    pub process: Option<String>,
    /// More about it.
    #[serde(default)]
    pub detail: String,
}

/// What was lost.
#[derive(Clone, Debug, Deserialize)]
pub struct Loss {
    /// Why.
    pub reason: String,
    /// How many times.
    pub count: u64,
}

/// The check sum of the CPU.
#[derive(Clone, Debug, Deserialize)]
pub struct Accounting {
    /// Sum of the processes, ns.
    pub process_cpu_ns: u64,
    /// The cgroup's own count, ns.
    pub cgroup_cpu_ns: Option<u64>,
}

/// What the page is made of, as far as the tests look.
#[derive(Clone, Debug, Deserialize)]
pub struct Summary {
    /// The container.
    pub container: Container,
    /// What part of each slot is known, 0 to 1.
    pub covered: Vec<f64>,
    /// In the order in which they happened.
    #[serde(default)]
    pub events: Vec<Event>,
    /// What was lost.
    #[serde(default)]
    pub losses: Vec<Loss>,
    /// The check sum of the CPU.
    pub accounting: Accounting,
    /// Files.
    pub files: FilePanel,
}

/// The files' part of a [`Summary`].
#[derive(Clone, Debug, Deserialize)]
pub struct FilePanel {
    /// Files, busiest first.
    pub rows: Vec<FileTotal>,
}

/// A file over all processes.
#[derive(Clone, Debug, Deserialize)]
pub struct FileTotal {
    /// Path, as seen inside.
    pub path: String,
    /// Bytes written.
    pub bytes_out: u64,
}

/// All that is stored of one container.
#[derive(Clone, Debug)]
pub struct Ledger {
    /// The container, events, losses, check sum.
    pub summary: Summary,
    /// Every program of every process.
    pub processes: Vec<Process>,
    /// Every process and file.
    pub files: Vec<File>,
    /// Every process and connection.
    pub connections: Vec<Connection>,
}

/// From when to when, seconds since 1970.
#[derive(Clone, Copy, Debug)]
pub struct Span {
    /// First second.
    pub from: f64,
    /// After the last.
    pub to: f64,
}

impl Api {
    /// A reader of the server at `url`.
    pub fn new(url: &str, token: &str) -> Self {
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_connect(Some(Duration::from_secs(5)))
            .timeout_recv_response(Some(Duration::from_secs(60)))
            .build();
        Self {
            agent: config.into(),
            url: url.to_owned(),
            token: token.to_owned(),
        }
    }

    /// Whether the server answers at all.
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

    /// The answer's object; none if the server says that there is no such thing.
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
            .with_context(|| format!("GET {path}: not as expected: {}", shown()))
    }

    /// What is at a path, for those of which the tests know no type.
    ///
    /// # Errors
    /// When there is nothing, or not JSON.
    pub fn json(&self, path: &str) -> Result<Value> {
        self.get(path)?.with_context(|| format!("no {path}"))
    }

    /// The container with this id.
    ///
    /// # Errors
    /// When the server does not answer properly.
    pub fn container(&self, id: &str) -> Result<Option<Container>> {
        self.get(&format!("/api/v1/containers/{id}"))
    }

    /// Containers in which `text` is found.
    ///
    /// # Errors
    /// When the server does not answer properly.
    pub fn search(&self, text: &str) -> Result<Vec<Container>> {
        let path = format!("/api/v1/containers?state=all&limit=100&search={text}");
        let found: Option<Containers> = self.get(&path)?;
        Ok(found.map(|found| found.containers).unwrap_or_default())
    }

    /// The hosts from which agents have reported.
    ///
    /// # Errors
    /// When the server does not answer properly.
    pub fn hosts(&self) -> Result<Vec<Host>> {
        let found: Option<Hosts> = self.get("/api/v1/hosts")?;
        Ok(found.map(|found| found.hosts).unwrap_or_default())
    }

    /// What the page shows of a container.
    ///
    /// # Errors
    /// When the server does not answer properly, or knows no such container.
    pub fn summary(&self, id: &str, span: Span) -> Result<Summary> {
        let Span { from, to } = span;
        let path = format!("/api/v1/containers/{id}/summary?from={from}&to={to}&step=1");
        self.get(&path)?
            .with_context(|| format!("no container {id}"))
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

    /// All that is stored of a container.
    ///
    /// # Errors
    /// When the server does not answer properly, or knows no such container.
    pub fn ledger(&self, id: &str, span: Span) -> Result<Ledger> {
        Ok(Ledger {
            summary: self.summary(id, span)?,
            processes: self.table(id, "process", span)?,
            files: self.table(id, "file", span)?,
            connections: self.table(id, "network", span)?,
        })
    }

    /// Follows a container live: hands the data of each `slots` event to `each`, until that says
    /// that it has seen enough, the stream ends, or the deadline has passed.
    ///
    /// # Errors
    /// When the server does not stream.
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
                    .with_context(|| format!("GET {path}: not as expected: {data}"))?;
                if !each(summary) {
                    break;
                }
            }
        }
        Ok(())
    }
}
