//! Tokens that were made, and those that were revoked. Rows have no time to live, as the clock of
//! this process may be wrong: they are deleted by a trusted time.

use async_trait::async_trait;
use scylla::value::MaybeUnset;

use super::cluster::Cassandra;
use super::session::Cql;
use crate::span::extent::Extent;
use crate::store::column::{number, unsigned};
use crate::store::error::StoreError;
use crate::store::token::{IssuedToken, Tokens};

#[async_trait]
impl Tokens for Cassandra {
    async fn put_token(&self, token: IssuedToken) -> Result<(), StoreError> {
        put(&self.cql, &token).await
    }

    async fn tokens(&self, now: u64) -> Result<Vec<IssuedToken>, StoreError> {
        list(&self.cql, now).await
    }

    async fn revoke_token(&self, id: &str, expires: u64) -> Result<(), StoreError> {
        let known = list(&self.cql, 0).await?.into_iter();
        let known = known.filter(|token| token.id == id);
        let revoked = known.fold(
            IssuedToken {
                id: id.to_owned(),
                container: String::new(),
                created: 0,
                expires,
                revoked: true,
                shared: None,
            },
            |revoked, known| IssuedToken {
                revoked: true,
                expires: known.expires.max(revoked.expires),
                ..known
            },
        );
        put(&self.cql, &revoked).await
    }

    async fn expire_tokens(&self, before: u64) -> Result<(), StoreError> {
        let tokens = list(&self.cql, 0).await?.into_iter();
        for token in tokens.filter(|token| token.expires < before) {
            let delete = "DELETE FROM issued_token WHERE id = ?";
            self.cql
                .write("delete a token", delete, (&token.id[..],))
                .await?;
        }
        Ok(())
    }
}

async fn put(cql: &Cql, token: &IssuedToken) -> Result<(), StoreError> {
    // The column is null if it is not revoked, as a write that comes later must not take that back.
    let revoked = match token.revoked {
        true => MaybeUnset::Set(true),
        false => MaybeUnset::Unset,
    };
    cql.write(
        "note a token",
        "INSERT INTO issued_token (id, container, created, expires, revoked, shared)
         VALUES (?, ?, ?, ?, ?, ?)",
        (
            &token.id[..],
            &token.container[..],
            number(token.created),
            number(token.expires),
            revoked,
            token.shared.as_ref().map(Extent::to_string),
        ),
    )
    .await
}

/// The columns of a token. Those that earlier versions wrote have a time to live.
type TokenRow = (
    String,
    Option<String>,
    Option<i64>,
    Option<i64>,
    Option<bool>,
    Option<String>,
);

async fn list(cql: &Cql, now: u64) -> Result<Vec<IssuedToken>, StoreError> {
    let rows: Vec<TokenRow> = cql
        .rows(
            "list tokens",
            "SELECT id, container, created, expires, revoked, shared FROM issued_token",
            (),
        )
        .await?;
    let token = |(id, container, created, expires, revoked, shared): TokenRow| IssuedToken {
        id,
        container: container.unwrap_or_default(),
        created: created.map_or(0, unsigned),
        expires: expires.map_or(0, unsigned),
        revoked: revoked.unwrap_or(false),
        shared: shared.and_then(|text| text.parse().ok()),
    };
    let mut tokens: Vec<_> = rows.into_iter().map(token).collect();
    tokens.retain(|token| token.expires >= now);
    tokens.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(tokens)
}
