//! `db init | upgrade | check`: the tables of the store. SQLite's are made, and brought to this
//! version, whenever they are opened; Cassandra's only by these commands, as servers share them.

use anyhow::Result;

use super::open;
use crate::config::Base;
use crate::config::flags::{Common, Db};
use crate::config::place::Place;
use crate::store::cassandra::Cassandra;

pub(super) async fn run(common: &Common, command: Db) -> Result<()> {
    let Base {
        store, consistency, ..
    } = Base::new(common)?;
    let versions = match (&store, command) {
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
