//! `db init | upgrade | check | copy`: the tables of the store.
//!
//! SQLite's tables are made and upgraded whenever they are opened. Cassandra's are shared by
//! servers, so only these commands do it.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use bubble_common::segment::Resolution;

use super::store::open;
use crate::config::cli::Db;
use crate::config::settings::Common;
use crate::config::store::{StoreLocation, StoreSetting};
use crate::copy::progress::Progress;
use crate::span::retention::Retention;
use crate::store::Store;
use crate::store::cassandra::{Cassandra, Consistency};
use crate::store::sqlite::{self, Durability, Sqlite};

pub(super) async fn run(common: &Common, command: Db) -> Result<()> {
    let (store, consistency) = (&common.store, common.consistency);
    let versions = match (store, command) {
        (_, Db::Copy { from, to, keep }) => {
            return copy(&from, &to, consistency, keep.retention()?).await;
        }
        (StoreSetting::Cassandra(address), Db::Init { replication }) => {
            Some(Cassandra::init(address, consistency, &replication).await?)
        }
        (StoreSetting::Cassandra(address), Db::Upgrade) => {
            Some(Cassandra::upgrade(address, consistency).await?)
        }
        _ => None,
    };
    open(common).await?.check().await?;
    match versions {
        Some((found, now)) if found != now => {
            println!("{store}: upgraded from version {found} to {now}");
        }
        Some((_, now)) => println!("{store}: has version {now} already"),
        None => println!("{store}: good"),
    }
    Ok(())
}

/// Copies all of one store into another.
async fn copy(
    from: &StoreLocation,
    to: &StoreLocation,
    consistency: Consistency,
    retention: Retention,
) -> Result<()> {
    ensure!(from != to, "--from and --to are both {from}");
    if let StoreLocation::Sqlite(data) = from {
        let file = data.join(sqlite::FILE);
        ensure!(file.exists(), "there is no database {}", file.display());
    }
    let open = async |location: &StoreLocation| -> Result<Arc<dyn Store>> {
        let store: Arc<dyn Store> = match location {
            // Locks the directory: no server can use it at the same time.
            StoreLocation::Sqlite(data) => Arc::new(Sqlite::serve(data, Durability::Process)?),
            StoreLocation::Cassandra(address) => {
                Arc::new(Cassandra::open(address, consistency, retention).await?)
            }
        };
        Ok(store)
    };
    let (source, target) = (open(from).await?, open(to).await?);
    let progress = Progress::new();
    let copied = crate::copy::copy(&source, &target, &progress).await;
    progress.end();
    let copied = copied.with_context(|| format!("cannot copy {from} into {to}"))?;
    println!(
        "copied {from} into {to}: {} containers ({} of them before), {} rows; both add up to",
        copied.containers, copied.known, copied.rows
    );
    for (resolution, total) in Resolution::ALL.into_iter().zip(copied.totals) {
        println!("{:7} {total}", resolution.name());
    }
    Ok(())
}
