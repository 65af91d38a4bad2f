//! `container delete`. Works beside a server that runs.

use anyhow::{Context, Result, bail};

use super::store::open;
use crate::clock;
use crate::config::cli::Container;
use crate::config::settings::Common;
use crate::span::id::short_id;
use crate::store::Store;
use crate::store::deletion::{self, Deletion};

/// What happens after the command.
const WHEN: &str = "a server that runs removes the rows within seconds, else when one starts";

pub(super) async fn run(common: &Common, command: Container) -> Result<()> {
    let store = open(common).await?;
    let Container::Delete { id, older_than } = command;
    let now = clock::now();
    if let Some(period) = older_than {
        let deleted = deletion::delete_older(&*store, now.saturating_sub(period.0), now).await?;
        for id in &deleted {
            println!("{id}");
        }
        eprintln!("deleted {} containers: {WHEN}", deleted.len());
    }
    match id {
        Some(id) => delete(&*store, &id, now).await,
        None => Ok(()),
    }
}

async fn delete(store: &dyn Store, text: &str, now: u64) -> Result<()> {
    let id = short_id(text).with_context(|| format!("{text:?} is not a container id"))?;
    match deletion::delete(store, &id, now).await? {
        Deletion::Deleted => eprintln!("deleted {id}: {WHEN}"),
        Deletion::Unknown => bail!("there is no container {id}"),
        Deletion::Running => {
            bail!("{id} still runs, and its agent would post it again: delete it after its end")
        }
    }
    Ok(())
}
