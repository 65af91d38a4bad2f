//! Hosts: the latest reports of their agents.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::database::Sqlite;
use crate::store::error::{StoreError, failed};
use crate::store::host::{Host, Hosts};

#[async_trait]
impl Hosts for Sqlite {
    async fn put_host(&self, host: Host) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| put_host(transaction.connection, &host))
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

fn hosts(connection: &Connection) -> Result<Vec<Host>, StoreError> {
    let reports: Vec<String> = connection
        .prepare_cached("SELECT report FROM host ORDER BY name")
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(failed("list hosts"))?;
    reports
        .iter()
        .map(|report| {
            serde_json::from_str(report).map_err(|error| StoreError::Corrupt {
                what: format!("a host's report ({error})"),
            })
        })
        .collect()
}
