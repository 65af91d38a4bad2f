//! Hosts: the latest reports of their agents.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::database::Sqlite;
use crate::store::error::{StoreError, failed};
use crate::store::host::{Host, Hosts, current};

#[async_trait]
impl Hosts for Sqlite {
    async fn put_host(&self, host: Host) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| put_host(transaction.connection, &host))
            .await
    }

    async fn delete_host(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.writer
            .run(move |transaction| delete_host(transaction.connection, &id))
            .await
    }

    async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        self.read(|connection| hosts(connection)).await
    }
}

fn put_host(connection: &Connection, host: &Host) -> Result<(), StoreError> {
    let report = serde_json::to_string(host).map_err(|error| StoreError::Corrupt {
        what: error.to_string(),
    })?;
    connection
        .prepare_cached(
            "INSERT INTO host (name, report) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET report = excluded.report",
        )
        .and_then(|mut statement| statement.execute(params![host.id(), report]))
        .map(drop)
        .map_err(failed("note a host"))
}

fn delete_host(connection: &Connection, id: &str) -> Result<bool, StoreError> {
    connection
        .execute("DELETE FROM host WHERE name = ?1", [id])
        .map(|rows| rows > 0)
        .map_err(failed("delete a host"))
}

fn hosts(connection: &Connection) -> Result<Vec<Host>, StoreError> {
    let reports: Vec<String> = connection
        .prepare_cached("SELECT report FROM host")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(failed("list hosts"))?;
    let report = |report: &String| {
        serde_json::from_str(report).map_err(|error| StoreError::Corrupt {
            what: format!("a host's report ({error})"),
        })
    };
    let hosts: Result<Vec<Host>, StoreError> = reports.iter().map(report).collect();
    Ok(current(hosts?))
}
