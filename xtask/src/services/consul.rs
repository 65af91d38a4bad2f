//! One agent of Consul on 127.0.0.1, as a server of its own that remembers nothing.
//!
//! Its program is built from its Go module, once, into the cache: of the last line under an open
//! licence. Which versions of which modules, with their checksums, is in xtask/services/consul.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    process::Command,
    thread,
    time::Duration,
};

use anyhow::{Context as _, Result};

use super::{
    Started,
    daemon::{Daemon, connect, wait, write},
};
use crate::{
    command::{find, run, say},
    install, project,
};

pub(crate) const PORT: u16 = 18_500;

/// How often it is tried to build it: hundreds of modules are asked for, and one answer fails now and then.
const TRIES: u32 = 3;
const PAUSE: Duration = Duration::from_secs(10);

const MODULE: &str = include_str!("../../services/consul/go.mod");
const SUMS: &str = include_str!("../../services/consul/go.sum");

/// Starts it, if it does not run, and waits until it has elected itself.
pub(crate) fn up() -> Result<Started> {
    let daemon = Daemon::of(&folder());
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
        what: "Consul",
        at: format!("http://{}", address()),
        started,
    })
}

/// Kills it, if it runs; what was registered is forgotten.
pub(crate) fn down() -> Result<usize> {
    Ok(usize::from(Daemon::of(&folder()).kill()?))
}

fn folder() -> PathBuf {
    project::cache().join("services/consul")
}

fn address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, PORT).into()
}

/// Whether it has a leader, before which nothing can be registered.
fn answers() -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = connect(address())?;
        let head = "GET /v1/status/leader HTTP/1.1\r\nHost: consul\r\nConnection: close\r\n\r\n";
        stream.write_all(head.as_bytes())?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        // A JSON string: empty while there is none.
        Ok(answer.starts_with("HTTP/1.1 200") && answer.contains("\"127.0.0.1:"))
    };
    ask().unwrap_or(false)
}

/// The program, built if it is not there.
fn program() -> Result<PathBuf> {
    let program = folder().join("program/consul");
    // Written last: a build that was cut short is done again, and so is one of another version.
    let complete = folder().join("program/go.sum");
    if fs::read_to_string(&complete).is_ok_and(|text| text == SUMS) {
        return Ok(program);
    }
    install::go()?;
    say("building Consul, once (four minutes)");
    let source = folder().join("source");
    write(&source.join("go.mod"), MODULE)?;
    write(&source.join("go.sum"), SUMS)?;
    let go = find("go").context("go is not installed")?;
    let mut tries = 1;
    loop {
        let built = run(Command::new(&go)
            .current_dir(&source)
            .args(["build", "-o"])
            .arg(&program)
            .arg("github.com/hashicorp/consul"));
        match built {
            Ok(()) => break,
            Err(error) if tries < TRIES => say(format!("{error:#}: trying again")),
            Err(error) => return Err(error),
        }
        thread::sleep(PAUSE);
        tries += 1;
    }
    write(&complete, SUMS)?;
    Ok(program)
}
