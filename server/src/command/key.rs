//! `key create | list | delete`. Works beside a server that runs.

use anyhow::{Context, Result, bail, ensure};

use super::store::open;
use crate::auth::key;
use crate::clock;
use crate::config::cli::Key;
use crate::config::settings::Common;
use crate::store::Store;

pub(super) async fn run(common: &Common, command: Key) -> Result<()> {
    let store = open(common).await?;
    match command {
        Key::Create { owner, key: None } => create(&*store, &owner).await,
        Key::Create {
            owner,
            key: Some(text),
        } => take(&*store, &owner, &text).await,
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

/// Takes a key that hosts have already; `-` reads it from standard input.
async fn take(store: &dyn Store, owner: &str, text: &str) -> Result<()> {
    ensure!(!owner.trim().is_empty(), "--owner must not be empty");
    let text = match text {
        "-" => std::io::read_to_string(std::io::stdin()).context("cannot read the key")?,
        text => text.to_owned(),
    };
    let text = text.trim_end_matches(['\r', '\n']);
    let key = key::existing(text, owner, clock::now())?;
    if let Some(known) = store.key(&key.id).await? {
        bail!(
            "this key is known already as {} of {}: `bubble-server key delete {}` deletes it",
            known.id,
            known.owner,
            known.id
        );
    }
    let id = key.id.clone();
    store.create_key(key).await?;
    if key::is_short(text) {
        eprintln!(
            "warning: the key has {} characters and can be guessed: replace it when its hosts allow it",
            text.len()
        );
    }
    eprintln!("hosts may go on using the key; its id is");
    println!("{id}");
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
    // Someone may give the whole key, which must not be repeated in a message.
    let of_whole = key::id_of(id);
    for id in [id, &of_whole] {
        if store.delete_key(id).await? {
            eprintln!("deleted {id}");
            return Ok(());
        }
    }
    bail!("there is no such key: `bubble-server key list` lists the keys")
}
