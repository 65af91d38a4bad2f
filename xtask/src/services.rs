//! `services`: the real parts of a large installation, on this machine: started once, found again by
//! the next command, ended by `down`. Each is a folder in .cache/services with its data, its log and
//! its pid; without containers, on loopback addresses and ports that nothing else uses by default.

pub(crate) mod cassandra;
mod daemon;

use std::process::ExitCode;

use anyhow::Result;

use crate::{command::say, flags};

pub(crate) fn run(flags: &flags::Services) -> Result<ExitCode> {
    match flags.command {
        flags::ServicesCommand::Up { cassandra } => {
            let cluster = cassandra::up(usize::from(cassandra))?;
            let before = if cluster.started { "" } else { ", as before" };
            say(format!("Cassandra answers at {}{before}", cluster.hosts()));
        }
        flags::ServicesCommand::Down => {
            let ended = cassandra::down()?;
            say(format!("ended {ended} nodes of Cassandra"));
        }
    }
    Ok(ExitCode::SUCCESS)
}
