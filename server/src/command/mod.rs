//! The commands of the program.

mod key;
mod recording;
pub mod serve;
mod token;

use anyhow::{Context, Result};

use crate::config::Base;
use crate::config::flags::{Cli, Command, Common};
use crate::store::sqlite::Sqlite;

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
            Command::Key { common, command } => key::run(&common, command).await,
            Command::Recording { common, command } => recording::run(&common, command).await,
            Command::Token(flags) => token::run(&flags),
        }
    })
}

/// The store of the data directory, beside a server that may be serving it.
fn open(common: &Common) -> Result<Sqlite> {
    Ok(Sqlite::beside(&Base::new(common)?.data)?)
}
