//! `services`: the real parts of a large installation, on this machine: started once, found again by
//! the next command, ended by `down`. Each is a folder in .cache/services with its data, its log and
//! its pid; without containers, on loopback addresses and ports that nothing else uses by default.

pub(crate) mod cassandra;
mod consul;
mod daemon;
pub(crate) mod rabbitmq;

use std::process::ExitCode;

use anyhow::Result;
use clap::ValueEnum as _;

use crate::{
    command::say,
    flags::{self, Part},
};

/// A service that answers.
pub(crate) struct Started {
    what: &'static str,
    /// Where, as a client is told it.
    pub(crate) at: String,
    /// Whether this command started it.
    pub(crate) started: bool,
}

pub(crate) fn run(flags: &flags::Services) -> Result<ExitCode> {
    match &flags.command {
        flags::ServicesCommand::Up { cassandra, only } => {
            for part in chosen(only) {
                let Started { what, at, started } = up(part, usize::from(*cassandra))?;
                let before = if started { "" } else { ", as before" };
                say(format!("{what} answers at {at}{before}"));
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
        some => some.to_vec(),
    }
}

/// Starts one, if it does not run, and waits until it answers: Cassandra with so many nodes.
pub(crate) fn up(part: Part, nodes: usize) -> Result<Started> {
    match part {
        Part::Cassandra => {
            let cluster = cassandra::up(nodes)?;
            Ok(Started {
                what: "Cassandra",
                at: cluster.hosts(),
                started: cluster.started,
            })
        }
        Part::Rabbitmq => rabbitmq::up(),
        Part::Consul => consul::up(),
    }
}

/// Kills one, if it runs.
pub(crate) fn down(part: Part) -> Result<()> {
    let ended = match part {
        Part::Cassandra => cassandra::down()?,
        Part::Rabbitmq => rabbitmq::down()?,
        Part::Consul => consul::down()?,
    };
    let name = part.to_possible_value();
    let name = name.as_ref().map_or("", |name| name.get_name());
    say(format!("{name}: ended {ended}"));
    Ok(())
}
