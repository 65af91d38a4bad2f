//! API keys and hosts: small tables, read and written as they are.

use rusqlite::{Connection, OptionalExtension, params};

use crate::store::column::{number, unsigned};
use crate::store::error::{StoreError, failed};
use crate::store::host::Host;
use crate::store::key::ApiKey;

pub(super) fn create(connection: &Connection, key: &ApiKey) -> Result<(), StoreError> {
    connection
        .execute(
            "INSERT INTO api_key (id, hash, owner, created, last_used) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![
                key.id,
                key.hash,
                key.owner,
                number(key.created),
                number(key.last_used)
            ],
        )
        .map(drop)
        .map_err(failed("store an API key"))
}

pub(super) fn get(connection: &Connection, id: &str) -> Result<Option<ApiKey>, StoreError> {
    connection
        .prepare_cached("SELECT id, hash, owner, created, last_used FROM api_key WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([id], read).optional())
        .map_err(failed("look up an API key"))
}

pub(super) fn list(connection: &Connection) -> Result<Vec<ApiKey>, StoreError> {
    connection
        .prepare_cached(
            "SELECT id, hash, owner, created, last_used FROM api_key ORDER BY created, id",
        )
        .and_then(|mut statement| statement.query_map([], read)?.collect())
        .map_err(failed("list API keys"))
}

pub(super) fn delete(connection: &Connection, id: &str) -> Result<bool, StoreError> {
    connection
        .execute("DELETE FROM api_key WHERE id = ?1", [id])
        .map(|rows| rows > 0)
        .map_err(failed("delete an API key"))
}

pub(super) fn touch(connection: &Connection, id: &str, at: u64) -> Result<(), StoreError> {
    connection
        .execute(
            "UPDATE api_key SET last_used = max(last_used, ?2) WHERE id = ?1",
            params![id, number(at)],
        )
        .map(drop)
        .map_err(failed("note the use of an API key"))
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<ApiKey> {
    Ok(ApiKey {
        id: row.get(0)?,
        hash: row.get(1)?,
        owner: row.get(2)?,
        created: unsigned(row.get(3)?),
        last_used: unsigned(row.get(4)?),
    })
}

pub(super) fn put_host(connection: &Connection, host: &Host) -> Result<(), StoreError> {
    let report = serde_json::to_string(host).map_err(|error| StoreError::Corrupt {
        what: error.to_string(),
    })?;
    connection
        .prepare_cached(
            "INSERT INTO host (name, report) VALUES (?1, ?2)
             ON CONFLICT DO UPDATE SET report = excluded.report",
        )
        .and_then(|mut statement| statement.execute(params![host.host, report]))
        .map(drop)
        .map_err(failed("note a host"))
}

pub(super) fn hosts(connection: &Connection) -> Result<Vec<Host>, StoreError> {
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
