//! The containers that exist, and the days on which each was active: two tables in shards.

use bubble_common::segment::ContainerId;

use super::session::Cql;
use super::value::{SHARDS, container_of, shard};
use crate::store::column::number;
use crate::store::error::StoreError;

/// Seconds in a day, by which `active` is keyed.
pub(super) const DAY: u64 = 86_400;

/// Lists a container, and that it was active on a day.
pub(super) async fn add(cql: &Cql, container: &ContainerId, day: u64) -> Result<(), StoreError> {
    let doing = "list a container";
    let exists = cql.write(
        doing,
        "INSERT INTO container (shard, container) VALUES (?, ?)",
        (shard(container), container.as_str()),
    );
    let active = cql.write(
        doing,
        "INSERT INTO active (day, shard, container) VALUES (?, ?, ?)",
        (number(day), shard(container), container.as_str()),
    );
    futures_util::try_join!(exists, active).map(drop)
}

/// Removes a container that was active on `days`.
pub(super) async fn remove(
    cql: &Cql,
    container: &ContainerId,
    days: std::ops::RangeInclusive<u64>,
) -> Result<(), StoreError> {
    let doing = "remove a container";
    for day in days {
        cql.write(
            doing,
            "DELETE FROM active WHERE day = ? AND shard = ? AND container = ?",
            (number(day), shard(container), container.as_str()),
        )
        .await?;
    }
    cql.write(
        doing,
        "DELETE FROM container WHERE shard = ? AND container = ?",
        (shard(container), container.as_str()),
    )
    .await
}

/// All containers.
pub(super) async fn all(cql: &Cql) -> Result<Vec<ContainerId>, StoreError> {
    let shards = (0..SHARDS).map(|shard| {
        cql.rows::<(String,)>(
            "list containers",
            "SELECT container FROM container WHERE shard = ?",
            (shard.cast_signed(),),
        )
    });
    ids(futures_util::future::try_join_all(shards).await?)
}

/// The containers that were active on a day.
pub(super) async fn active(cql: &Cql, day: u64) -> Result<Vec<ContainerId>, StoreError> {
    let shards = (0..SHARDS).map(|shard| {
        cql.rows::<(String,)>(
            "list containers",
            "SELECT container FROM active WHERE day = ? AND shard = ?",
            (number(day), shard.cast_signed()),
        )
    });
    ids(futures_util::future::try_join_all(shards).await?)
}

fn ids(shards: Vec<Vec<(String,)>>) -> Result<Vec<ContainerId>, StoreError> {
    let names = shards.into_iter().flatten();
    names.map(|(name,)| container_of(&name)).collect()
}
