//! API keys.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::database::Sqlite;
use crate::store::column::{number, unsigned};
use crate::store::error::{StoreError, failed};
use crate::store::key::{ApiKey, Keys};

#[async_trait]
impl Keys for Sqlite {
    async fn create_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| create(transaction.connection, &key))
            .await
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        let id = id.to_owned();
        self.read(move |connection| get(connection, &id)).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.read(|connection| list(connection)).await
    }

    async fn delete_key(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.writer
            .run(move |transaction| delete(transaction.connection, &id))
            .await
    }

    async fn touch_key(&self, id: &str, at: u64) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.writer
            .run(move |transaction| touch(transaction.connection, &id, at))
            .await
    }
}

fn create(connection: &Connection, key: &ApiKey) -> Result<(), StoreError> {
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

fn get(connection: &Connection, id: &str) -> Result<Option<ApiKey>, StoreError> {
    connection
        .prepare_cached("SELECT id, hash, owner, created, last_used FROM api_key WHERE id = ?1")
        .and_then(|mut statement| statement.query_row([id], read).optional())
        .map_err(failed("look up an API key"))
}

fn list(connection: &Connection) -> Result<Vec<ApiKey>, StoreError> {
    connection
        .prepare_cached(
            "SELECT id, hash, owner, created, last_used FROM api_key ORDER BY created, id",
        )
        .and_then(|mut statement| statement.query_map([], read)?.collect())
        .map_err(failed("list API keys"))
}

fn delete(connection: &Connection, id: &str) -> Result<bool, StoreError> {
    connection
        .execute("DELETE FROM api_key WHERE id = ?1", [id])
        .map(|rows| rows > 0)
        .map_err(failed("delete an API key"))
}

fn touch(connection: &Connection, id: &str, at: u64) -> Result<(), StoreError> {
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
