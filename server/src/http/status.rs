//! Hosts, the access of a token, and the state of the server.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::IntoResponse;
use serde::Serialize;

use super::access::{Admin, Reader};
use super::error::{ApiError, Code, ErrorBody};
use super::state::AppState;
use crate::auth::token::Access;
use crate::clock;
use crate::query::hosts::HostsOverview;

/// Longest wait for the store: shorter than the timeout of those who poll.
const STORE_TIMEOUT: Duration = Duration::from_secs(2);

/// The access that a token gives.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Me {
    /// Whether everything may be read.
    admin: bool,
    /// The container that may be read, if it is only one.
    container: Option<String>,
    /// Expiry, seconds since the Unix epoch.
    expires: u64,
    /// What a shared link shows of the container; null for other tokens.
    shared: Option<Shared>,
}

/// What a shared link shows.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Shared {
    /// Start of the range, seconds since the Unix epoch; null for the whole life.
    from: Option<f64>,
    /// End of the range.
    to: Option<f64>,
}

/// Lists hosts, those that need somebody first.
#[utoipa::path(
    get, path = "/api/v1/hosts", operation_id = "listHosts", tag = "hosts",
    responses((status = 200, body = HostsOverview), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn hosts(
    State(state): State<AppState>,
    _admin: Admin,
) -> Result<Json<HostsOverview>, ApiError> {
    let hosts = state.store.hosts().await?;
    let is_suspect = state.metrics.clock_suspect.get() != 0;
    let now = clock::now_ns() as f64 / 1e9;
    Ok(Json(HostsOverview::new(hosts, now, is_suspect)))
}

/// Returns the access that the token gives.
#[utoipa::path(
    get, path = "/api/v1/me", operation_id = "getMe", tag = "access",
    responses((status = 200, body = Me), (status = 401, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn me(reader: Reader) -> Json<Me> {
    let (container, shared) = match &reader.access {
        Access::Admin => (None, None),
        Access::Container(id) => (Some(id), None),
        Access::Link(link) => {
            let span = link.extent.span();
            let shared = Shared {
                from: span.map(|span| span.start as f64),
                to: span.map(|span| span.end as f64),
            };
            (Some(&link.container), Some(shared))
        }
    };
    Json(Me {
        admin: reader.access == Access::Admin,
        container: container.map(|id| id.as_str().to_owned()),
        expires: reader.expires,
        shared,
    })
}

/// Checks that the server and its store answer.
#[utoipa::path(
    get, path = "/ping", operation_id = "ping", tag = "server",
    responses((status = 200, body = String, content_type = "text/plain"),
        (status = 503, body = ErrorBody)),
)]
pub(super) async fn ping(State(state): State<AppState>) -> Result<&'static str, ApiError> {
    match tokio::time::timeout(STORE_TIMEOUT, state.store.check()).await {
        Ok(checked) => checked?,
        Err(_) => {
            return Err(ApiError::new(
                Code::Unavailable,
                "the store does not answer, try again",
            ));
        }
    }
    Ok("pong\n")
}

/// The server's own metrics, for Prometheus.
#[utoipa::path(
    get, path = "/metrics", operation_id = "getMetrics", tag = "server",
    responses((status = 200, body = String, content_type = "application/openmetrics-text")),
)]
pub(super) async fn metrics(State(state): State<AppState>) -> impl IntoResponse {
    let twice = state.ingest.hosts_counted_twice();
    state.metrics.hosts_counted_twice.set(twice as i64);
    let content_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    ([(header::CONTENT_TYPE, content_type)], state.metrics.text())
}
