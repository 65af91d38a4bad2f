//! What containers are called, by Docker's API: a list at the start, then its
//! events. No Docker is no error: containers are then known by their ids.
//!
//! Runs beside the collecting loop and tells it by a channel, because an answer of
//! Docker's may take seconds and a second must be closed in time.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::mpsc::SyncSender;
use std::time::Duration;

use bollard::models::{ContainerInspectResponse, EventMessage, EventMessageTypeEnum};
use bollard::query_parameters::{EventsOptionsBuilder, ListContainersOptionsBuilder};
use bollard::{API_DEFAULT_VERSION, Docker};
use bubble_common::segment::facts;
use futures_util::StreamExt;

/// Seconds that Docker may take to answer.
const PATIENCE: u64 = 10;
/// Longest label that is passed on, in bytes; and most labels of a container.
const LABEL_LENGTH: usize = 1_024;
const LABELS: usize = 64;

/// What Docker says of a container.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Update {
    /// Its id in full.
    pub id: String,
    /// Facts about it (names: `bubble_common::segment::facts`).
    pub facts: Vec<(String, String)>,
    /// It has ended, with this code.
    pub exit_code: Option<String>,
}

/// Tells `updates` what the Docker behind `socket` says, for as long as somebody listens.
pub async fn watch(socket: PathBuf, updates: SyncSender<Update>) {
    let mut said = None;
    loop {
        let why = match follow(&socket, &updates, &mut said).await {
            Ok(Listener::Gone) => return,
            Ok(Listener::There) => "it closed the connection".to_owned(),
            Err(error) => error.to_string(),
        };
        if said != Some(false) {
            said = Some(false);
            tracing::info!(
                socket = %socket.display(),
                "no answer from docker, so containers go by their ids until there is one: {why}"
            );
        }
        tokio::time::sleep(Duration::from_secs(5)).await;
    }
}

/// Whether the agent's loop still listens.
enum Listener {
    There,
    Gone,
}

/// One connection: follows events, and tells all running containers first.
async fn follow(
    socket: &std::path::Path,
    updates: &SyncSender<Update>,
    said: &mut Option<bool>,
) -> Result<Listener, bollard::errors::Error> {
    let socket = socket.to_string_lossy();
    let docker = Docker::connect_with_unix(&socket, PATIENCE, API_DEFAULT_VERSION)?
        .negotiate_version()
        .await?;
    // Listened to before the list is asked for, so that nothing falls between the two.
    let kinds = HashMap::from([("type", vec!["container"])]);
    let mut events = docker.events(Some(EventsOptionsBuilder::new().filters(&kinds).build()));
    let running = docker
        .list_containers(Some(ListContainersOptionsBuilder::new().build()))
        .await?;
    if *said != Some(true) {
        *said = Some(true);
        tracing::info!(containers = running.len(), "docker tells names and images");
    }
    for id in running.into_iter().filter_map(|container| container.id) {
        if !tell(&docker, &id, updates).await {
            return Ok(Listener::Gone);
        }
    }
    while let Some(event) = events.next().await {
        let there = match meaning(&event?) {
            Meaning::Look(id) => tell(&docker, &id, updates).await,
            Meaning::Update(update) => {
                let id = update.id.clone();
                let ended = update.exit_code.is_some();
                // The container is asked after once more: it knows whether memory was short.
                updates.try_send_or_gone(update) && (!ended || tell(&docker, &id, updates).await)
            }
            Meaning::Nothing => true,
        };
        if !there {
            return Ok(Listener::Gone);
        }
    }
    Ok(Listener::There)
}

/// What an event asks for.
#[derive(Debug, PartialEq, Eq)]
enum Meaning {
    Look(String),
    Update(Update),
    Nothing,
}

fn meaning(event: &EventMessage) -> Meaning {
    let Some(actor) = &event.actor else {
        return Meaning::Nothing;
    };
    let (Some(id), Some(EventMessageTypeEnum::CONTAINER)) = (&actor.id, event.typ) else {
        return Meaning::Nothing;
    };
    let attributes = actor.attributes.as_ref();
    match event.action.as_deref() {
        Some("create" | "start" | "rename" | "update" | "restart") => Meaning::Look(id.clone()),
        Some("die") => {
            let code = attributes.and_then(|all| all.get("exitCode")).cloned();
            let mut facts = named(attributes);
            if let Some(code) = &code {
                facts.push((facts::EXIT_CODE.to_owned(), code.clone()));
            }
            if let Some(at) = event.time_nano.filter(|at| *at > 0) {
                facts.push((facts::ENDED.to_owned(), at.to_string()));
            }
            Meaning::Update(Update {
                id: id.clone(),
                facts,
                exit_code: Some(code.unwrap_or_default()),
            })
        }
        Some("oom") => Meaning::Update(Update {
            id: id.clone(),
            facts: vec![(facts::OOM_KILLED.to_owned(), "true".to_owned())],
            exit_code: None,
        }),
        _ => Meaning::Nothing,
    }
}

/// Name and image as an event has them: of a container that is removed before it
/// can be asked after, this is all there is.
fn named(attributes: Option<&HashMap<String, String>>) -> Vec<(String, String)> {
    [("name", facts::NAME), ("image", facts::IMAGE)]
        .into_iter()
        .filter_map(|(key, fact)| Some((fact.to_owned(), attributes?.get(key)?.clone())))
        .collect()
}

/// Asks after a container and tells what is answered; `false` when nobody listens.
async fn tell(docker: &Docker, id: &str, updates: &SyncSender<Update>) -> bool {
    match docker.inspect_container(id, None).await {
        Ok(container) => updates.try_send_or_gone(Update {
            id: id.to_owned(),
            facts: of_inspection(container),
            exit_code: None,
        }),
        Err(error) => {
            tracing::debug!(container = id, "docker cannot say more of it: {error}");
            true
        }
    }
}

fn of_inspection(container: ContainerInspectResponse) -> Vec<(String, String)> {
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
    let state = container.state.unwrap_or_default();
    let mut started = state.started_at.as_deref().and_then(nanoseconds);
    if state.running == Some(false) {
        let ended = state.finished_at.as_deref().and_then(nanoseconds);
        // Docker notes the start when it has been told of it, and of one that ends at once that is
        // after the end: which would read as one that was started again.
        started = started.min(ended.map(|ended| ended - 1)).or(started);
        fact(facts::ENDED, ended.map(|ended| ended.to_string()));
        if state.oom_killed == Some(true) {
            fact(facts::OOM_KILLED, Some("true".to_owned()));
        }
    }
    fact(facts::STARTED, started.map(|started| started.to_string()));
    let mut labels: Vec<_> = config.labels.unwrap_or_default().into_iter().collect();
    labels.sort();
    labels.truncate(LABELS);
    for (label, value) in labels {
        if label.len() + value.len() <= LABEL_LENGTH {
            fact(&format!("{}{label}", facts::LABEL), Some(value));
        }
    }
    found
}

/// A time as Docker writes it (`2026-11-24T22:13:22.559312377Z`), in ns since the Unix epoch.
fn nanoseconds(text: &str) -> Option<u64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let number = |text: &str| text.parse::<i64>().ok();
    let mut date = date.splitn(3, '-');
    let (year, month, day) = (
        number(date.next()?)?,
        number(date.next()?)?,
        number(date.next()?)?,
    );
    let (time, fraction) = time.split_once('.').unwrap_or((time, "0"));
    let mut time = time.splitn(3, ':');
    let (hour, minute, second) = (
        number(time.next()?)?,
        number(time.next()?)?,
        number(time.next()?)?,
    );
    let plausible = (1970..=9_999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && (0..24).contains(&hour)
        && (0..60).contains(&minute)
        && (0..=60).contains(&second)
        && fraction.len() <= 9
        && fraction.bytes().all(|b| b.is_ascii_digit());
    if !plausible {
        return None;
    }
    // Days since the epoch by the civil calendar, years beginning in March.
    let (y, m) = if month > 2 {
        (year, month - 3)
    } else {
        (year - 1, month + 9)
    };
    let days = 365 * y + y / 4 - y / 100 + y / 400 + (153 * m + 2) / 5 + day - 1 - 719_468;
    let seconds = days * 86_400 + hour * 3_600 + minute * 60 + second;
    let fraction = number(&format!("{fraction:0<9}"))?;
    let all = i128::from(seconds) * 1_000_000_000 + i128::from(fraction);
    u64::try_from(all).ok().filter(|all| *all > 0)
}

/// Sending to a loop that may be gone, or busy: then the update is lost, and not waited for.
trait TrySend {
    fn try_send_or_gone(&self, update: Update) -> bool;
}

impl TrySend for SyncSender<Update> {
    fn try_send_or_gone(&self, update: Update) -> bool {
        use std::sync::mpsc::TrySendError;
        match self.try_send(update) {
            Ok(()) => true,
            Err(TrySendError::Full(update)) => {
                tracing::warn!(container = update.id, "too much news from docker at once");
                true
            }
            Err(TrySendError::Disconnected(_)) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Meaning, Update, meaning, nanoseconds, of_inspection};
    use bollard::models::{ContainerInspectResponse, EventMessage};

    fn event(json: &str) -> EventMessage {
        serde_json::from_str(json).unwrap()
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
        let Meaning::Update(update) = meaning(&die) else {
            panic!("a death is news");
        };
        assert_eq!(update.exit_code.as_deref(), Some("3"));
        let fact = |name: &str| {
            let found = update.facts.iter().find(|(key, _)| key == name);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(fact("name"), Some("short"));
        assert_eq!(fact("image"), Some("busybox"));
        assert_eq!(fact("exit_code"), Some("3"));
        assert_eq!(fact("ended"), Some("5000000001"));
    }

    #[test]
    fn other_events() {
        let start = event(r#"{"Type":"container","Action":"start","Actor":{"ID":"abc"}}"#);
        assert_eq!(meaning(&start), Meaning::Look("abc".to_owned()));
        let oom = event(r#"{"Type":"container","Action":"oom","Actor":{"ID":"abc"}}"#);
        assert!(matches!(
            meaning(&oom),
            Meaning::Update(Update {
                exit_code: None,
                ..
            })
        ));
        for json in [
            "{}",
            r#"{"Type":"container","Action":"die"}"#,
            r#"{"Type":"network","Action":"start","Actor":{"ID":"abc"}}"#,
            r#"{"Type":"container","Action":"exec_create: sh","Actor":{"ID":"abc"}}"#,
        ] {
            assert_eq!(meaning(&event(json)), Meaning::Nothing, "{json}");
        }
    }

    #[test]
    fn an_inspection() {
        let json = r#"{"Id":"abc","Name":"/web","Image":"sha256:1","State":{"Running":true,
            "StartedAt":"1970-01-01T00:00:02Z","FinishedAt":"0001-01-01T00:00:00Z"},
            "Config":{"Image":"nginx:1","Labels":{"team":"a"}}}"#;
        let container: ContainerInspectResponse = serde_json::from_str(json).unwrap();
        let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            of_inspection(container),
            [
                fact("name", "web"),
                fact("image", "nginx:1"),
                fact("started", "2000000000"),
                fact("label.team", "a"),
            ]
        );
        assert_eq!(of_inspection(ContainerInspectResponse::default()), []);
    }

    #[test]
    fn one_that_ended_at_once_ended_after_its_start() {
        let json = r#"{"State":{"Running":false,"StartedAt":"1970-01-01T00:00:02.5Z",
            "FinishedAt":"1970-01-01T00:00:02.25Z"}}"#;
        let container: ContainerInspectResponse = serde_json::from_str(json).unwrap();
        let fact = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            of_inspection(container),
            [fact("ended", "2250000000"), fact("started", "2249999999")]
        );
    }
}
