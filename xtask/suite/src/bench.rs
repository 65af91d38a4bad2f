//! The test bench: one server, one agent, and containers.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, OnceLock};
use std::thread::sleep;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result, bail, ensure};

use crate::agent::Agent;
use crate::api::{Api, Container, Ledger, Span};
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

/// The folder of this run. Prefers `/var/tmp`, which is on disk; a guest may only have `/tmp`.
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
        // Remove the folders of earlier runs, which have no process any more.
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
        .map_err(|error| anyhow::anyhow!("cannot create a folder: {error:#}"))
}

/// The runner for all tests.
///
/// # Errors
/// If no runner works here.
pub fn containers() -> Result<&'static dyn Runner> {
    static RUNNER: OnceLock<Result<Box<dyn Runner>>> = OnceLock::new();
    let made = RUNNER.get_or_init(|| runner(folder()?));
    made.as_deref()
        .map_err(|error| anyhow::anyhow!("cannot run containers: {error:#}"))
}

/// Seconds since the Unix epoch.
pub fn now() -> f64 {
    SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .map_or(0.0, |t| t.as_secs_f64())
}

/// The lifetime of `finished`, and a minute before, as a container is older than its work.
pub fn span(finished: &Finished) -> Span {
    Span {
        from: (finished.truth.start_ns as f64 / 1e9 - 60.0).floor(),
        to: now().ceil(),
    }
}

impl Bench {
    /// Starts a bench for one test, called `name`.
    ///
    /// # Errors
    /// If server or agent do not start.
    pub fn new(name: &str) -> Result<Self> {
        Self::with_agent_args(name, &containers()?.agent_args())
    }

    /// The same; the kernel goes on counting if the agent is killed.
    ///
    /// # Errors
    /// If server or agent do not start.
    pub fn pinned(name: &str) -> Result<Self> {
        let pins = format!("/sys/fs/bpf/bubble-suite-{name}-{}", std::process::id());
        Self::start(name, Some(pins.into()), &containers()?.agent_args())
    }

    /// The same with other arguments of the agent, which say which containers it sees.
    ///
    /// # Errors
    /// If server or agent do not start.
    pub fn with_agent_args(name: &str, args: &[String]) -> Result<Self> {
        Self::start(name, None, args)
    }

    fn start(name: &str, pins: Option<PathBuf>, args: &[String]) -> Result<Self> {
        let folder = folder()?.join(name);
        fs::create_dir_all(&folder)?;
        let server = Server::start(&folder)?;
        let agent = Agent::start(&folder, &server, pins, args)?;
        Ok(Self {
            server,
            agent,
            folder,
        })
    }

    /// The bench for all tests that do not stop its server or agent.
    ///
    /// # Panics
    /// If it does not start.
    pub fn shared() -> &'static Mutex<Self> {
        static BENCH: OnceLock<Mutex<Bench>> = OnceLock::new();
        BENCH.get_or_init(|| match Self::new("shared") {
            Ok(bench) => Mutex::new(bench),
            Err(error) => panic!("cannot start the bench: {error:#}"),
        })
    }

    /// The folder of this bench.
    pub fn folder(&self) -> &Path {
        &self.folder
    }
}

/// Waits until the server knows the container called `name`, in `state` if given.
///
/// # Errors
/// If that takes too long.
pub fn find(api: &Api, name: &str, state: Option<&str>) -> Result<Container> {
    match containers()?.id(name) {
        Some(id) => wait_for(name, state, || api.container(&id)),
        None => find_cgroup(api, name, state),
    }
}

/// The same for a container that is a plain cgroup.
///
/// # Errors
/// If that takes too long.
pub fn find_cgroup(api: &Api, name: &str, state: Option<&str>) -> Result<Container> {
    wait_for(name, state, || {
        let found = api.search(name)?;
        Ok(found.into_iter().find(|found| found.name == name))
    })
}

fn wait_for(
    name: &str,
    state: Option<&str>,
    get: impl Fn() -> Result<Option<Container>>,
) -> Result<Container> {
    let deadline = Instant::now() + settings::timeout(Duration::from_secs(20));
    loop {
        let found = get()?;
        match found {
            Some(found) if state.is_none_or(|state| found.state == state) => return Ok(found),
            seen if Instant::now() > deadline => bail!(
                "the server does not know {name} in state {}, but {seen:?}",
                state.unwrap_or("any"),
            ),
            _ => sleep(Duration::from_millis(100)),
        }
    }
}

/// Runs one workload to its end.
///
/// # Errors
/// If it fails.
pub fn run(spec: &Spec) -> Result<Finished> {
    containers()?.start(spec)?.wait()
}

/// Runs a server and a client, each in a container. The client starts when the server listens.
///
/// # Errors
/// If either fails.
pub fn run_pair(server: &Spec, client: &Spec) -> Result<[Finished; 2]> {
    let mut server: Box<dyn Running> = containers()?.start(server)?;
    server.wait_until_listening()?;
    let client = run(client).context("the client")?;
    Ok([server.wait().context("the server")?, client])
}

/// The stored data of a container that has ended, after all of it arrived.
///
/// # Errors
/// If the server does not know it.
pub fn ledger(finished: &Finished) -> Result<Ledger> {
    let api = {
        let bench = Bench::shared().lock();
        let bench =
            bench.map_err(|_| anyhow::anyhow!("another test panicked with the bench locked"));
        bench?.server.api().clone()
    };
    let id = find(&api, &finished.name, Some("ended"))?.id;
    sleep(settings::pause(Duration::from_secs(4)));
    api.ledger(&id, span(finished))
}

/// Waits until the stored data of each container is as its workload says. Checks again after 2 s, to
/// find what arrives late or twice.
///
/// # Errors
/// Lists all differences.
pub fn check(all: &[Finished]) -> Result<()> {
    let api = {
        let bench = Bench::shared().lock();
        bench
            .map_err(|_| anyhow::anyhow!("another test panicked with the bench locked"))?
            .server
            .api()
            .clone()
    };
    let mut report = Vec::new();
    for finished in all {
        let id = find(&api, &finished.name, Some("ended"))?.id;
        let deadline = Instant::now() + settings::timeout(Duration::from_secs(10));
        while !compare(&api, &id, finished)?.1.is_empty() && Instant::now() < deadline {
            sleep(Duration::from_millis(500));
        }
    }
    sleep(settings::late_time());
    for finished in all {
        let id = find(&api, &finished.name, Some("ended"))?.id;
        let (_, found) = compare(&api, &id, finished)?;
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
        "the stored data differs from the work done\n{}",
        report.join("\n")
    );
    Ok(())
}

fn compare(api: &Api, id: &str, finished: &Finished) -> Result<(Ledger, Vec<String>)> {
    let ledger = api.ledger(id, span(finished))?;
    let found = differences(finished, &ledger);
    Ok((ledger, found))
}
