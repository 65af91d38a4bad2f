//! The commands of the program.

mod container;
mod db;
mod health;
mod host;
mod key;
mod process;
mod recording;
mod report;
mod retention;
pub mod serve;
mod share;
mod store;
mod token;

use anyhow::{Context, Result};
use rustix::fs::Mode;
use rustix::process::umask;

use crate::capture::read;
use crate::config::cli::{Cli, Command};

/// Runs the command of `cli`.
///
/// # Errors
/// When it fails; the error says what to do.
pub fn run(cli: Cli) -> Result<()> {
    // Files are for this user alone: keys, the secret of tokens, and what ran.
    umask(Mode::from_raw_mode(0o077));
    // Its bounds leave no room for a runtime.
    if let Command::ReadCapture(bounds) = cli.command {
        return read::run(&bounds);
    }
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve(settings) => serve::run(&settings).await,
            Command::Db { common, command } => db::run(&common, command).await,
            Command::Health { listen, .. } => health::run(listen).await,
            Command::Key { common, command } => key::run(&common, command).await,
            Command::Container { common, command } => container::run(&common, command).await,
            Command::Recording { common, command } => recording::run(&common, command).await,
            Command::Retention { common, command } => retention::run(&common, command).await,
            Command::Token(settings) => token::run(&settings).await,
            Command::Report(settings) => report::run(settings).await,
            Command::Host { common, command } => host::run(&common, command).await,
            Command::Share { common, command } => share::run(&common, command).await,
            Command::ReadCapture(bounds) => read::run(&bounds),
        }
    })
}
