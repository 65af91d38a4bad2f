//! `up`: starts the whole system on this machine and prints a link to a page with live data.
//!
//! Some machines, such as containers and CI runners, have no eBPF, a read-only cgroupfs or no root.
//! So `up` tries these in order, and prints the reason when one fails:
//!
//! | this machine | the page |
//! |---|---|
//! | cgroups can be created | the demonstration as a container, by eBPF or else by procfs |
//! | cgroups cannot be created | the demonstration among all processes of this host |
//! | no live agent | a recording that is posted |

mod demo;
mod instance;
mod recording;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail};

use self::demo::Demo;
use self::instance::Instance;
use crate::build::{self, Profile, program};
use crate::cgroup::{self, Cgroup};
use crate::command::say;
use crate::process::Process;
use crate::service::{Server, Service};
use crate::{flags, install};

/// Interval between two checks that everything still runs.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);
/// Time that the first numbers may take to reach the server.
const FIRST_DATA_TIMEOUT: Duration = Duration::from_secs(20);
/// The demonstration's cgroup, and its name on the page.
const CGROUP: &str = "bubble-demo";

/// The programs that produce live data. Fields are dropped in this order: senders before receivers.
struct Live {
    demo: Option<Demo>,
    agent: Service,
    /// Removed after its processes have ended.
    _cgroup: Option<Cgroup>,
}

/// The built programs, and the folder and addresses of this run.
struct Setup {
    programs: Vec<PathBuf>,
    instance: Instance,
}

pub(crate) fn run(flags: &flags::Up) -> Result<ExitCode> {
    let instance = Instance::claim(flags)?;
    let mut begun = build::begin()?;
    if let Err(error) = install::node() {
        say(format!("the page cannot be built: {error:#}"));
    }
    let programs = build::programs(Profile::Dev);
    // It has ended, as Cargo's lock was free.
    begun.wait().context("cannot wait for cargo")?;
    let setup = Setup {
        programs: programs?,
        instance,
    };
    let stop = stop_signal()?;
    let data = setup.instance.data().join("server");
    let store = Server {
        program: program(&setup.programs, "bubble-server")?,
        data: &data,
    };
    let mut server = Service::start(
        "bubble-server",
        store.serve(setup.instance.server),
        setup.instance.data(),
    )?;
    server.wait(setup.instance.server, "/ping", &mut || not_stopped(&stop))?;
    let url = format!("http://{}", setup.instance.server);
    let token = store.admin_token()?;
    let key = setup.instance.api_key(&store)?;

    let mut live = match start_live(&setup, &url, &key, &stop)
        .and_then(|live| wait_for_data(live, &url, &token, &stop))
    {
        Ok(live) => Some(live),
        Err(error) => {
            not_stopped(&stop)?;
            say(format!("nothing can be counted live here: {error:#}"));
            recording::post(program(&setup.programs, "bubble-agent")?, &url, &key)?;
            None
        }
    };
    say("all of it runs, and ends with this command (ctrl-C); the page:");
    println!("{url}/#token={token}");
    watch(&mut server, live.as_mut(), &stop)?;
    Ok(ExitCode::SUCCESS)
}

/// Starts the agent, and the demonstration if no container runs.
fn start_live(setup: &Setup, url: &str, key: &str, stop: &Receiver<()>) -> Result<Live> {
    let cgroup = if cgroup::any_container()? {
        None
    } else {
        Some(Cgroup::create(CGROUP))
    };
    let mut command = Process::command(program(&setup.programs, "bubble-agent")?);
    command
        .args(["--server", url])
        // This server has no other agent of this host, so nothing counts twice.
        .arg("--beside-others")
        .args(["--metrics-listen", &setup.instance.agent.to_string()])
        .arg("--spool")
        .arg(setup.instance.data().join("spool"))
        // Not a flag, because every user can read the arguments of a process.
        .env("BUBBLE_API", key);
    match &cgroup {
        None => {}
        Some(Ok(cgroup)) => {
            command.args(["--cgroup", cgroup.path()]);
        }
        Some(Err(error)) => {
            say(format!(
                "{error:#}: the demonstration is shown among all processes of this host"
            ));
            command.arg("--include-host");
        }
    }
    if !install::is_root()? {
        say("not root: only what /proc shows to this user is counted; as root, eBPF counts all");
        command.args(["--source", "procfs"]);
    }
    let needs_demo = cgroup.is_some();
    let cgroup = cgroup.and_then(Result::ok);
    let mut agent = Service::start("bubble-agent", command, setup.instance.data())?;
    agent.wait(setup.instance.agent, "/metrics", &mut || not_stopped(stop))?;
    for line in agent.warnings() {
        say(line);
    }
    let demo = needs_demo
        .then(|| {
            say("no container runs here: starting a small web shop to look at");
            Demo::start(
                program(&setup.programs, "bubble-workload")?,
                setup.instance.data(),
                cgroup.as_ref(),
            )
        })
        .transpose()?;
    Ok(Live {
        demo,
        agent,
        _cgroup: cgroup,
    })
}

/// Waits until the server has a container that ran a moment ago.
fn wait_for_data(mut live: Live, url: &str, token: &str, stop: &Receiver<()>) -> Result<Live> {
    let deadline = Instant::now() + FIRST_DATA_TIMEOUT;
    while !any_running(url, token)? {
        not_stopped(stop)?;
        live.agent.check()?;
        if Instant::now() >= deadline {
            bail!(
                "the agent has sent nothing for {} s: {}",
                FIRST_DATA_TIMEOUT.as_secs(),
                live.agent.log_end()
            );
        }
        thread::sleep(CHECK_INTERVAL);
    }
    Ok(live)
}

/// Whether the server lists a running container.
fn any_running(url: &str, token: &str) -> Result<bool> {
    let address = format!("{url}/api/v1/containers?state=running&limit=1");
    let mut answer = ureq::get(&address)
        .header("authorization", format!("Bearer {token}"))
        .call()
        .with_context(|| format!("GET {address}"))?;
    let list: serde_json::Value = answer.body_mut().read_json()?;
    let total = list.get("total").and_then(serde_json::Value::as_u64);
    Ok(total.with_context(|| format!("GET {address}: no total in {list}"))? > 0)
}

/// Waits until the user stops it. An error if a program ends before.
fn watch(server: &mut Service, mut live: Option<&mut Live>, stop: &Receiver<()>) -> Result<()> {
    loop {
        match stop.recv_timeout(CHECK_INTERVAL) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                say("stopping");
                return Ok(());
            }
            Err(RecvTimeoutError::Timeout) => {
                server.check()?;
                if let Some(live) = live.as_deref_mut() {
                    live.agent.check()?;
                    live.demo.as_mut().map_or(Ok(()), Demo::check)?;
                }
            }
        }
    }
}

/// Ctrl-C and SIGTERM as messages.
fn stop_signal() -> Result<Receiver<()>> {
    let (sender, receiver) = mpsc::channel();
    ctrlc::set_handler(move || {
        // The receiver is gone while this program ends.
        let _ = sender.send(());
    })
    .context("cannot catch ctrl-C")?;
    Ok(receiver)
}

/// An error once the user has stopped it.
fn not_stopped(stop: &Receiver<()>) -> Result<()> {
    match stop.try_recv() {
        Ok(()) => Err(anyhow!("stopped before everything ran")),
        Err(_) => Ok(()),
    }
}
