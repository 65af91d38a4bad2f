//! `GET /api/v1/watch`: tells an agent which of its containers somebody looks at, by a long poll.

use std::time::Duration;

use axum::Json;
use axum::extract::{Query, State};
use serde::Serialize;
use sha2::{Digest, Sha256};
use tokio::time::{Instant, sleep_until};

use super::access::Poster;
use super::attention::List;
use super::error::{ApiError, Code, ErrorBody};
use super::parameters::{Checked, WatchParameters};
use super::state::AppState;

/// Longest time until an answer. Proxies close requests that are silent for a minute, some for half of it.
const MAX_WAIT: Duration = Duration::from_secs(25);
/// The shortest such time, in parts of the longest: agents that began together must not ask together.
const MIN_WAIT_PART: f64 = 0.8;

/// The containers of one host that somebody looks at.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct WatchedContainers {
    /// Identifies this list, for the next request.
    version: String,
    /// Ids of the containers, as this server has them. The agent delivers them each second.
    containers: Vec<String>,
}

impl WatchedContainers {
    /// Those of the owner's host.
    fn of(list: &List, owner: &str, host: &str) -> Self {
        let own = list
            .iter()
            .filter(|watched| watched.owner == owner && watched.host == host);
        let containers: Vec<String> = own
            .map(|watched| watched.container.as_str().to_owned())
            .collect();
        let digest = Sha256::digest(containers.join("\n"));
        let version = digest[..8].iter().map(|b| format!("{b:02x}")).collect();
        Self {
            version,
            containers,
        }
    }
}

/// Lists the containers of a host that somebody looks at: at once if the list is not the given version,
/// otherwise when it changes, or after some 25 seconds as it is. Of other owners' containers nothing is
/// said.
#[utoipa::path(
    get, path = "/api/v1/watch", operation_id = "watchHost", tag = "agents",
    params(WatchParameters),
    responses(
        (status = 200, body = WatchedContainers), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody),
        (status = 429, body = ErrorBody, description = "too many agents wait: ask again as Retry-After says"),
    ),
    security(("key" = [])),
)]
pub(super) async fn watch(
    State(state): State<AppState>,
    Poster(key): Poster,
    parameters: Checked<Query<WatchParameters>>,
) -> Result<Json<WatchedContainers>, ApiError> {
    let Checked(Query(WatchParameters { host, version })) = parameters;
    let _place = state.watches.clone().try_acquire_owned().map_err(|_| {
        ApiError::new(
            Code::TooManyRequests,
            "too many agents wait for what is looked at: ask again as Retry-After says",
        )
    })?;
    let mut list = state.attention.subscribe();
    let mut stop = state.stop.clone();
    let wait = MAX_WAIT.mul_f64(rand::random_range(MIN_WAIT_PART..=1.0));
    let deadline = Instant::now() + wait;
    let mut is_over = false;
    loop {
        let watched = WatchedContainers::of(&list.borrow_and_update(), &key.owner, &host);
        if is_over || version.as_ref() != Some(&watched.version) {
            return Ok(Json(watched));
        }
        tokio::select! {
            changed = list.changed() => is_over = changed.is_err(),
            () = sleep_until(deadline) => is_over = true,
            _ = stop.wait_for(|stop| *stop) => is_over = true,
        }
    }
}
