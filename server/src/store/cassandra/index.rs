//! The index of containers.
//!
//! The entries of a list are made from each container's own partition; the index itself only
//! lists which containers exist. A list by activity goes back from today, day by day, until
//! the page is full. Any other order, and a search, reads all containers.

use std::collections::HashSet;

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, SourceId, facts};
use futures_util::{StreamExt, TryStreamExt};

use super::cluster::Cassandra;
use super::session::Cql;
use super::{bindings, life, listing, recording};
use crate::clock;
use crate::store::binding::of_container;
use crate::store::container::{Container, State};
use crate::store::error::StoreError;
use crate::store::index::{ContainerFilter, ContainerPage, Index, Sort};

/// Containers read at the same time.
const CONCURRENCY: usize = 64;
/// Days without any container after which the rest is taken from the list of all.
const MAX_QUIET_DAYS: u64 = 32;
#[async_trait]
impl Index for Cassandra {
    async fn container(&self, id: &ContainerId) -> Result<Option<Container>, StoreError> {
        get(&self.cql, id).await
    }

    async fn containers(&self, filter: &ContainerFilter) -> Result<ContainerPage, StoreError> {
        page(&self.cql, filter).await
    }
}

/// Reads a container.
async fn get(cql: &Cql, id: &ContainerId) -> Result<Option<Container>, StoreError> {
    let (life, names) = futures_util::try_join!(life::read(cql, id), recording::names(cql))?;
    with_binding(cql, life.container(id, &names)).await
}

/// Adds the owner that a container belongs to.
async fn with_binding(
    cql: &Cql,
    container: Option<Container>,
) -> Result<Option<Container>, StoreError> {
    let Some(container) = container else {
        return Ok(None);
    };
    let binding = bindings::get(cql, &of_container(&container.id)).await?;
    Ok(Some(Container {
        binding,
        ..container
    }))
}

/// Reads a page of the index.
async fn page(cql: &Cql, filter: &ContainerFilter) -> Result<ContainerPage, StoreError> {
    let names = recording::names(cql).await?;
    let plain = filter.search.is_none() && filter.host.is_none() && filter.state.is_none();
    if plain && filter.sort == Sort::Activity {
        return latest(cql, filter, &names).await;
    }
    let ids = match filter.state {
        Some(State::Running) => since(cql, filter.now).await?,
        _ => listing::all(cql).await?,
    };
    let mut found = read(cql, ids, &names).await?;
    let search = filter.search.as_ref().map(|text| text.to_lowercase());
    found.retain(|container| {
        let host = container.facts.get(facts::HOST);
        filter.host.as_ref().is_none_or(|name| host == Some(name))
            && filter
                .state
                .is_none_or(|state| container.state(filter.now) == state)
            && search.as_ref().is_none_or(|text| matches(container, text))
    });
    sort(&mut found, filter.sort);
    let total = found.len() as u64;
    Ok(ContainerPage {
        containers: cut(found, filter),
        total,
    })
}

/// Cuts a sorted list to the page.
fn cut(found: Vec<Container>, filter: &ContainerFilter) -> Vec<Container> {
    let rest = found.into_iter().skip(filter.offset);
    rest.take(filter.limit).collect()
}

/// Whether the id, facts or recordings of a container contain `text`.
fn matches(container: &Container, text: &str) -> bool {
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

/// A page of all containers, by activity.
async fn latest(
    cql: &Cql,
    filter: &ContainerFilter,
    names: &[(SourceId, String)],
) -> Result<ContainerPage, StoreError> {
    let all = listing::all(cql).await?;
    let wanted = filter.offset.saturating_add(filter.limit);
    let mut found = Vec::new();
    let mut seen = HashSet::new();
    let mut quiet = 0;
    // Other clocks may be ahead.
    let mut day = clock::now().max(filter.now) / listing::DAY + 1;
    while found.len() < wanted && seen.len() < all.len() && quiet < MAX_QUIET_DAYS && day > 0 {
        let mut ids = listing::active(cql, day).await?;
        ids.retain(|id| seen.insert(id.clone()));
        quiet = if ids.is_empty() { quiet + 1 } else { 0 };
        // Days are in descending order, and so are the containers: each counts on its latest day.
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

/// Reads containers; skips those that are gone.
async fn read(
    cql: &Cql,
    ids: Vec<ContainerId>,
    names: &[(SourceId, String)],
) -> Result<Vec<Container>, StoreError> {
    let read = |id: ContainerId| async move {
        let life = life::read(cql, &id).await?;
        with_binding(cql, life.container(&id, names)).await
    };
    let found = futures_util::stream::iter(ids)
        .map(read)
        .buffer_unordered(CONCURRENCY);
    found
        .try_filter_map(|container| async move { Ok(container) })
        .try_collect()
        .await
}

/// Containers that may have been seen in the minute before `now`.
async fn since(cql: &Cql, now: u64) -> Result<Vec<ContainerId>, StoreError> {
    let first = now.saturating_sub(State::SILENT_AFTER + 1) / listing::DAY;
    let last = clock::now().max(now) / listing::DAY + 1;
    if last - first > MAX_QUIET_DAYS {
        return listing::all(cql).await;
    }
    let mut found = HashSet::new();
    for day in first..=last {
        found.extend(listing::active(cql, day).await?);
    }
    Ok(found.into_iter().collect())
}
