//! One Consul server on 127.0.0.1, in development mode: it stores nothing on disk.
//!
//! It is built once from its Go module, into the cache. The version is the last one under an open
//! licence. go.mod and go.sum in xtask/services/consul pin all modules.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use std::{fs, thread};

use anyhow::{Context as _, Result};

use super::daemon::{Daemon, Started, connect, wait, write};
use crate::command::{find, run, say};
use crate::{install, project};

pub(crate) const PORT: u16 = 18_500;

/// Attempts to build it. It downloads hundreds of modules, and now and then one download fails.
const MAX_ATTEMPTS: u32 = 3;
const RETRY_DELAY: Duration = Duration::from_secs(10);

const GO_MOD: &str = include_str!("../../services/consul/go.mod");
const GO_SUM: &str = include_str!("../../services/consul/go.sum");

/// Starts it if it does not run, and waits until it has elected itself leader.
pub(crate) fn up() -> Result<Started> {
    let daemon = Daemon::new(&folder());
    let started = daemon.running().is_none();
    if started {
        let program = program()?;
        say(format!("starting Consul, in {}", folder().display()));
        let mut command = Command::new(program);
        command.args(["agent", "-dev", "-node=bubble"]);
        command.args(["-bind=127.0.0.1", "-client=127.0.0.1"]);
        command.arg(format!("-http-port={PORT}"));
        command.args(["-dns-port=18600", "-grpc-port=18502"]);
        command.args(["-serf-lan-port=18301", "-serf-wan-port=18302"]);
        command.args(["-server-port=18300", "-log-level=warn"]);
        command.args(["-disable-host-node-id", "-disable-keyring-file"]);
        command.args([
            "-hcl=disable_update_check = true",
            "-hcl=ports { grpc_tls = -1 }",
            "-hcl=connect { enabled = false }",
        ]);
        daemon.start(&mut command)?;
    }
    wait(&daemon, "Consul", answers)?;
    Ok(Started {
        name: "Consul",
        address: format!("http://{}", address()),
        started,
    })
}

/// Kills it if it runs. Its registrations are lost.
pub(crate) fn down() -> Result<usize> {
    Ok(usize::from(Daemon::new(&folder()).kill()?))
}

fn folder() -> PathBuf {
    project::cache().join("services/consul")
}

fn address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, PORT).into()
}

/// Whether it has a leader. Registrations need one.
fn answers() -> bool {
    let request = || -> std::io::Result<bool> {
        let mut stream = connect(address())?;
        let head = "GET /v1/status/leader HTTP/1.1\r\nHost: consul\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        // The body is a JSON string, which is empty without a leader.
        Ok(answer.starts_with("HTTP/1.1 200") && answer.contains("\"127.0.0.1:"))
    };
    request().unwrap_or(false)
}

/// Builds the program if it is missing, and returns its path.
pub(crate) fn program() -> Result<PathBuf> {
    let _lock = install::lock("consul")?;
    let program = folder().join("program/consul");
    // Written last, so an interrupted build and one of another version are repeated.
    let complete = folder().join("program/go.sum");
    if fs::read_to_string(&complete).is_ok_and(|text| text == GO_SUM) {
        return Ok(program);
    }
    install::go()?;
    say("building Consul, once (four minutes)");
    let source = folder().join("source");
    write(&source.join("go.mod"), GO_MOD)?;
    write(&source.join("go.sum"), GO_SUM)?;
    let go = find("go").context("go is not installed")?;
    let mut attempts = 1;
    loop {
        let built = run(Command::new(&go)
            .current_dir(&source)
            .args(["build", "-o"])
            .arg(&program)
            .arg("github.com/hashicorp/consul"));
        match built {
            Ok(()) => break,
            Err(error) if attempts < MAX_ATTEMPTS => say(format!("{error:#}: trying again")),
            Err(error) => return Err(error),
        }
        thread::sleep(RETRY_DELAY);
        attempts += 1;
    }
    write(&complete, GO_SUM)?;
    Ok(program)
}
