//! RabbitMQ on 127.0.0.1: Debian's package, with folders, ports and a name registry (epmd) of its own.
//!
//! It is killed and not asked to end: its queues are on disk, and a test of a broker that died is
//! then the same as a stop.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Context as _, Result};

use super::{
    Started,
    daemon::{Daemon, connect, wait, write},
};
use crate::{
    command::{find, say},
    install, project,
};

pub(crate) const PORT: u16 = 15_673;
/// Known to everyone on this machine, and good for nothing else.
pub(crate) const USER: &str = "bubble";
pub(crate) const PASSWORD: &str = "bubble-on-this-machine";

/// The port of the registry of Erlang's nodes, and that by which they would speak to each other.
const REGISTRY: &str = "14369";
const NODES: &str = "25673";

/// The program itself: what is in the search path changes the user, and uses the system's folders.
const PROGRAM: &str = "/usr/lib/rabbitmq/bin/rabbitmq-server";
const CONFIGURATION: &str = include_str!("../../services/rabbitmq/rabbitmq.conf");

/// Starts it, if it does not run, and waits until it answers.
pub(crate) fn up() -> Result<Started> {
    let daemon = Daemon::of(&folder());
    let started = daemon.running().is_none();
    if started {
        install::rabbitmq()?;
        start(&daemon)?;
    }
    wait(&daemon, "RabbitMQ", answers)?;
    Ok(Started {
        what: "RabbitMQ",
        at: format!("{} (user {USER}, password {PASSWORD})", address()),
        started,
    })
}

/// Kills it, if it runs; its queues stay.
pub(crate) fn down() -> Result<usize> {
    let ended = Daemon::of(&folder()).kill()?;
    Daemon::of(&registry()).kill()?;
    Ok(usize::from(ended))
}

fn folder() -> PathBuf {
    project::cache().join("services/rabbitmq")
}

fn registry() -> PathBuf {
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
    // Without these it looks for the system's.
    write(&folder.join("advanced.config"), "[].\n")?;
    write(&folder.join("enabled_plugins"), "[].\n")?;
    write(&folder.join("generated/about"), "made by RabbitMQ\n")?;
    let other = Daemon::of(&registry());
    if other.running().is_none() {
        let epmd = find("epmd").context("epmd is not installed, which comes with Erlang")?;
        write(
            &registry().join("about"),
            "the registry of Erlang's nodes\n",
        )?;
        other.start(Command::new(epmd).args(["-address", "127.0.0.1", "-port", REGISTRY]))?;
    }
    daemon.start(Command::new(PROGRAM).envs(settings(&folder)))
}

/// Where everything is: all of it in the folder.
fn settings(folder: &Path) -> Vec<(&'static str, String)> {
    let inside = |name: &str| folder.join(name).display().to_string();
    let fixed = [
        // The shell script then becomes the broker, instead of waiting for it.
        ("RUNNING_UNDER_SYSTEMD", "1"),
        ("ERL_EPMD_ADDRESS", "127.0.0.1"),
        ("ERL_EPMD_PORT", REGISTRY),
        ("RABBITMQ_NODENAME", "bubble@localhost"),
        ("RABBITMQ_NODE_IP_ADDRESS", "127.0.0.1"),
        ("RABBITMQ_DIST_PORT", NODES),
        ("RABBITMQ_LOGS", "-"),
        (
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS",
            "-kernel inet_dist_use_interface {127,0,0,1} +S 2:2",
        ),
    ];
    let mut settings: Vec<_> = fixed.map(|(name, value)| (name, value.to_owned())).into();
    settings.push(("RABBITMQ_NODE_PORT", PORT.to_string()));
    settings.extend(
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
    settings
}

/// Whether it speaks AMQP 0-9-1: it answers the header of the protocol by a method's frame.
fn answers() -> bool {
    let ask = || -> std::io::Result<bool> {
        let mut stream = connect(address())?;
        stream.write_all(b"AMQP\x00\x00\x09\x01")?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind == [1])
    };
    ask().unwrap_or(false)
}
