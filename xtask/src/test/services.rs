//! The groups that need Cassandra, RabbitMQ or Consul.
//!
//! A service that does not run is started once for all groups, and killed at the end of the run.

use std::process::Command;

use anyhow::Result;

use crate::build::workspace_cargo;
use crate::command::run;
use crate::flags::Part;
use crate::project;
use crate::services::cassandra::Schema;
use crate::services::{self as parts, Started, cassandra, rabbitmq};

/// The services that groups have used.
#[derive(Default)]
pub(super) struct Services(Vec<(Part, Started)>);

impl Services {
    /// Starts the service if no earlier group did, and returns its address.
    fn start(&mut self, part: Part) -> Result<String> {
        if let Some((_, started)) = self.0.iter().find(|(other, _)| *other == part) {
            return Ok(started.address.clone());
        }
        let started = parts::up(part, 1)?;
        let address = started.address.clone();
        self.0.push((part, started));
        Ok(address)
    }

    /// Kills the services that this run started. Others keep running.
    pub(super) fn stop(&mut self) -> Result<()> {
        for (part, started) in self.0.drain(..) {
            if started.started {
                parts::down(part)?;
            }
        }
        Ok(())
    }

    /// The URL of a store with a new keyspace, which does not exist yet.
    pub(super) fn new_keyspace(&mut self, name: &str) -> Result<String> {
        let hosts = self.start(Part::Cassandra)?;
        Ok(format!(
            "cassandra:{hosts}/test_{name}_{}",
            std::process::id()
        ))
    }
}

/// Runs the tests of the store. All use one node, each with a keyspace of its own. None of them kills the
/// node.
pub(super) fn one_node(services: &mut Services, arguments: &[String]) -> Result<()> {
    services.stop()?;
    let node = cassandra::up(1, Schema::Volatile)?;
    let tested = run(tests("cassandra", arguments).env("BUBBLE_CASSANDRA", node.hosts()));
    node.release()?;
    tested
}

/// Runs the tests that kill one of three nodes. Addresses are fixed, so the single node of other
/// groups is killed first.
pub(super) fn three_nodes(services: &mut Services, arguments: &[String]) -> Result<()> {
    services.stop()?;
    let xtask = project::copy_of_xtask("xtask")?;
    let cluster = cassandra::up(3, Schema::Durable)?;
    let tested = run(tests("faults", arguments)
        .arg("--show-output")
        .env("BUBBLE_CASSANDRA", cluster.hosts())
        .env("BUBBLE_XTASK", &xtask));
    cluster.release()?;
    tested
}

/// Runs the tests with several servers and workers, which also kill services.
pub(super) fn distributed(services: &mut Services, arguments: &[String]) -> Result<()> {
    let xtask = project::copy_of_xtask("xtask")?;
    let cassandra = services.start(Part::Cassandra)?;
    services.start(Part::Rabbitmq)?;
    let consul = services.start(Part::Consul)?;
    run(tests("distributed", arguments)
        // Shows what was killed, how often, and what was counted.
        .arg("--show-output")
        .env("BUBBLE_CASSANDRA", cassandra)
        .env("RABBITMQ_HOST", "127.0.0.1")
        .env("RABBITMQ_PORT", rabbitmq::PORT.to_string())
        .env("RABBITMQ_USER", rabbitmq::USER)
        .env("RABBITMQ_PASSWORD", rabbitmq::PASSWORD)
        .env("BUBBLE_CONSUL", consul)
        .env("BUBBLE_XTASK", &xtask))
}

/// Runs the tests of one module of the server's test program.
///
/// One at a time: each creates tables, and a node does that one after the other.
fn tests(module: &str, arguments: &[String]) -> Command {
    let mut command = workspace_cargo("test");
    command
        .args(["--test", "it", module])
        .args(["--", "--include-ignored", "--test-threads=1"])
        .args(arguments);
    command
}
