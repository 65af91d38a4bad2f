//! The index of containers.
//!
//! What a list shows is made from each container's own partition; the index itself
//! only says which there are. A list by activity goes from today into the past, day
//! by day, until the page is full. Another order, or a search, reads all.

use std::collections::HashSet;

use bubble_common::segment::{ContainerId, SourceId, facts};
use futures_util::{StreamExt, TryStreamExt};

use super::session::Cql;
use super::value::{SHARDS, container_of};
use super::{life, recording};
use crate::clock;
use crate::store::column::number;
use crate::store::container::{Container, ContainerFilter, ContainerPage, Sort, State};
use crate::store::error::StoreError;

/// Containers that are read at the same time.
const PARALLEL: usize = 64;
/// So many days without any container, and the rest is looked for among all.
const QUIET_DAYS: u64 = 32;
/// The index says on which days a container was active.
pub(super) const DAY: u64 = 86_400;

/// A container.
pub(super) async fn get(cql: &Cql, id: &ContainerId) -> Result<Option<Container>, StoreError> {
    let (life, names) = futures_util::try_join!(life::read(cql, id), recording::names(cql))?;
    Ok(life.container(id, &names))
}

/// A page of the index.
pub(super) async fn page(cql: &Cql, filter: &ContainerFilter) -> Result<ContainerPage, StoreError> {
    let names = recording::names(cql).await?;
    let plain = filter.search.is_none() && filter.host.is_none() && filter.state.is_none();
    if plain && filter.sort == Sort::Activity {
        return latest(cql, filter, &names).await;
    }
    let ids = match filter.state {
        Some(State::Running) => since(cql, filter.now).await?,
        _ => all(cql).await?,
    };
    let mut found = read(cql, ids, &names).await?;
    let search = filter.search.as_ref().map(|text| text.to_lowercase());
    found.retain(|container| {
        let host = container.facts.get(facts::HOST);
        filter.host.as_ref().is_none_or(|name| host == Some(name))
            && filter
                .state
                .is_none_or(|state| container.state(filter.now) == state)
            && search.as_ref().is_none_or(|text| tells(container, text))
    });
    sort(&mut found, filter.sort);
    let total = found.len() as u64;
    Ok(ContainerPage {
        containers: cut(found, filter),
        total,
    })
}

fn cut(found: Vec<Container>, filter: &ContainerFilter) -> Vec<Container> {
    let rest = found.into_iter().skip(filter.offset);
    rest.take(filter.limit).collect()
}

/// Whether what is known of a container has `text` in it.
fn tells(container: &Container, text: &str) -> bool {
    let json = |value| serde_json::to_string(value).unwrap_or_default();
    let facts = serde_json::to_string(&container.facts).unwrap_or_default();
    let all = format!("{} {facts} {}", container.id, json(&container.recordings));
    all.to_lowercase().contains(text)
}

fn sort(found: &mut [Container], by: Sort) {
    let title = |container: &Container| {
        let name = container.facts.get(facts::NAME).filter(|n| !n.is_empty());
        name.map_or(container.id.as_str(), String::as_str)
            .to_ascii_lowercase()
    };
    found.sort_by(|a, b| {
        let order = match by {
            Sort::Activity => b.last_seen.cmp(&a.last_seen),
            Sort::Name => title(a).cmp(&title(b)),
            Sort::Cpu => b.cpu_ns.cmp(&a.cpu_ns),
            Sort::Memory => b.memory_peak.cmp(&a.memory_peak),
            Sort::Bytes => {
                let bytes = |c: &Container| c.bytes_in.saturating_add(c.bytes_out);
                bytes(b).cmp(&bytes(a))
            }
        };
        order.then_with(|| a.id.cmp(&b.id))
    });
}

/// The page of all containers by activity.
async fn latest(
    cql: &Cql,
    filter: &ContainerFilter,
    names: &[(SourceId, String)],
) -> Result<ContainerPage, StoreError> {
    let all = all(cql).await?;
    let wanted = filter.offset.saturating_add(filter.limit);
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut quiet = 0;
    // A clock may be ahead of ours.
    let mut day = clock::now().max(filter.now) / DAY + 1;
    while found.len() < wanted && seen.len() < all.len() && quiet < QUIET_DAYS && day > 0 {
        let mut ids = active(cql, day).await?;
        ids.retain(|id| seen.insert(id.clone()));
        quiet = if ids.is_empty() { quiet + 1 } else { 0 };
        // The latest day of a container has its latest second: later days are before it in the list.
        let mut of_day = read(cql, ids, names).await?;
        sort(&mut of_day, Sort::Activity);
        found.extend(of_day);
        day -= 1;
    }
    let total = all.len() as u64;
    if found.len() < wanted && seen.len() < all.len() {
        let rest = all.into_iter().filter(|id| !seen.contains(id)).collect();
        let mut rest = read(cql, rest, names).await?;
        sort(&mut rest, Sort::Activity);
        found.extend(rest);
    }
    Ok(ContainerPage {
        containers: cut(found, filter),
        total,
    })
}

/// Reads containers; those that are gone are left out.
async fn read(
    cql: &Cql,
    ids: Vec<ContainerId>,
    names: &[(SourceId, String)],
) -> Result<Vec<Container>, StoreError> {
    let read = |id: ContainerId| async move {
        let life = life::read(cql, &id).await?;
        Ok::<_, StoreError>(life.container(&id, names))
    };
    let found = futures_util::stream::iter(ids)
        .map(read)
        .buffer_unordered(PARALLEL);
    found
        .try_filter_map(|container| async move { Ok(container) })
        .try_collect()
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

/// Those that may have been seen within the last minute, as of `now`.
async fn since(cql: &Cql, now: u64) -> Result<Vec<ContainerId>, StoreError> {
    let first = now.saturating_sub(State::SILENT_AFTER + 1) / DAY;
    let last = clock::now().max(now) / DAY + 1;
    if last - first > QUIET_DAYS {
        return all(cql).await;
    }
    let mut found = HashSet::new();
    for day in first..=last {
        found.extend(active(cql, day).await?);
    }
    Ok(found.into_iter().collect())
}

/// Those of which something is known on a day.
async fn active(cql: &Cql, day: u64) -> Result<Vec<ContainerId>, StoreError> {
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
