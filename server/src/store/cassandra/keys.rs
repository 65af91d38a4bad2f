//! API keys.

use async_trait::async_trait;

use super::cluster::Cassandra;
use super::session::Cql;
use super::value::corrupt;
use crate::store::column::{number, unsigned};
use crate::store::error::StoreError;
use crate::store::key::{ApiKey, Keys};

#[async_trait]
impl Keys for Cassandra {
    async fn create_key(&self, key: ApiKey) -> Result<(), StoreError> {
        create(&self.cql, &key).await
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        get(&self.cql, id).await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        list(&self.cql).await
    }

    async fn delete_key(&self, id: &str) -> Result<bool, StoreError> {
        delete(&self.cql, id).await
    }

    async fn touch_key(&self, id: &str, at: u64) -> Result<(), StoreError> {
        touch(&self.cql, id, at).await
    }
}

async fn create(cql: &Cql, key: &ApiKey) -> Result<(), StoreError> {
    let doing = "store an API key";
    let new = cql
        .write_if(
            doing,
            "INSERT INTO api_key (id, hash, owner, created) VALUES (?, ?, ?, ?) IF NOT EXISTS",
            (
                &key.id[..],
                &key.hash[..],
                &key.owner[..],
                number(key.created),
            ),
        )
        .await?;
    if !new {
        return Err(StoreError::Database {
            doing,
            source: format!("there is a key {} already", key.id).into(),
        });
    }
    match key.last_used {
        0 => Ok(()),
        at => touch(cql, &key.id, at).await,
    }
}

/// A row without a hash is left of a key that was deleted while it was used.
type KeyRow = (
    String,
    Option<Vec<u8>>,
    Option<String>,
    Option<i64>,
    Option<i64>,
);

fn read((id, hash, owner, created, last_used): KeyRow) -> Option<Result<ApiKey, StoreError>> {
    let hash = hash?;
    let hash = hash.as_slice().try_into();
    let number = |n: Option<i64>| n.map_or(0, unsigned);
    Some(match hash {
        Ok(hash) => Ok(ApiKey {
            id,
            hash,
            owner: owner.unwrap_or_default(),
            created: number(created),
            last_used: number(last_used),
        }),
        Err(_) => Err(corrupt(format!("an invalid hash of the key {id}"))),
    })
}

async fn get(cql: &Cql, id: &str) -> Result<Option<ApiKey>, StoreError> {
    let rows: Vec<KeyRow> = cql
        .rows(
            "look up an API key",
            "SELECT id, hash, owner, created, last_used FROM api_key WHERE id = ?",
            (id,),
        )
        .await?;
    rows.into_iter().find_map(read).transpose()
}

async fn list(cql: &Cql) -> Result<Vec<ApiKey>, StoreError> {
    let rows: Vec<KeyRow> = cql
        .rows(
            "list API keys",
            "SELECT id, hash, owner, created, last_used FROM api_key",
            (),
        )
        .await?;
    let keys: Result<Vec<ApiKey>, StoreError> = rows.into_iter().filter_map(read).collect();
    let mut keys = keys?;
    keys.sort_by(|a, b| (a.created, &a.id).cmp(&(b.created, &b.id)));
    Ok(keys)
}

async fn delete(cql: &Cql, id: &str) -> Result<bool, StoreError> {
    cql.write_if(
        "delete an API key",
        "DELETE FROM api_key WHERE id = ? IF hash != null",
        (id,),
    )
    .await
}

/// Uses `at` as the timestamp of the write, so that the latest stays.
async fn touch(cql: &Cql, id: &str, at: u64) -> Result<(), StoreError> {
    cql.write(
        "note the use of an API key",
        "UPDATE api_key USING TIMESTAMP ? SET last_used = ? WHERE id = ?",
        (number(at.saturating_mul(1_000_000)), number(at), id),
    )
    .await
}
