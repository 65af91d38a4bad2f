//! Bindings: the owner that a name belongs to. All writes are conditional, so that of two servers the
//! first one binds.

use async_trait::async_trait;
use futures_util::{StreamExt, TryStreamExt};

use super::cluster::Cassandra;
use super::session::Cql;
use super::value::corrupt;
use crate::store::binding::{Binding, Bindings};
use crate::store::column::{number, unsigned};
use crate::store::error::StoreError;

/// Names that are bound at the same time.
const CONCURRENCY: usize = 64;
/// Attempts to bind a name that others bind and release meanwhile.
const MAX_ATTEMPTS: usize = 5;

#[async_trait]
impl Bindings for Cassandra {
    async fn bind(&self, wanted: Vec<Binding>) -> Result<Vec<Binding>, StoreError> {
        futures_util::stream::iter(wanted)
            .map(|wanted| bind(&self.cql, wanted))
            .buffered(CONCURRENCY)
            .try_collect()
            .await
    }

    async fn binding(&self, name: &str) -> Result<Option<Binding>, StoreError> {
        get(&self.cql, name).await
    }

    async fn bindings(&self) -> Result<Vec<Binding>, StoreError> {
        list(&self.cql).await
    }

    async fn release(&self, name: &str) -> Result<bool, StoreError> {
        release(&self.cql, name).await
    }
}

async fn bind(cql: &Cql, wanted: Binding) -> Result<Binding, StoreError> {
    for _ in 0..MAX_ATTEMPTS {
        match get(cql, &wanted.name).await? {
            Some(found) if found.is_completed_by(&wanted) => {
                complete(cql, &found, &wanted).await?;
            }
            Some(found) => return Ok(found),
            None if insert(cql, &wanted).await? => return Ok(wanted),
            None => {}
        }
    }
    Err(StoreError::Conflict)
}

async fn insert(cql: &Cql, wanted: &Binding) -> Result<bool, StoreError> {
    cql.write_if(
        "bind a name to an owner",
        "INSERT INTO binding (name, owner, host, identity, key, since) VALUES (?, ?, ?, ?, ?, ?)
         IF NOT EXISTS",
        (
            &wanted.name[..],
            &wanted.owner[..],
            &wanted.host[..],
            &wanted.identity[..],
            &wanted.key[..],
            number(wanted.since),
        ),
    )
    .await
}

/// Adds the host and the identity of `wanted` to `found`, unless somebody changed it meanwhile.
async fn complete(cql: &Cql, found: &Binding, wanted: &Binding) -> Result<(), StoreError> {
    fn either<'a>(own: &'a str, other: &'a str) -> &'a str {
        if own.is_empty() { other } else { own }
    }
    cql.write_if(
        "complete the binding of a name",
        "UPDATE binding SET host = ?, identity = ? WHERE name = ?
         IF owner = ? AND host = ? AND identity = ?",
        (
            either(&found.host, &wanted.host),
            either(&found.identity, &wanted.identity),
            &found.name[..],
            &found.owner[..],
            &found.host[..],
            &found.identity[..],
        ),
    )
    .await
    .map(drop)
}

type BindingRow = (
    String,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<String>,
    Option<i64>,
);

fn read((name, owner, host, identity, key, since): BindingRow) -> Result<Binding, StoreError> {
    let owner = owner.ok_or_else(|| corrupt(format!("a binding of {name} without an owner")))?;
    Ok(Binding {
        name,
        owner,
        host: host.unwrap_or_default(),
        identity: identity.unwrap_or_default(),
        key: key.unwrap_or_default(),
        since: since.map_or(0, unsigned),
    })
}

/// The binding of a name.
pub(super) async fn get(cql: &Cql, name: &str) -> Result<Option<Binding>, StoreError> {
    let rows: Vec<BindingRow> = cql
        .rows(
            "look up an owner",
            "SELECT name, owner, host, identity, key, since FROM binding WHERE name = ?",
            (name,),
        )
        .await?;
    rows.into_iter().next().map(read).transpose()
}

async fn list(cql: &Cql) -> Result<Vec<Binding>, StoreError> {
    let rows: Vec<BindingRow> = cql
        .rows(
            "list owners",
            "SELECT name, owner, host, identity, key, since FROM binding",
            (),
        )
        .await?;
    let bindings: Result<Vec<Binding>, StoreError> = rows.into_iter().map(read).collect();
    let mut bindings = bindings?;
    bindings.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(bindings)
}

/// Releases a name; `false` if it was free.
pub(super) async fn release(cql: &Cql, name: &str) -> Result<bool, StoreError> {
    cql.write_if(
        "release a name",
        "DELETE FROM binding WHERE name = ? IF EXISTS",
        (name,),
    )
    .await
}
