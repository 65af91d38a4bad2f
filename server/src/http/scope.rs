//! What the token of a shared link may ask. Every request with such a token is checked here.

use axum::extract::{MatchedPath, Query};
use axum::http::request::Parts;
use axum::http::{Method, Uri};
use serde::Deserialize;

use super::error::{ApiError, Code};
use crate::auth::token::Link;

/// The route that has no times of its own, and follows a container.
const LIVE: &str = "/api/v1/containers/{id}/live";
/// The routes that a link may read. All others are refused, those too that are added later.
const ROUTES: [&str; 9] = [
    "/api/v1/me",
    "/api/v1/containers/{id}",
    "/api/v1/containers/{id}/summary",
    "/api/v1/containers/{id}/life",
    "/api/v1/containers/{id}/table",
    "/api/v1/containers/{id}/lanes",
    "/api/v1/containers/{id}/series",
    "/api/v1/containers/{id}/file",
    LIVE,
];

/// The times of a request, whatever its route.
#[derive(Debug, Default, Deserialize)]
struct Times {
    from: Option<f64>,
    to: Option<f64>,
    at: Option<f64>,
}

/// Checks route, method and times. The container of the path is for the extractor of paths, which also
/// limits the answer to the range.
///
/// # Errors
/// When the link does not show what is asked for.
pub(super) fn check(parts: &Parts, link: &Link) -> Result<(), ApiError> {
    let route = parts.extensions.get::<MatchedPath>();
    let route = route.map_or("", MatchedPath::as_str);
    let reads = [Method::GET, Method::HEAD].contains(&parts.method);
    if !reads || !ROUTES.contains(&route) {
        return Err(refused("this link shows one container and nothing else"));
    }
    match link.extent.span() {
        None => Ok(()),
        Some(_) if route == LIVE => Err(refused(
            "this link shows a range of time, and follows no container",
        )),
        Some(span) => times(&parts.uri, span.start as f64, span.end as f64),
    }
}

fn times(uri: &Uri, start: f64, end: f64) -> Result<(), ApiError> {
    let Query(asked) = Query::<Times>::try_from_uri(uri)
        .map_err(|rejection| ApiError::new(Code::BadRequest, rejection.body_text()))?;
    // NaN is outside.
    let is_inside = |time: &f64| *time >= start && *time <= end;
    let times = [asked.from, asked.to, asked.at];
    match times.iter().flatten().all(is_inside) {
        true => Ok(()),
        false => Err(refused(format!(
            "this link shows the time from {start} to {end} only (seconds since the Unix epoch)"
        ))),
    }
}

fn refused(message: impl Into<String>) -> ApiError {
    ApiError::new(Code::Forbidden, message)
}
