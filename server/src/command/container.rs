//! `container delete | export | release`. Works beside a server that runs.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use bubble_common::segment::ContainerId;

use super::store::{open, resolved};
use crate::clock;
use crate::config::cli::Container;
use crate::config::settings::Common;
use crate::document::{document, title};
use crate::query::{Ask, Query};
use crate::store::Store;
use crate::store::binding::of_container;
use crate::store::deletion::{self, Deletion};

/// What happens after the command.
const WHEN: &str = "a server that runs removes the rows within seconds, else when one starts";

pub(super) async fn run(common: &Common, command: Container) -> Result<()> {
    let store = open(common).await?;
    let (id, older_than) = match command {
        Container::Delete { id, older_than } => (id, older_than),
        Container::Release { id, host } => return release(&*store, id, host).await,
        Container::Export {
            id,
            html,
            from,
            to,
            step,
            keep,
        } => {
            let query = Query::new(Arc::clone(&store), keep.retention()?);
            let id = resolved(&*store, &id).await?;
            return export(&query, &id, &html, (from, to, step)).await;
        }
    };
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
    let id = resolved(store, text).await?;
    match deletion::delete(store, &id, now).await? {
        Deletion::Deleted => eprintln!("deleted {id}: {WHEN}"),
        Deletion::Unknown => bail!("there is no container {id}"),
        Deletion::Running => {
            bail!("{id} still runs, and its agent would post it again: delete it after its end")
        }
    }
    Ok(())
}

/// Writes a range of a container, in slots of `step`, into a file.
async fn export(
    query: &Query,
    id: &ContainerId,
    path: &Path,
    (from, to, step): (Option<u64>, Option<u64>, Option<u64>),
) -> Result<()> {
    let container = query.container(id).await?;
    let ask = Ask {
        from: Some(from.unwrap_or(container.first_seen) as f64),
        to: Some(to.unwrap_or(container.last_seen) as f64),
        step,
        ..Ask::default()
    };
    let data = query.saved(id, &ask).await?;
    let html = document(&title(&container), &data)?;
    std::fs::write(path, &html).with_context(|| format!("cannot write {}", path.display()))?;
    eprintln!(
        "wrote {} ({} KiB)",
        path.display(),
        html.len().div_ceil(1_024)
    );
    Ok(())
}

/// Releases a container, or all that `host` reported first. A server that runs notices within a minute.
async fn release(store: &dyn Store, id: Option<String>, host: Option<String>) -> Result<()> {
    let names = match (id, host) {
        (Some(text), _) => vec![of_container(&resolved(store, &text).await?)],
        (None, host) => {
            let bindings = store.bindings().await?.into_iter();
            let of_host = bindings.filter(|binding| Some(&binding.host) == host.as_ref());
            of_host.map(|binding| binding.name).collect()
        }
    };
    let mut released = 0;
    for name in names {
        if store.release(&name).await? {
            println!("{name}");
            released += 1;
        }
    }
    if released == 0 {
        bail!("no container was bound to an owner under this name");
    }
    eprintln!("released {released}: the next key that posts them owns them");
    Ok(())
}
