//! `services`: Cassandra, RabbitMQ and Consul on this machine, without containers.
//!
//! `up` starts them, later commands find them, and `down` kills them. Each has a folder in
//! .cache/services with its data, its log and its pid. They listen on loopback addresses, on ports
//! that nothing else uses by default.

pub(crate) mod cassandra;
pub(crate) mod consul;
mod daemon;
pub(crate) mod rabbitmq;

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum as _;

pub(crate) use self::daemon::Started;
use crate::command::say;
use crate::flags::{self, Part};

pub(crate) fn run(flags: &flags::Services) -> Result<ExitCode> {
    match &flags.command {
        flags::ServicesCommand::Up { cassandra, only } => {
            for part in chosen(only) {
                let service = up(part, usize::from(*cassandra))?;
                let state = if service.started { "" } else { ", as before" };
                say(format!(
                    "{} answers at {}{state}",
                    service.name, service.address
                ));
            }
        }
        flags::ServicesCommand::Down {
            node: Some(number), ..
        } => cassandra::kill(usize::from(*number))?,
        flags::ServicesCommand::Down { only, .. } => {
            for part in chosen(only) {
                down(part)?;
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn chosen(only: &[Part]) -> Vec<Part> {
    match only {
        [] => Part::value_variants().to_vec(),
        chosen => chosen.to_vec(),
    }
}

/// Starts a service if it does not run, and waits until it answers. `nodes` is for Cassandra.
pub(crate) fn up(part: Part, nodes: usize) -> Result<Started> {
    match part {
        Part::Cassandra => {
            let cluster = cassandra::up(nodes, cassandra::Schema::Durable)?;
            Ok(Started {
                name: "Cassandra",
                address: cluster.hosts(),
                started: cluster.started,
            })
        }
        Part::Rabbitmq => rabbitmq::up(),
        Part::Consul => consul::up(),
    }
}

/// Kills a service if it runs.
pub(crate) fn down(part: Part) -> Result<()> {
    let killed = match part {
        Part::Cassandra => cassandra::down()?,
        Part::Rabbitmq => rabbitmq::down()?,
        Part::Consul => consul::down()?,
    };
    let name = part.to_possible_value();
    let name = name.as_ref().map_or("", |name| name.get_name());
    say(format!("{name}: killed {killed}"));
    Ok(())
}
