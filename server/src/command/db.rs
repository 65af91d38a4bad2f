//! `db init | upgrade | check | copy`: the tables of the store. SQLite's are made, and brought to this
//! version, whenever they are opened; Cassandra's only by these commands, as servers share them.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};

use bubble_common::segment::Resolution;

use super::open;
use crate::config::flags::{Common, Db};
use crate::config::place::{Place, Whole};
use crate::config::{self, Base};
use crate::copy::progress::Progress;
use crate::rollup::retention::Retention;
use crate::store::Store;
use crate::store::cassandra::{Cassandra, Consistency};
use crate::store::sqlite::{self, Durability, Sqlite};

pub(super) async fn run(common: &Common, command: Db) -> Result<()> {
    let Base {
        store, consistency, ..
    } = Base::new(common)?;
    let versions = match (&store, command) {
        (_, Db::Copy { from, to, keep }) => {
            let retention = config::retention_of(&keep, common)?;
            return copy(&from, &to, consistency, retention).await;
        }
        (Place::Cassandra(address), Db::Init { replication }) => {
            Some(Cassandra::init(address, consistency, &replication).await?)
        }
        (Place::Cassandra(address), Db::Upgrade) => {
            Some(Cassandra::upgrade(address, consistency).await?)
        }
        _ => None,
    };
    open(common).await?.check().await?;
    match versions {
        Some((found, now)) if found != now => {
            println!("{store}: brought from version {found} to {now}");
        }
        Some((_, now)) => println!("{store}: of version {now} already"),
        None => println!("{store}: good"),
    }
    Ok(())
}

/// Copies all of one store into another.
async fn copy(
    from: &Whole,
    to: &Whole,
    consistency: Consistency,
    retention: Retention,
) -> Result<()> {
    ensure!(from != to, "{from} is to be copied into itself");
    if let Whole::Sqlite(data) = from {
        let file = data.join(sqlite::FILE);
        ensure!(file.exists(), "there is no database {}", file.display());
    }
    let open = async |whole: &Whole| -> Result<Arc<dyn Store>> {
        let store: Arc<dyn Store> = match whole {
            // Locked: a server that has it is in our way, and we in its.
            Whole::Sqlite(data) => Arc::new(Sqlite::serve(data, Durability::Process)?),
            Whole::Cassandra(address) => {
                Arc::new(Cassandra::open(address, consistency, retention).await?)
            }
        };
        Ok(store)
    };
    let both = (open(from).await?, open(to).await?);
    let progress = Progress::new();
    let copied = crate::copy::copy(&both.0, &both.1, &progress).await;
    progress.end();
    let copied = copied.with_context(|| format!("{from} is not copied into {to}"))?;
    println!(
        "{from} is copied into {to}: {} containers ({} of them before), {} rows; both add up to",
        copied.containers, copied.known, copied.rows
    );
    for (resolution, total) in Resolution::ALL.into_iter().zip(copied.totals) {
        println!("{:7} {total}", resolution.name());
    }
    Ok(())
}
