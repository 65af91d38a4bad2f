//! Names, images and exit codes of containers, from Docker's API: a list at the start, then
//! its events. Without Docker containers go by their ids; that is no error.
//!
//! Runs beside the collecting loop and sends it updates through a channel: Docker may take
//! seconds to answer, and the loop must close each second in time.

use std::collections::{HashMap, VecDeque};
use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, TrySendError};
use std::time::Duration;

use bollard::models::{
    ContainerInspectResponse, ContainerState, EventMessage, EventMessageTypeEnum,
};
use bollard::query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, Docker};
use bubble_common::segment::facts;
use futures_util::StreamExt;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::net::UnixStream;

use crate::printable::printable;

/// Longest time that Docker may take to answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);
/// Delay before the next attempt to connect.
const RETRY_DELAY: Duration = Duration::from_secs(5);
/// Maximum length of a label with its value, in bytes. Longer ones are left out.
const MAX_LABEL_BYTES: usize = 1_024;
/// Maximum number of labels of a container.
const MAX_LABELS: usize = 64;

/// News of one container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// Its full id.
    pub id: String,
    /// The user who runs this Docker; `None` if it is root.
    pub user: Option<u32>,
    /// Facts about it, whichever life it is in (names: `bubble_common::segment::facts`).
    pub facts: Vec<(String, String)>,
    /// What concerns one of its lives.
    pub news: News,
}

/// News of one life of a container. Times are Docker's: ns since the Unix epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum News {
    /// None.
    #[default]
    None,
    /// The state that an inspection found.
    Inspected {
        /// When the life began. `None`: the container was never started.
        started: Option<u64>,
        /// When it ended; `None` while it runs.
        ended: Option<u64>,
        /// Exit code of its first process, if it ended.
        code: Option<String>,
        /// Memory ran out.
        oom_killed: bool,
    },
    /// The life ended.
    Died {
        /// When.
        at: u64,
        /// Exit code of its first process.
        code: Option<String>,
    },
    /// Memory ran out.
    OutOfMemory {
        /// When.
        at: u64,
    },
}

/// Sends what Docker reports at `socket` to `updates`, until the receiver is gone.
pub async fn watch(socket: PathBuf, updates: SyncSender<Update>) {
    // The state in the log: connected or not. It is logged when it changes.
    let mut logged = None;
    loop {
        let why = match follow(&socket, &updates, &mut logged).await {
            Ok(Receiver::Gone) => return,
            Ok(Receiver::Listening) => "it closed the connection".to_owned(),
            Err(error) => printable(&error.to_string()),
        };
        if logged != Some(false) {
            logged = Some(false);
            tracing::info!(
                socket = %socket.display(),
                "docker does not answer, so containers go by their ids for now: {why}"
            );
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// A socket, whatever its path leads to later: all connections have the same peer.
struct Socket(File);

impl Socket {
    fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(libc::O_PATH);
        options.open(path).map(Self)
    }

    /// A path that leads to it while it is open.
    fn path(&self) -> String {
        format!("/proc/self/fd/{}", self.0.as_raw_fd())
    }

    /// The user who listens there.
    async fn user(&self) -> io::Result<u32> {
        let connection = UnixStream::connect(self.path()).await?;
        Ok(connection.peer_cred()?.uid())
    }
}

/// The state of the agent's loop, which receives the updates.
enum Receiver {
    Listening,
    Gone,
}

/// Sends all running containers, then follows Docker's events until the connection ends.
async fn follow(
    socket: &Path,
    updates: &SyncSender<Update>,
    logged: &mut Option<bool>,
) -> Result<Receiver, bollard::errors::Error> {
    let timeout = REQUEST_TIMEOUT.as_secs();
    let socket = Socket::open(socket)?;
    // A user's Docker speaks of the user's containers only.
    let user = Some(socket.user().await?).filter(|user| *user != 0);
    let docker = Docker::connect_with_unix(&socket.path(), timeout, API_DEFAULT_VERSION)?
        .negotiate_version()
        .await?;
    // Subscribed to before the list is read, so that no container falls between the two.
    let kinds = HashMap::from([("type", vec!["container"])]);
    let mut events = docker.events(Some(EventsOptionsBuilder::new().filters(&kinds).build()));
    let running = docker
        .list_containers(Some(ListContainersOptionsBuilder::new().build()))
        .await?;
    if *logged != Some(true) {
        *logged = Some(true);
        tracing::info!(
            containers = running.len(),
            "names and images come from docker"
        );
    }
    for id in running.into_iter().filter_map(|container| container.id) {
        if !inspect(&docker, user, &id, updates).await {
            return Ok(Receiver::Gone);
        }
    }
    // An exit code must not wait for the inspections of other containers. A busy Docker may answer
    // one after seconds.
    let mut to_inspect = VecDeque::new();
    let mut inspection = None;
    loop {
        if inspection.is_none() {
            inspection = to_inspect
                .pop_front()
                .map(|id| Box::pin(inspect_owned(&docker, user, id, updates)));
        }
        let is_inspected = async {
            match inspection.as_mut() {
                Some(inspection) => inspection.await,
                None => std::future::pending().await,
            }
        };
        let is_listening = tokio::select! {
            event = events.next() => {
                let Some(event) = event else { return Ok(Receiver::Listening) };
                let (inspected, is_listening) = match action(&event?) {
                    Action::Inspect(id) => (Some(id), true),
                    Action::Send(update) => {
                        // Only an inspection after the end tells whether memory ran out.
                        let ended = matches!(update.news, News::Died { .. });
                        let id = ended.then(|| update.id.clone());
                        (id, updates.send_or_drop(Update { user, ..update }))
                    }
                    Action::Ignore => (None, true),
                };
                if let Some(id) = inspected && !to_inspect.contains(&id) {
                    to_inspect.push_back(id);
                }
                is_listening
            }
            is_listening = is_inspected => {
                inspection = None;
                is_listening
            }
        };
        if !is_listening {
            return Ok(Receiver::Gone);
        }
    }
}

/// [`inspect`] with an id of its own.
async fn inspect_owned(
    docker: &Docker,
    user: Option<u32>,
    id: String,
    updates: &SyncSender<Update>,
) -> bool {
    inspect(docker, user, &id, updates).await
}

/// What to do on an event.
#[derive(Debug, PartialEq, Eq)]
enum Action {
    Inspect(String),
    Send(Update),
    Ignore,
}

fn action(event: &EventMessage) -> Action {
    let Some(actor) = &event.actor else {
        return Action::Ignore;
    };
    let (Some(id), Some(EventMessageTypeEnum::CONTAINER)) = (&actor.id, event.typ) else {
        return Action::Ignore;
    };
    let attributes = actor.attributes.as_ref();
    // Without a time (Docker always sends one) it is about the newest life.
    let at = event.time_nano.and_then(|at| u64::try_from(at).ok());
    let at = at.filter(|at| *at > 0).unwrap_or(u64::MAX);
    match event.action.as_deref() {
        Some("create" | "start" | "rename" | "update" | "restart") => Action::Inspect(id.clone()),
        Some("die") => Action::Send(Update {
            id: id.clone(),
            user: None,
            facts: name_and_image(attributes),
            news: News::Died {
                at,
                code: attributes.and_then(|all| all.get("exitCode")).cloned(),
            },
        }),
        Some("oom") => Action::Send(Update {
            id: id.clone(),
            user: None,
            facts: Vec::new(),
            news: News::OutOfMemory { at },
        }),
        _ => Action::Ignore,
    }
}

/// Name and image from the attributes of an event: the only source for a container that is
/// removed before it can be inspected.
fn name_and_image(attributes: Option<&HashMap<String, String>>) -> Vec<(String, String)> {
    [("name", facts::NAME), ("image", facts::IMAGE)]
        .into_iter()
        .filter_map(|(key, fact)| Some((fact.to_owned(), attributes?.get(key)?.clone())))
        .collect()
}

/// Inspects a container and sends its facts. Returns false when the receiver is gone.
async fn inspect(
    docker: &Docker,
    user: Option<u32>,
    id: &str,
    updates: &SyncSender<Update>,
) -> bool {
    match docker.inspect_container(id, None).await {
        Ok(container) => {
            let update = inspected(id, container);
            updates.send_or_drop(Update { user, ..update })
        }
        Err(error) => {
            tracing::debug!(
                container = id,
                "docker cannot inspect the container: {}",
                printable(&error.to_string())
            );
            true
        }
    }
}

fn inspected(id: &str, container: ContainerInspectResponse) -> Update {
    let mut found = Vec::new();
    let mut fact = |name: &str, value: Option<String>| {
        if let Some(value) = value.filter(|value| !value.is_empty()) {
            found.push((name.to_owned(), value));
        }
    };
    let name = container
        .name
        .map(|name| name.trim_start_matches('/').to_owned());
    fact(facts::NAME, name);
    let config = container.config.unwrap_or_default();
    fact(facts::IMAGE, config.image.or(container.image));
    let mut labels: Vec<_> = config.labels.unwrap_or_default().into_iter().collect();
    labels.sort();
    labels.truncate(MAX_LABELS);
    for (label, value) in labels {
        if label.len() + value.len() <= MAX_LABEL_BYTES {
            fact(&format!("{}{label}", facts::LABEL), Some(value));
        }
    }
    Update {
        id: id.to_owned(),
        user: None,
        facts: found,
        news: state(&container.state.unwrap_or_default()),
    }
}

/// The state of the life that Docker knows of.
fn state(state: &ContainerState) -> News {
    let mut started = state.started_at.as_deref().and_then(nanoseconds);
    let mut ended = None;
    if state.running == Some(false) {
        ended = state.finished_at.as_deref().and_then(nanoseconds);
        // Docker stamps the start when it hears of it: after the end, for a container that ends
        // at once. It would look as if it had been started again.
        started = started.min(ended.map(|ended| ended - 1)).or(started);
    }
    let code = ended.and(state.exit_code);
    News::Inspected {
        started,
        ended,
        code: code.map(|code| code.to_string()),
        oom_killed: ended.is_some() && state.oom_killed == Some(true),
    }
}

/// Nanoseconds since the Unix epoch of a time as Docker writes it
/// (`2026-11-24T22:13:22.559312377Z`). `None` before the epoch: Docker's `0001-01-01` is no time.
fn nanoseconds(text: &str) -> Option<u64> {
    let time = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    let ns = u64::try_from(time.unix_timestamp_nanos()).ok()?;
    (ns > 0).then_some(ns)
}

/// Sends without waiting for a busy receiver.
trait SendOrDrop {
    /// Drops the update when the channel is full. Returns false when the receiver is gone.
    fn send_or_drop(&self, update: Update) -> bool;
}

impl SendOrDrop for SyncSender<Update> {
    fn send_or_drop(&self, update: Update) -> bool {
        match self.try_send(update) {
            Ok(()) => true,
            Err(TrySendError::Full(update)) => {
                tracing::warn!(
                    container = update.id,
                    "an update from docker was dropped: too many at once"
                );
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use bollard::models::{ContainerInspectResponse, EventMessage};

    use tokio::net::UnixListener;

    use super::{Action, News, Socket, Update, action, inspected, nanoseconds};

    fn event(json: &str) -> EventMessage {
        serde_json::from_str(json).unwrap()
    }

    #[tokio::test]
    async fn the_user_of_docker_is_the_one_who_listens() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("docker.sock");
        assert!(Socket::open(&path).is_err(), "not root's");
        std::fs::write(&path, "").unwrap();
        let file = Socket::open(&path).unwrap();
        assert!(file.user().await.is_err(), "not root's");
        std::fs::remove_file(&path).unwrap();

        let listener = UnixListener::bind(&path).unwrap();
        let socket = Socket::open(&path).unwrap();
        let user = rustix::process::geteuid().as_raw();
        assert_eq!(socket.user().await.unwrap(), user);
        // Another socket at the same path is not used.
        drop(listener);
        std::fs::remove_file(&path).unwrap();
        let _other = UnixListener::bind(&path).unwrap();
        assert!(socket.user().await.is_err());
    }

    #[test]
    fn times() {
        let ns = |text| nanoseconds(text).unwrap_or_default();
        assert_eq!(ns("1970-01-01T00:00:01Z"), 1_000_000_000);
        assert_eq!(
            ns("2026-11-24T22:13:22.559312377Z"),
            1_795_558_402_559_312_377
        );
        assert_eq!(ns("2000-02-29T12:00:00.5Z"), 951_825_600_500_000_000);
        for text in [
            "",
            "0001-01-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "x",
            "2026-01-01",
            "2026-01-01T1:1:1.0123456789Z",
        ] {
            assert_eq!(nanoseconds(text), None, "{text}");
        }
    }

    #[test]
    fn a_death_names_the_container() {
        let die = event(
            r#"{"Type":"container","Action":"die","time":5,"timeNano":5000000001,
                "Actor":{"ID":"abc","Attributes":{"exitCode":"3","image":"busybox","name":"short"}}}"#,
        );
        let Action::Send(update) = action(&die) else {
            panic!("an exit is sent");
        };
        let died = News::Died {
            at: 5_000_000_001,
            code: Some("3".to_owned()),
        };
        assert_eq!(update.news, died);
        let fact = |name: &str| {
            let found = update.facts.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(fact("name"), Some("short"));
        assert_eq!(fact("image"), Some("busybox"));
    }

    #[test]
    fn other_events() {
        let start = event(r#"{"Type":"container","Action":"start","Actor":{"ID":"abc"}}"#);
        assert_eq!(action(&start), Action::Inspect("abc".to_owned()));
        let oom = event(r#"{"Type":"container","Action":"oom","timeNano":7,"Actor":{"ID":"abc"}}"#);
        assert!(matches!(
            action(&oom),
            Action::Send(Update {
                news: News::OutOfMemory { at: 7 },
                ..
            })
        ));
        for json in [
            "{}",
            r#"{"Type":"container","Action":"die"}"#,
            r#"{"Type":"network","Action":"start","Actor":{"ID":"abc"}}"#,
            r#"{"Type":"container","Action":"exec_create: sh","Actor":{"ID":"abc"}}"#,
        ] {
            assert_eq!(action(&event(json)), Action::Ignore, "{json}");
        }
    }

    #[test]
    fn an_inspection() {
        let json = r#"{"Id":"abc","Name":"/web","Image":"sha256:1","State":{"Running":true,
            "StartedAt":"1970-01-01T00:00:02Z","FinishedAt":"0001-01-01T00:00:00Z"},
            "Config":{"Image":"nginx:1","Labels":{"team":"a"}}}"#;
        let container: ContainerInspectResponse = serde_json::from_str(json).unwrap();
        let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let update = inspected("abc", container);
        assert_eq!(
            update.facts,
            [
                fact("name", "web"),
                fact("image", "nginx:1"),
                fact("label.team", "a"),
            ]
        );
        let runs = News::Inspected {
            started: Some(2_000_000_000),
            ended: None,
            code: None,
            oom_killed: false,
        };
        assert_eq!(update.news, runs);
        let empty = inspected("abc", ContainerInspectResponse::default());
        assert_eq!(empty.facts, []);
    }

    #[test]
    fn one_that_ended_at_once_ended_after_its_start() {
        let json = r#"{"State":{"Running":false,"StartedAt":"1970-01-01T00:00:02.5Z",
            "FinishedAt":"1970-01-01T00:00:02.25Z","ExitCode":137}}"#;
        let container: ContainerInspectResponse = serde_json::from_str(json).unwrap();
        let ended = News::Inspected {
            started: Some(2_249_999_999),
            ended: Some(2_250_000_000),
            code: Some("137".to_owned()),
            oom_killed: false,
        };
        assert_eq!(inspected("abc", container).news, ended);
    }
}
