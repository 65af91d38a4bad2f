//! The groups that need the parts of a large installation: those that do not run are started for
//! them, and killed again.

use std::{env, process::Command};

use anyhow::{Context as _, Result};

use crate::{
    build::workspace_cargo,
    command::run,
    flags::Part,
    services::{self, Started, cassandra, rabbitmq},
};

/// One node serves all tests, each in a keyspace of its own.
pub(super) fn one_node(arguments: &[String]) -> Result<()> {
    with(&[Part::Cassandra], |started| {
        run(tests("cassandra", arguments).env("BUBBLE_CASSANDRA", &started[0].at))
    })
}

/// Tests of a server on a keyspace of their own, which is not there yet.
pub(super) fn with_cassandra(name: &str, tests: impl FnOnce(&str) -> Result<()>) -> Result<()> {
    with(&[Part::Cassandra], |started| {
        let keyspace = format!("test_{name}_{}", std::process::id());
        tests(&format!("cassandra:{}/{keyspace}", started[0].at))
    })
}

/// Three nodes, one of which at a time is killed.
pub(super) fn three_nodes(arguments: &[String]) -> Result<()> {
    let ourselves = env::current_exe().context("cannot tell where this program is")?;
    let cluster = cassandra::up(3)?;
    let tested = run(tests("faults", arguments)
        .arg("--show-output")
        .env("BUBBLE_CASSANDRA", cluster.hosts())
        .env("BUBBLE_XTASK", &ourselves));
    cluster.release()?;
    tested
}

/// Tests with servers and workers as processes, which kill the parts, too.
pub(super) fn distributed(arguments: &[String]) -> Result<()> {
    let ourselves = env::current_exe().context("cannot tell where this program is")?;
    let parts = [Part::Cassandra, Part::Rabbitmq, Part::Consul];
    with(&parts, |started| {
        run(tests("distributed", arguments)
            // What was killed, how often, and what was counted.
            .arg("--show-output")
            .env("BUBBLE_CASSANDRA", &started[0].at)
            .env("RABBITMQ_HOST", "127.0.0.1")
            .env("RABBITMQ_PORT", rabbitmq::PORT.to_string())
            .env("RABBITMQ_USER", rabbitmq::USER)
            .env("RABBITMQ_PASSWORD", rabbitmq::PASSWORD)
            .env("BUBBLE_CONSUL", &started[2].at)
            .env("BUBBLE_XTASK", &ourselves))
    })
}

/// One at a time: each makes tables, and a node does that one after the other.
fn tests(which: &str, arguments: &[String]) -> Command {
    let mut command = workspace_cargo("test");
    command
        .args(["--test", "it", which])
        .args(["--", "--include-ignored", "--test-threads=1"])
        .args(arguments);
    command
}

/// Runs tests while services run; those that ran before go on afterwards.
fn with(parts: &[Part], tests: impl FnOnce(&[Started]) -> Result<()>) -> Result<()> {
    let mut started = Vec::new();
    let up = parts.iter().try_for_each(|part| {
        started.push(services::up(*part, 1)?);
        Ok(())
    });
    let tested = up.and_then(|()| tests(&started));
    for (part, started) in parts.iter().zip(started) {
        if started.started {
            services::down(*part)?;
        }
    }
    tested
}
