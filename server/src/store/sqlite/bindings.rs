//! Bindings: the owner that a name belongs to.

use async_trait::async_trait;
use rusqlite::{Connection, OptionalExtension, params};

use super::database::Sqlite;
use crate::store::binding::{Binding, Bindings};
use crate::store::column::{number, unsigned};
use crate::store::error::{StoreError, failed};

#[async_trait]
impl Bindings for Sqlite {
    async fn bind(&self, wanted: Vec<Binding>) -> Result<Vec<Binding>, StoreError> {
        // Nearly always all names are bound, so the writer has nothing to do.
        let (wanted, found) = self
            .read(move |connection| {
                let found: Result<Vec<_>, _> = wanted
                    .iter()
                    .map(|wanted| get(connection, &wanted.name))
                    .collect();
                Ok((wanted, found?))
            })
            .await?;
        let is_done = |(wanted, found): (&Binding, &Option<Binding>)| {
            let found = found.as_ref();
            found.is_some_and(|found| !found.is_completed_by(wanted))
        };
        if wanted.iter().zip(&found).all(is_done) {
            return Ok(found.into_iter().flatten().collect());
        }
        self.writer
            .run(move |transaction| {
                let connection = transaction.connection;
                wanted
                    .iter()
                    .map(|wanted| bind(connection, wanted))
                    .collect()
            })
            .await
    }

    async fn binding(&self, name: &str) -> Result<Option<Binding>, StoreError> {
        let name = name.to_owned();
        self.read(move |connection| get(connection, &name)).await
    }

    async fn bindings(&self) -> Result<Vec<Binding>, StoreError> {
        self.read(|connection| list(connection)).await
    }

    async fn release(&self, name: &str) -> Result<bool, StoreError> {
        let name = name.to_owned();
        self.writer
            .run(move |transaction| release(transaction.connection, &name))
            .await
    }
}

fn bind(connection: &Connection, wanted: &Binding) -> Result<Binding, StoreError> {
    connection
        .prepare_cached(
            "INSERT INTO binding (name, owner, host, identity, key, since)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET
                host = CASE host WHEN '' THEN excluded.host ELSE host END,
                identity = CASE identity WHEN '' THEN excluded.identity ELSE identity END
             WHERE owner = excluded.owner",
        )
        .and_then(|mut statement| {
            statement.execute(params![
                wanted.name,
                wanted.owner,
                wanted.host,
                wanted.identity,
                wanted.key,
                number(wanted.since)
            ])
        })
        .map_err(failed("bind a name to an owner"))?;
    get(connection, &wanted.name)?.ok_or_else(|| StoreError::Corrupt {
        what: format!("no binding of {}", wanted.name),
    })
}

fn get(connection: &Connection, name: &str) -> Result<Option<Binding>, StoreError> {
    connection
        .prepare_cached(
            "SELECT name, owner, host, identity, key, since FROM binding WHERE name = ?1",
        )
        .and_then(|mut statement| statement.query_row([name], read).optional())
        .map_err(failed("look up an owner"))
}

fn list(connection: &Connection) -> Result<Vec<Binding>, StoreError> {
    connection
        .prepare_cached("SELECT name, owner, host, identity, key, since FROM binding ORDER BY name")
        .and_then(|mut statement| statement.query_map([], read)?.collect())
        .map_err(failed("list owners"))
}

/// Releases a name; `false` if it was free.
pub(super) fn release(connection: &Connection, name: &str) -> Result<bool, StoreError> {
    connection
        .prepare_cached("DELETE FROM binding WHERE name = ?1")
        .and_then(|mut statement| statement.execute([name]))
        .map(|rows| rows > 0)
        .map_err(failed("release a name"))
}

fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<Binding> {
    Ok(Binding {
        name: row.get(0)?,
        owner: row.get(1)?,
        host: row.get(2)?,
        identity: row.get(3)?,
        key: row.get(4)?,
        since: unsigned(row.get(5)?),
    })
}
