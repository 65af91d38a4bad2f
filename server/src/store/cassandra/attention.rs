//! Watched containers: one small partition of rows with a time to live, which each server reads once a
//! second while it has agents.

use async_trait::async_trait;

use super::cluster::Cassandra;
use super::value::container_of;
use crate::store::attention::{Attention, WATCHED_TTL, Watched};
use crate::store::error::StoreError;

#[async_trait]
impl Attention for Cassandra {
    async fn note_watched(&self, watched: Watched) -> Result<(), StoreError> {
        let ttl = i32::try_from(WATCHED_TTL.as_secs()).unwrap_or(i32::MAX);
        self.cql
            .write(
                "note a watched container",
                "INSERT INTO watched (id, container, owner, host) VALUES (0, ?, ?, ?) USING TTL ?",
                (
                    watched.container.as_str(),
                    &watched.owner[..],
                    &watched.host[..],
                    ttl,
                ),
            )
            .await
    }

    async fn watched(&self) -> Result<Vec<Watched>, StoreError> {
        let rows: Vec<(String, String, String)> = self
            .cql
            .rows(
                "read the watched containers",
                "SELECT container, owner, host FROM watched WHERE id = 0",
                (),
            )
            .await?;
        let read = |(container, owner, host): (String, String, String)| {
            Ok(Watched {
                container: container_of(&container)?,
                owner,
                host,
            })
        };
        rows.into_iter().map(read).collect()
    }
}
