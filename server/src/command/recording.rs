//! `recording list | delete`. Works beside a server that runs.

use anyhow::{Context, Result, bail};

use super::store::open;
use crate::config::cli::Recording;
use crate::config::settings::Common;
use crate::store::Store;
use crate::store::recording::id_of;

pub(super) async fn run(common: &Common, command: Recording) -> Result<()> {
    let store = open(common).await?;
    match command {
        Recording::List => list(&*store).await,
        Recording::Delete { id } => delete(&*store, &id).await,
    }
}

async fn list(store: &dyn Store) -> Result<()> {
    println!("id\tname\tcreated\tcontainers");
    for recording in store.recordings().await? {
        let label = &recording.label;
        let ids: Vec<&str> = recording
            .containers
            .iter()
            .map(|part| part.container.as_str())
            .collect();
        println!(
            "{}\t{}\t{}\t{}",
            label.id,
            label.name,
            recording.created,
            ids.join(",")
        );
    }
    Ok(())
}

async fn delete(store: &dyn Store, id: &str) -> Result<()> {
    let source = id_of(id).with_context(|| format!("{id:?} is not 32 hexadecimal digits"))?;
    if !store.delete_recording(source).await? {
        bail!("there is no recording {id}: `bubble-server recording list` lists them");
    }
    eprintln!(
        "deleted {id}: a server that runs removes its rows within seconds, else when one starts"
    );
    Ok(())
}
