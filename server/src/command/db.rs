//! `db init | upgrade | check | compact | copy`: the tables of the store.
//!
//! SQLite's tables are made and upgraded whenever they are opened. Cassandra's are shared by
//! servers, so only these commands do it.

use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, bail, ensure};
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
        (_, Db::Check) => return check(common).await,
        (StoreSetting::Sqlite, Db::Compact) => return compact(&common.data),
        (StoreSetting::Cassandra(_), Db::Compact) => {
            bail!("{store}: Cassandra compacts its files itself")
        }
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

/// Reads all of the store, and lists what is damaged.
async fn check(common: &Common) -> Result<()> {
    let store = open(common).await?;
    store.check().await?;
    let location = &common.store;
    let faults = store.verify().await?;
    let progress = Progress::new();
    let checked = crate::copy::check::check(&store, &progress).await;
    progress.end();
    let checked = checked.with_context(|| format!("cannot read all of {location}"))?;
    for fault in &faults {
        println!("damaged: {fault}");
    }
    for row in &checked.listed {
        let key = &row.key;
        println!(
            "damaged: container {}, {} from {}, source {}: {}",
            key.container,
            key.resolution.name(),
            key.start,
            key.source,
            row.source
        );
    }
    println!(
        "{location}: read {} rows of {} containers, {} of them damaged",
        checked.rows, checked.containers, checked.damaged
    );
    if let Some(usage) = store.usage().await? {
        println!(
            "rows take {}; the database {}, of which {} are free; its log {}",
            mib(usage.rows),
            mib(usage.database),
            mib(usage.free),
            mib(usage.log)
        );
    }
    ensure!(
        faults.is_empty() && checked.damaged == 0,
        "{location} is damaged: answers leave the damaged rows out, and say so. \
         Look for errors of the disk, and restore a backup if you need what they held"
    );
    println!("{location}: good");
    Ok(())
}

/// Rewrites SQLite's file without free space.
fn compact(data: &Path) -> Result<()> {
    let done = sqlite::compact(data)?;
    println!(
        "rewrote {}: {} before, {} now",
        data.join(sqlite::FILE).display(),
        mib(done.before),
        mib(done.after)
    );
    Ok(())
}

fn mib(bytes: u64) -> String {
    format!("{:.1} MiB", bytes as f64 / f64::from(1 << 20))
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
    if copied.damaged > 0 {
        println!(
            "{} damaged rows were left out; `bubble-server db check` lists them",
            copied.damaged
        );
    }
    Ok(())
}
