//! Tokens that were made, and those that were revoked.

use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::database::Sqlite;
use crate::span::extent::Extent;
use crate::store::column::{number, unsigned};
use crate::store::error::{StoreError, failed};
use crate::store::token::{IssuedToken, Tokens};

#[async_trait]
impl Tokens for Sqlite {
    async fn put_token(&self, token: IssuedToken) -> Result<(), StoreError> {
        self.writer
            .run(move |transaction| put(transaction.connection, &token))
            .await
    }

    async fn tokens(&self, now: u64) -> Result<Vec<IssuedToken>, StoreError> {
        self.read(move |connection| list(connection, now)).await
    }

    async fn revoke_token(&self, id: &str, expires: u64) -> Result<(), StoreError> {
        let revoked = IssuedToken {
            id: id.to_owned(),
            container: String::new(),
            created: 0,
            expires,
            revoked: true,
            shared: None,
        };
        self.put_token(revoked).await
    }

    async fn expire_tokens(&self, before: u64) -> Result<(), StoreError> {
        let has_expired = self.read(move |connection| has_expired(connection, before));
        if !has_expired.await? {
            return Ok(());
        }
        self.writer
            .run(move |transaction| expire(transaction.connection, before))
            .await
    }
}

/// Whether a token expired before `before`.
fn has_expired(connection: &Connection, before: u64) -> Result<bool, StoreError> {
    connection
        .prepare_cached("SELECT 1 FROM issued_token WHERE expires < ?1")
        .and_then(|mut statement| statement.exists([number(before)]))
        .map_err(failed("look for expired tokens"))
}

fn expire(connection: &Connection, before: u64) -> Result<(), StoreError> {
    connection
        .execute(
            "DELETE FROM issued_token WHERE expires < ?1",
            [number(before)],
        )
        .map(drop)
        .map_err(failed("delete expired tokens"))
}

/// Adds a token, or revokes a known one.
fn put(connection: &Connection, token: &IssuedToken) -> Result<(), StoreError> {
    let doing = "note a token";
    connection
        .execute(
            "INSERT INTO issued_token (id, container, created, expires, revoked, shared)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)
             ON CONFLICT DO UPDATE SET
                expires = max(expires, excluded.expires), revoked = max(revoked, excluded.revoked)",
            params![
                token.id,
                token.container,
                number(token.created),
                number(token.expires),
                token.revoked,
                token.shared.as_ref().map(Extent::to_string),
            ],
        )
        .map(drop)
        .map_err(failed(doing))
}

fn list(connection: &Connection, now: u64) -> Result<Vec<IssuedToken>, StoreError> {
    connection
        .prepare_cached(
            "SELECT id, container, created, expires, revoked, shared FROM issued_token
             WHERE expires >= ?1 ORDER BY id",
        )
        .and_then(|mut statement| {
            let rows = statement.query_map([number(now)], |row| {
                Ok(IssuedToken {
                    id: row.get(0)?,
                    container: row.get(1)?,
                    created: unsigned(row.get(2)?),
                    expires: unsigned(row.get(3)?),
                    revoked: row.get(4)?,
                    shared: row
                        .get::<_, Option<String>>(5)?
                        .and_then(|text| text.parse().ok()),
                })
            })?;
            rows.collect()
        })
        .map_err(failed("list tokens"))
}
