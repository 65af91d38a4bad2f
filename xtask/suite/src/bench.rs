//! The bench that workloads are put on: one server, one agent, and containers beside them.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use crate::agent::Agent;
use crate::api::{Container, Ledger, Span};
use crate::compare::differences;
use crate::container::{Finished, Runner, Running, Spec, runner};
use crate::server::Server;
use crate::settings;

/// A server, an agent, and a way to run containers that the agent sees.
#[expect(missing_debug_implementations, reason = "the runner is a trait object")]
pub struct Bench {
    /// The server, for the tests that stop it.
    pub server: Server,
    /// The agent, for the tests that stop it.
    pub agent: Agent,
    folder: PathBuf,
}

/// A folder of this run's, on disk (`/var/tmp` is not a tmpfs; a guest may have `/tmp` only).
fn folder() -> Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf>> = OnceLock::new();
    let made = FOLDER.get_or_init(|| {
        let parent = Path::new("/var/tmp");
        let parent = if parent.is_dir() {
            parent
        } else {
            Path::new("/tmp")
        }
        .join("bubble-suite");
        // What earlier runs left, whose processes are no more.
        for old in fs::read_dir(&parent).into_iter().flatten().flatten() {
            if !Path::new("/proc").join(old.file_name()).exists() {
                let _ = fs::remove_dir_all(old.path());
            }
        }
        let folder = parent.join(std::process::id().to_string());
        fs::create_dir_all(&folder)?;
        Ok(folder)
    });
    made.as_deref()
        .map_err(|error| anyhow::anyhow!("cannot make a folder: {error:#}"))
}

/// The runner, one for all tests.
///
/// # Errors
/// When there is none that works here.
pub fn containers() -> Result<&'static dyn Runner> {
    static RUNNER: OnceLock<Result<Box<dyn Runner>>> = OnceLock::new();
    let made = RUNNER.get_or_init(|| runner(folder()?));
    made.as_deref()
        .map_err(|error| anyhow::anyhow!("no containers can be run: {error:#}"))
}

/// Seconds since 1970.
pub fn now() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |t| t.as_secs_f64())
}

/// The time in which `finished` lived, and some around it: a container is older than its work.
pub fn span(finished: &Finished) -> Span {
    Span {
        from: (finished.truth.start_ns as f64 / 1e9 - 60.0).floor(),
        to: now().ceil(),
    }
}

impl Bench {
    /// A bench of the test's own, called `name`.
    ///
    /// # Errors
    /// When server or agent do not come up.
    pub fn new(name: &str) -> Result<Self> {
        let folder = folder()?.join(name);
        fs::create_dir_all(&folder)?;
        let server = Server::start(&folder)?;
        let agent = Agent::start(&folder, &server, &containers()?.agent_args())?;
        Ok(Self {
            server,
            agent,
            folder,
        })
    }

    /// The bench that all tests share which leave it alone.
    ///
    /// # Panics
    /// When it does not come up: then no test can do its work.
    pub fn shared() -> &'static Mutex<Self> {
        static BENCH: OnceLock<Mutex<Bench>> = OnceLock::new();
        BENCH.get_or_init(|| match Self::new("shared") {
            Ok(bench) => Mutex::new(bench),
            Err(error) => panic!("the bench does not come up: {error:#}"),
        })
    }

    /// Where this bench keeps its things.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// The container called `name`, once the server knows it as `state`.
///
/// # Errors
/// When that takes too long.
pub fn find(api: &crate::api::Api, name: &str, state: Option<&str>) -> Result<Container> {
    let deadline = Instant::now() + settings::patience(Duration::from_secs(20));
    let id = containers()?.id(name);
    loop {
        let found = match &id {
            Some(id) => api.container(id)?,
            None => api
                .search(name)?
                .into_iter()
                .find(|found| found.name == name),
        };
        match found {
            Some(found) if state.is_none_or(|state| found.state == state) => return Ok(found),
            seen if Instant::now() > deadline => bail!(
                "the server should know {name} as {}, but knows {seen:?}",
                state.unwrap_or("anything"),
            ),
            _ => sleep(Duration::from_millis(100)),
        }
    }
}

/// Runs one workload to its end.
///
/// # Errors
/// When it does not do its work.
pub fn run(spec: &Spec) -> Result<Finished> {
    containers()?.start(spec)?.wait()
}

/// Runs a server and a client, each in a container, `client` once `server` listens.
///
/// # Errors
/// When either does not do its work.
pub fn run_pair(server: &Spec, client: &Spec) -> Result<[Finished; 2]> {
    let mut server: Box<dyn Running> = containers()?.start(server)?;
    server.listening()?;
    let client = run(client).context("the client")?;
    Ok([server.wait().context("the server")?, client])
}

/// Waits until what is stored of each container is what its workload says, and then looks once
/// more, as what comes late or twice would.
///
/// # Errors
/// With everything that differs in the end.
pub fn check(all: &[Finished]) -> Result<()> {
    let api = {
        let bench = Bench::shared().lock();
        bench
            .map_err(|_| anyhow::anyhow!("another test broke the bench"))?
            .server
            .api()
            .clone()
    };
    let mut report = Vec::new();
    for finished in all {
        let id = find(&api, &finished.name, Some("ended"))?.id;
        let deadline = Instant::now() + settings::patience(Duration::from_secs(10));
        while !different(&api, &id, finished)?.1.is_empty() && Instant::now() < deadline {
            sleep(Duration::from_millis(500));
        }
    }
    sleep(settings::patience(Duration::from_secs(2)));
    for finished in all {
        let id = find(&api, &finished.name, Some("ended"))?.id;
        let (_, found) = different(&api, &id, finished)?;
        if !found.is_empty() {
            let case = &finished.truth.case;
            report.push(format!(
                "{case} in {}:\n    {}",
                finished.name,
                found.join("\n    ")
            ));
        }
    }
    ensure!(
        report.is_empty(),
        "stored is not what was done\n{}",
        report.join("\n")
    );
    Ok(())
}

fn different(
    api: &crate::api::Api,
    id: &str,
    finished: &Finished,
) -> Result<(Ledger, Vec<String>)> {
    let ledger = api.ledger(id, span(finished))?;
    let found = differences(finished, &ledger);
    Ok((ledger, found))
}
