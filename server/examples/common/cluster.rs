//! The keyspace of a benchmark, on the nodes in BUBBLE_CASSANDRA.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use bubble_server::span::retention::Retention;
use bubble_server::store::Store;
use bubble_server::store::cassandra::address::Address;
use bubble_server::store::cassandra::{Cassandra, Consistency, Replication};
use scylla::client::session_builder::SessionBuilder;
use scylla::statement::unprepared::Statement;

/// Address of the keyspace.
pub(crate) fn address(keyspace: &str) -> Result<Address> {
    let hosts = std::env::var("BUBBLE_CASSANDRA")
        .context("BUBBLE_CASSANDRA names no node: `cargo xtask bench` starts one")?;
    Address::new(&hosts, keyspace).context("BUBBLE_CASSANDRA is no list of hosts")
}

/// Removes the keyspace if it exists.
pub(crate) async fn drop(address: &Address) -> Result<()> {
    let nodes = SessionBuilder::new().known_nodes(&address.hosts);
    let keyspace = &address.keyspace;
    let mut drop = Statement::new(format!("DROP KEYSPACE IF EXISTS {keyspace}"));
    drop.set_request_timeout(Some(Duration::from_secs(60)));
    nodes.build().await?.query_unpaged(drop, ()).await?;
    Ok(())
}

/// Makes the keyspace and its tables.
pub(crate) async fn open(address: &Address, retention: Retention) -> Result<Arc<dyn Store>> {
    let consistency = Consistency::default();
    Cassandra::init(address, consistency, &Replication::Simple(1)).await?;
    Ok(Arc::new(
        Cassandra::open(address, consistency, retention).await?,
    ))
}
