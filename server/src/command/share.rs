//! `share create | list | revoke`. Works beside a server that runs.

use anyhow::{Context, Result, bail, ensure};

use super::store::{open, resolved};
use crate::auth::link;
use crate::auth::token::Link;
use crate::clock;
use crate::config::cli::Share;
use crate::config::settings::Common;
use crate::span::extent::Extent;
use crate::store::Store;

pub(super) async fn run(common: &Common, command: Share) -> Result<()> {
    let store = open(common).await?;
    match command {
        Share::Create {
            container,
            from,
            to,
            days,
        } => {
            let extent = match (from, to) {
                (Some(from), Some(to)) => {
                    Extent::around(from, to).context("--from must be before --to")?
                }
                _ => Extent::Life,
            };
            create(common, &*store, &container, extent, days).await
        }
        Share::List => list(&*store).await,
        Share::Revoke { id } => revoke(&*store, &id).await,
    }
}

async fn create(
    common: &Common,
    store: &dyn Store,
    container: &str,
    extent: Extent,
    days: u64,
) -> Result<()> {
    let container = resolved(store, container).await?;
    ensure!(
        store.container(&container).await?.is_some(),
        "there is no container {container}"
    );
    let (secret, made) = common.secret()?;
    if let Some(path) = made {
        eprintln!("made a secret in {}", path.display());
    }
    let link = Link {
        container,
        extent,
        by: None,
    };
    let expires = clock::now() + days * 86_400;
    let made = link::make(store, &secret, link, expires).await?;
    eprintln!(
        "{}: append this to the server's address, such as http://HOST:8080",
        made.issued.id
    );
    println!("{}", made.path);
    Ok(())
}

async fn list(store: &dyn Store) -> Result<()> {
    println!("id\tcontainer\trange\tcreated\texpires\trevoked");
    for link in link::list(store).await? {
        let range = link.shared.as_ref().map(Extent::to_string);
        let revoked = if link.revoked { "yes" } else { "no" };
        println!(
            "{}\t{}\t{}\t{}\t{}\t{revoked}",
            link.id,
            link.container,
            range.unwrap_or_default(),
            link.created,
            link.expires
        );
    }
    Ok(())
}

async fn revoke(store: &dyn Store, id: &str) -> Result<()> {
    let Some(link) = link::find(store, id).await? else {
        bail!("there is no such link: `bubble-server share list` lists the links");
    };
    store.revoke_token(&link.id, link.expires).await?;
    eprintln!("revoked {id}: servers refuse it within 5 seconds, and end its streams");
    Ok(())
}
