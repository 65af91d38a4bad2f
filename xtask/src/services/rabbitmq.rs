//! RabbitMQ on 127.0.0.1: Debian's package, with its own folders, ports and name registry (epmd).
//!
//! It is killed instead of stopped. Its queues are on disk, so a stop tests the same as a crash.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use super::daemon::{Daemon, Started, connect, wait, write};
use crate::command::{find, say};
use crate::{install, project};

pub(crate) const PORT: u16 = 15_673;
/// Public: they protect nothing, as the broker listens on this machine only.
pub(crate) const USER: &str = "bubble";
pub(crate) const PASSWORD: &str = "bubble-on-this-machine";

/// The port of epmd, the registry of Erlang's nodes.
const REGISTRY_PORT: &str = "14369";
/// The port for the traffic between nodes.
const NODE_PORT: &str = "25673";

/// The broker's own script. The one in PATH changes the user and uses the system's folders.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CONFIGURATION: &str = include_str!("../../services/rabbitmq/rabbitmq.conf");

/// Starts it if it does not run, and waits until it answers.
pub(crate) fn up() -> Result<Started> {
    let daemon = Daemon::new(&folder());
    let started = daemon.running().is_none();
    if started {
        install::rabbitmq()?;
        start(&daemon)?;
    }
    wait(&daemon, "RabbitMQ", answers)?;
    Ok(Started {
        name: "RabbitMQ",
        address: format!("{} (user {USER}, password {PASSWORD})", address()),
        started,
    })
}

/// Kills it if it runs. Its queues stay.
pub(crate) fn down() -> Result<usize> {
    let ended = Daemon::new(&folder()).kill()?;
    Daemon::new(&registry_folder()).kill()?;
    Ok(usize::from(ended))
}

fn folder() -> PathBuf {
    project::cache().join("services/rabbitmq")
}

fn registry_folder() -> PathBuf {
    folder().join("epmd")
}

fn address() -> SocketAddr {
    (Ipv4Addr::LOCALHOST, PORT).into()
}

fn start(daemon: &Daemon) -> Result<()> {
    let folder = folder();
    say(format!("starting RabbitMQ, in {}", folder.display()));
    let configuration = CONFIGURATION
        .replace("@PORT@", &PORT.to_string())
        .replace("@USER@", USER)
        .replace("@PASSWORD@", PASSWORD);
    write(&folder.join("rabbitmq.conf"), &configuration)?;
    write(&folder.join("rabbitmq-env.conf"), "")?;
    // Without these files it would use the system's.
    write(&folder.join("advanced.config"), "[].\n")?;
    write(&folder.join("enabled_plugins"), "[].\n")?;
    write(&folder.join("generated/about"), "made by RabbitMQ\n")?;
    let registry = Daemon::new(&registry_folder());
    if registry.running().is_none() {
        let epmd = find("epmd").context("epmd is not installed; it is part of Erlang")?;
        write(
            &registry_folder().join("about"),
            "the registry of Erlang's nodes\n",
        )?;
        registry.start(Command::new(epmd).args([
            "-address",
            "127.0.0.1",
            "-port",
            REGISTRY_PORT,
        ]))?;
    }
    daemon.start(Command::new(PROGRAM).envs(environment(&folder)))
}

/// The broker's environment: all of its files are in the folder.
fn environment(folder: &Path) -> Vec<(&'static str, String)> {
    let inside = |name: &str| folder.join(name).display().to_string();
    let fixed = [
        // The script then execs the broker instead of waiting for it.
        ("RUNNING_UNDER_SYSTEMD", "1"),
        ("ERL_EPMD_ADDRESS", "127.0.0.1"),
        ("ERL_EPMD_PORT", REGISTRY_PORT),
        ("RABBITMQ_NODENAME", "bubble@localhost"),
        ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1"),
        ("RABBITMQ_DIST_PORT", NODE_PORT),
        ("RABBITMQ_LOGS", "-"),
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
        ),
    ];
    let mut variables: Vec<_> = fixed.map(|(name, value)| (name, value.to_owned())).into();
    variables.push(("RABBITMQ_NODE_PORT", PORT.to_string()));
    variables.extend(
        [
            ("HOME", ""),
            ("RABBITMQ_HOME_DIR", ""),
            ("RABBITMQ_MNESIA_BASE", "data"),
            ("RABBITMQ_LOG_BASE", "logs"),
            ("RABBITMQ_PID_FILE", "rabbit.pid"),
            ("RABBITMQ_CONF_ENV_FILE", "rabbitmq-env.conf"),
            ("RABBITMQ_CONFIG_FILE", "rabbitmq.conf"),
            ("RABBITMQ_ADVANCED_CONFIG_FILE", "advanced.config"),
            ("RABBITMQ_GENERATED_CONFIG_DIR", "generated"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "enabled_plugins"),
            ("RABBITMQ_FEATURE_FLAGS_FILE", "feature_flags"),
        ]
        .map(|(name, file)| (name, inside(file))),
    );
    variables
}

/// Whether it speaks AMQP 0-9-1: it answers the protocol header with a method frame.
fn answers() -> bool {
    let request = || -> std::io::Result<bool> {
        let mut stream = connect(address())?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind == [1])
    };
    request().unwrap_or(false)
}
