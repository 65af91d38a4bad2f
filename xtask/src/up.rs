//! `up`: the whole system on this machine, from nothing to a link: builds it, starts the server
//! and the agent, and, where no container runs, a small workload to look at. All of it ends with
//! this command.

mod demo;

use std::{
    fs,
    io::Write as _,
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    process::ExitCode,
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::Duration,
};

use anyhow::{Context as _, Result, bail};

use self::demo::Demo;
use crate::{
    build::{self, Profile, program},
    cgroup,
    command::say,
    flags, install,
    process::Process,
    project,
    service::{Server, Service},
};

/// How often we look whether all of it still runs.
const LOOK: Duration = Duration::from_millis(500);

/// What this run is made of.
struct Setup {
    programs: Vec<PathBuf>,
    data: PathBuf,
    server: SocketAddr,
    agent: SocketAddr,
}

/// What runs, in the order in which it has to end: what sends before what receives.
struct System {
    demo: Option<Demo>,
    agent: Service,
    server: Service,
}

pub(crate) fn run(flags: &flags::Up) -> Result<ExitCode> {
    if !install::is_root()? {
        bail!(
            "the agent counts in the kernel, and that takes root: run \
             `sudo --preserve-env=PATH,HOME cargo xtask up`"
        );
    }
    let setup = setup(flags)?;
    let stop = stop_signal()?;
    let mut system = start(&setup, &stop)?;
    watch(&mut system, &stop)?;
    Ok(ExitCode::SUCCESS)
}

fn setup(flags: &flags::Up) -> Result<Setup> {
    let server = SocketAddr::from(([127, 0, 0, 1], flags.server_port));
    let agent = SocketAddr::from(([127, 0, 0, 1], flags.agent_port));
    for (address, flag) in [(server, "--server-port"), (agent, "--agent-port")] {
        TcpListener::bind(address)
            .with_context(|| format!("cannot listen on {address}: choose another by {flag}"))?;
    }
    install::node()?;
    let programs = build::programs(Profile::Release)?;
    let data = flags
        .data
        .clone()
        .unwrap_or_else(|| project::target().join("up"));
    fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    Ok(Setup {
        programs,
        data,
        server,
        agent,
    })
}

/// Starts everything, and says where the page is.
fn start(setup: &Setup, stop: &Receiver<()>) -> Result<System> {
    let mut stopped = || match stop.try_recv() {
        Ok(()) => bail!("stopped before everything ran"),
        Err(_) => Ok(()),
    };
    let url = format!("http://{}", setup.server);
    let data = setup.data.join("server");
    let store = Server {
        program: program(&setup.programs, "bubble-server")?,
        data: &data,
    };
    let mut server = Service::start("bubble-server", store.serve(setup.server), &setup.data)?;
    server.wait(setup.server, "/ping", &mut stopped)?;

    let mut command = Process::command(program(&setup.programs, "bubble-agent")?);
    command
        .args([
            "--server",
            &url,
            "--metrics-listen",
            &setup.agent.to_string(),
        ])
        .args(["--cgroup", demo::CGROUP, "--spool"])
        .arg(setup.data.join("spool"))
        // Not as a flag: the arguments of a process are for everyone to read.
        .env("BUBBLE_API", api_key(setup, &store)?);
    let mut agent = Service::start("bubble-agent", command, &setup.data)?;
    agent.wait(setup.agent, "/metrics", &mut stopped)?;

    let demo = if cgroup::any_container()? {
        None
    } else {
        say(format!(
            "no container runs here: starting a small workload in the cgroup {}, shown as one",
            demo::CGROUP
        ));
        Some(Demo::start(
            program(&setup.programs, "bubble-workload")?,
            &setup.data,
        )?)
    };
    say("all of it runs, and ends with this command (ctrl-C); the page:");
    println!("{url}/#token={}", store.admin_token()?);
    Ok(System {
        demo,
        agent,
        server,
    })
}

/// Until we are told to stop; that one of them ends before is an error.
fn watch(system: &mut System, stop: &Receiver<()>) -> Result<()> {
    loop {
        match stop.recv_timeout(LOOK) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                say("stopping");
                return Ok(());
            }
            Err(RecvTimeoutError::Timeout) => {
                system.server.check()?;
                system.agent.check()?;
                system.demo.as_mut().map_or(Ok(()), Demo::check)?;
            }
        }
    }
}

/// Ctrl-C and SIGTERM as messages.
fn stop_signal() -> Result<Receiver<()>> {
    let (sender, receiver) = mpsc::channel();
    ctrlc::set_handler(move || {
        // Nobody listens any more: we are about to end.
        let _ = sender.send(());
    })
    .context("cannot catch ctrl-C")?;
    Ok(receiver)
}

/// The key of an earlier run, or a new one.
fn api_key(setup: &Setup, store: &Server<'_>) -> Result<String> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = setup.data.join("api-key");
    if let Ok(key) = fs::read_to_string(&path) {
        return Ok(key);
    }
    let key = store.create_key("up")?;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(key.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(key)
}
