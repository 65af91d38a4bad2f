//! The commands of the program.

mod key;
pub mod serve;
mod token;

use anyhow::{Context, Result};

use crate::config::flags::{Cli, Command};

/// Does what the command line says.
///
/// # Errors
/// When it can't be done; the error says what to do.
pub fn run(cli: Cli) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")?;
    runtime.block_on(async {
        match cli.command {
            Command::Serve(flags) => serve::run(&flags).await,
            Command::Key { command } => key::run(command).await,
            Command::Token(flags) => token::run(&flags),
        }
    })
}
