//! The commands of the program.

mod db;
mod key;
mod process;
mod recording;
mod retention;
pub mod serve;
mod token;

use std::sync::Arc;

use anyhow::{Context, Result};

use crate::config::Base;
use crate::config::flags::{Cli, Command, Common};
use crate::config::place::Place;
use crate::rollup::retention::Retention;
use crate::store::Store;
use crate::store::cassandra::Cassandra;
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
            Command::Db { common, command } => db::run(&common, command).await,
            Command::Key { common, command } => key::run(&common, command).await,
            Command::Recording { common, command } => recording::run(&common, command).await,
            Command::Retention { common, command } => retention::run(&common, command).await,
            Command::Token(flags) => token::run(&flags),
        }
    })
}

/// The store, beside servers that may be serving it.
async fn open(common: &Common) -> Result<Arc<dyn Store>> {
    let base = Base::new(common)?;
    Ok(match &base.store {
        Place::Sqlite => Arc::new(Sqlite::beside(&base.data)?),
        Place::Cassandra(address) => {
            // Nothing is packed here, so that nothing is given a time to live.
            let retention = Retention::default();
            Arc::new(Cassandra::open(address, base.consistency, retention).await?)
        }
    })
}
