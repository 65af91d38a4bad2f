//! `key create | list | delete`. Works beside a server that runs.

use anyhow::{Result, bail, ensure};

use super::open;
use crate::auth::key;
use crate::clock;
use crate::config::flags::{Common, Key};
use crate::store::Store;

pub(super) async fn run(common: &Common, command: Key) -> Result<()> {
    let store = open(common).await?;
    match command {
        Key::Create { owner } => create(&*store, &owner).await,
        Key::List => list(&*store).await,
        Key::Delete { id } => delete(&*store, &id).await,
    }
}

async fn create(store: &dyn Store, owner: &str) -> Result<()> {
    ensure!(!owner.trim().is_empty(), "--owner must not be empty");
    let (text, key) = key::create(owner, clock::now());
    store.create_key(key).await?;
    eprintln!("this key is shown once, and stored as a hash only:");
    println!("{text}");
    Ok(())
}

async fn list(store: &dyn Store) -> Result<()> {
    println!("id\towner\tcreated\tlast used");
    for key in store.keys().await? {
        let used = match key.last_used {
            0 => "never".to_owned(),
            at => at.to_string(),
        };
        println!("{}\t{}\t{}\t{used}", key.id, key.owner, key.created);
    }
    Ok(())
}

async fn delete(store: &dyn Store, id: &str) -> Result<()> {
    // Someone may paste the whole key: the id is in front.
    let id = id.split('.').next().unwrap_or(id);
    if !store.delete_key(id).await? {
        bail!("there is no key {id}: `bubble-server key list` shows which there are");
    }
    eprintln!("deleted {id}");
    Ok(())
}
