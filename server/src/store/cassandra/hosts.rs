//! Hosts: the latest reports of their agents.

use async_trait::async_trait;

use super::cluster::Cassandra;
use super::session::Cql;
use super::value::corrupt;
use crate::store::error::StoreError;
use crate::store::host::{Host, Hosts, current};

#[async_trait]
impl Hosts for Cassandra {
    async fn put_host(&self, host: Host) -> Result<(), StoreError> {
        put_host(&self.cql, &host).await
    }

    async fn delete_host(&self, id: &str) -> Result<bool, StoreError> {
        let known = hosts(&self.cql).await?.iter().any(|host| host.id() == id);
        self.cql
            .write("delete a host", "DELETE FROM host WHERE name = ?", (id,))
            .await?;
        Ok(known)
    }

    async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        hosts(&self.cql).await
    }
}

async fn put_host(cql: &Cql, host: &Host) -> Result<(), StoreError> {
    let report = serde_json::to_string(host).map_err(|error| corrupt(error.to_string()))?;
    cql.write(
        "note a host",
        "INSERT INTO host (name, report) VALUES (?, ?)",
        (&host.id()[..], report),
    )
    .await
}

async fn hosts(cql: &Cql) -> Result<Vec<Host>, StoreError> {
    let rows: Vec<(String,)> = cql
        .rows("list hosts", "SELECT report FROM host", ())
        .await?;
    let report = |(report,): &(String,)| {
        serde_json::from_str(report).map_err(|error| corrupt(format!("a host's report ({error})")))
    };
    let hosts: Result<Vec<Host>, StoreError> = rows.iter().map(report).collect();
    Ok(current(hosts?))
}
