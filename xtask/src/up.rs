//! `up`: the whole system on this machine, from nothing to a link: builds it, starts the server
//! and the agent, and, where no container runs, a small workload to look at. All of it ends with
//! this command.

mod demo;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::mpsc::{self, Receiver, RecvTimeoutError},
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};

use self::demo::Demo;
use crate::{
    build::{self, Profile},
    cgroup,
    command::{output, say},
    flags, install,
    process::Process,
    project,
};

/// How long server and agent may take to answer after their start.
const START: Duration = Duration::from_secs(30);
/// How often we look whether all of it still runs.
const LOOK: Duration = Duration::from_millis(500);

/// What this run is made of.
struct Setup {
    server: PathBuf,
    agent: PathBuf,
    workload: PathBuf,
    data: PathBuf,
    address: SocketAddr,
    metrics: SocketAddr,
}

pub(crate) fn run(flags: &flags::Up) -> Result<ExitCode> {
    if !install::is_root()? {
        bail!(
            "the agent counts in the kernel, and that takes root: run `sudo --preserve-env=PATH,HOME cargo xtask up`"
        );
    }
    let setup = setup(flags)?;
    let stop = stop_signal()?;
    // Dropped from the last to the first, however this ends: what sends before what receives.
    let mut running = Vec::new();
    let result = start(&setup, &mut running, &stop).and_then(|demo| {
        let result = watch(&mut running, &stop);
        drop(demo);
        result
    });
    while let Some(process) = running.pop() {
        drop(process);
    }
    result.map(|()| ExitCode::SUCCESS)
}

fn setup(flags: &flags::Up) -> Result<Setup> {
    let address = SocketAddr::from(([127, 0, 0, 1], flags.server_port));
    let metrics = SocketAddr::from(([127, 0, 0, 1], flags.agent_port));
    for (address, flag) in [(address, "--server-port"), (metrics, "--agent-port")] {
        TcpListener::bind(address)
            .with_context(|| format!("{address} is in use: choose another by {flag}"))?;
    }
    install::node()?;
    let programs = build::programs(Profile::Release)?;
    let program = |name: &str| {
        let found = programs.iter().find(|path| path.ends_with(name)).cloned();
        found.with_context(|| format!("{name} was not built"))
    };
    let data = flags
        .data
        .clone()
        .unwrap_or_else(|| project::target().join("up"));
    fs::create_dir_all(&data).with_context(|| format!("cannot make {}", data.display()))?;
    Ok(Setup {
        server: program("bubble-server")?,
        agent: program("bubble-agent")?,
        workload: program("bubble-workload")?,
        data,
        address,
        metrics,
    })
}

/// Starts everything, and says where the page is.
fn start(setup: &Setup, running: &mut Vec<Process>, stop: &Receiver<()>) -> Result<Option<Demo>> {
    let url = format!("http://{}", setup.address);
    let data = setup.data.join("server");
    let mut server = Process::command(&setup.server);
    server
        .args(["serve", "--listen", &setup.address.to_string(), "--data"])
        .arg(&data);
    running.push(logged("bubble-server", server, &setup.data)?);
    wait(
        "bubble-server",
        setup.address,
        "/ping",
        running,
        stop,
        &setup.data,
    )?;

    let key = api_key(setup, &data)?;
    let mut agent = Process::command(&setup.agent);
    agent
        .args([
            "--server",
            &url,
            "--metrics-listen",
            &setup.metrics.to_string(),
        ])
        .args(["--cgroup", demo::CGROUP, "--spool"])
        .arg(setup.data.join("spool"))
        // Not as a flag: the arguments of a process are for everyone to read.
        .env("BUBBLE_API", key);
    running.push(logged("bubble-agent", agent, &setup.data)?);
    wait(
        "bubble-agent",
        setup.metrics,
        "/metrics",
        running,
        stop,
        &setup.data,
    )?;

    let demo = if cgroup::any_container()? {
        None
    } else {
        say(format!(
            "no container runs here: starting a small workload in the cgroup {}, shown as one",
            demo::CGROUP
        ));
        Some(Demo::start(&setup.workload, &setup.data)?)
    };
    let token = output(
        Command::new(&setup.server)
            .args(["token", "--admin", "--data"])
            .arg(&data),
    )?;
    say("all of it runs; it ends with this command (ctrl-C)");
    println!("{url}/#token={token}");
    Ok(demo)
}

/// Until we are told to stop; that one of them ends before is an error.
fn watch(running: &mut [Process], stop: &Receiver<()>) -> Result<()> {
    loop {
        match stop.recv_timeout(LOOK) {
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                say("stopping");
                return Ok(());
            }
            Err(RecvTimeoutError::Timeout) => all_run(running)?,
        }
    }
}

fn all_run(running: &mut [Process]) -> Result<()> {
    for process in running {
        if let Some(status) = process.ended()? {
            bail!("{} ended with {status}", process.name());
        }
    }
    Ok(())
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

/// Starts a program that writes into a log of its own.
fn logged(name: &'static str, mut command: Command, folder: &Path) -> Result<Process> {
    let log = log(name, folder);
    let file = fs::File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
    command
        .stdin(Stdio::null())
        .stdout(file.try_clone().context("cannot share the log")?)
        .stderr(file);
    Process::start(name, command)
}

fn log(name: &str, folder: &Path) -> PathBuf {
    folder.join(format!("{name}.log"))
}

/// The key of an earlier run, or a new one.
fn api_key(setup: &Setup, data: &Path) -> Result<String> {
    use std::os::unix::fs::OpenOptionsExt as _;
    let path = setup.data.join("api-key");
    if let Ok(key) = fs::read_to_string(&path) {
        return Ok(key.trim().to_owned());
    }
    let key = output(
        Command::new(&setup.server)
            .args(["key", "create", "--owner", "up", "--data"])
            .arg(data),
    )?;
    fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|mut file| file.write_all(key.as_bytes()))
        .with_context(|| format!("cannot write {}", path.display()))?;
    Ok(key)
}

/// Waits until the program just started answers with success at a path.
fn wait(
    name: &str,
    address: SocketAddr,
    path: &str,
    running: &mut [Process],
    stop: &Receiver<()>,
    folder: &Path,
) -> Result<()> {
    let log = log(name, folder);
    let deadline = Instant::now() + START;
    while !answers(address, path) {
        all_run(running).with_context(|| last_lines(&log))?;
        if Instant::now() >= deadline {
            bail!(
                "{name} does not answer at http://{address}{path}\n{}",
                last_lines(&log)
            );
        }
        if stop.recv_timeout(Duration::from_millis(100)).is_ok() {
            bail!("stopped before everything ran");
        }
    }
    Ok(())
}

fn answers(address: SocketAddr, path: &str) -> bool {
    let ask = || -> std::io::Result<bool> {
        let limit = Duration::from_secs(2);
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_read_timeout(Some(limit))?;
        write!(
            stream,
            "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
        )?;
        // "HTTP/1.1 200"
        let mut start = [0; 12];
        stream.read_exact(&mut start)?;
        Ok(start.starts_with(b"HTTP/1.") && start[9] == b'2')
    };
    ask().unwrap_or(false)
}

fn last_lines(log: &Path) -> String {
    let text = fs::read_to_string(log).unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let last = lines[lines.len().saturating_sub(10)..].join("\n");
    format!("the end of {}:\n{last}", log.display())
}
