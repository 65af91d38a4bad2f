//! Deleting containers: one by its id, or all that are older than a time. Deleting reports of hosts.

use std::collections::HashMap;

use bubble_common::segment::ContainerId;

use super::Store;
use super::container::State;
use super::error::StoreError;
use super::index::{ContainerFilter, Sort};

/// Containers read at once.
const PAGE_SIZE: usize = 1_000;

/// Outcome of deleting one container.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is marked, and its rows are removed soon.
    Deleted,
    /// There is no such container.
    Unknown,
    /// It still runs, so its agent would post it again. Nothing was deleted.
    Running,
}

/// Deletes one container. `now` is in seconds since the Unix epoch.
///
/// # Errors
/// When the store fails.
pub async fn delete(store: &dyn Store, id: &ContainerId, now: u64) -> Result<Deletion, StoreError> {
    let Some(container) = store.container(id).await? else {
        return Ok(Deletion::Unknown);
    };
    if container.state(now) == State::Running {
        return Ok(Deletion::Running);
    }
    match store.delete_container(id).await? {
        true => Ok(Deletion::Deleted),
        false => Ok(Deletion::Unknown),
    }
}

/// Deletes the containers that were last seen before `before`, and returns them. One in a recording
/// counts from when that was posted, because a capture may be of any time.
///
/// # Errors
/// When the store fails. Some may be deleted then.
pub async fn delete_older(
    store: &dyn Store,
    before: u64,
    now: u64,
) -> Result<Vec<ContainerId>, StoreError> {
    let mut posted: HashMap<ContainerId, u64> = HashMap::new();
    for recording in store.recordings().await? {
        for part in recording.containers {
            let latest = posted.entry(part.container).or_default();
            *latest = recording.created.max(*latest);
        }
    }
    let mut old = Vec::new();
    let mut filter = ContainerFilter {
        now,
        sort: Sort::Name,
        limit: PAGE_SIZE,
        ..ContainerFilter::default()
    };
    loop {
        let page = store.containers(&filter).await?.containers;
        filter.offset += page.len();
        let is_last = page.len() < PAGE_SIZE;
        let is_old = |id: &ContainerId, last_seen: u64| {
            let posted = posted.get(id).copied().unwrap_or(0);
            last_seen.max(posted) < before
        };
        let found = page.into_iter().filter(|container| {
            is_old(&container.id, container.last_seen) && container.state(now) != State::Running
        });
        old.extend(found.map(|container| container.id));
        if is_last {
            break;
        }
    }
    let mut deleted = Vec::new();
    for id in old {
        if store.delete_container(&id).await? {
            deleted.push(id);
        }
    }
    Ok(deleted)
}

/// Deletes the reports of the hosts called `name`, or only that of `owner`. Returns their number.
///
/// # Errors
/// When the store fails. Some may be deleted then.
pub async fn delete_hosts(
    store: &dyn Store,
    name: &str,
    owner: Option<&str>,
) -> Result<u64, StoreError> {
    let mut deleted = 0;
    for host in store.hosts().await? {
        let is_owned = owner.is_none_or(|owner| host.owner == owner);
        if host.host == name && is_owned && store.delete_host(&host.id()).await? {
            deleted += 1;
        }
    }
    if deleted > 0 {
        // One from before owners were noted is hidden by the others.
        store.delete_host(name).await?;
    }
    Ok(deleted)
}
