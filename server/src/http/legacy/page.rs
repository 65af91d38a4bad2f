//! `/static/index.html?container=ID&token=JWT`: old links lead to the new page.

use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bubble_common::segment::ContainerId;
use serde::Deserialize;

use crate::http::error::{ApiError, Code};
use crate::http::state::AppState;
use crate::query::error::QueryError;
use crate::store::resolve::{Meaning, resolve};

/// The parameters of an old link.
#[derive(Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    container: Option<String>,
    #[serde(default)]
    token: Option<String>,
}

/// Redirects to the page of the container, or of the only step of a Slurm job; to the list if the job
/// has several steps. The token moves to the fragment, which browsers do not send to servers.
pub(super) async fn redirect(
    State(state): State<AppState>,
    Query(link): Query<Link>,
) -> Result<Response, ApiError> {
    let text = link.container.unwrap_or_default();
    let id = match resolve(&*state.store, &text).await? {
        Meaning::One(id) => Some(id),
        // The page lists them, once it has checked the token.
        Meaning::Several(_) => ContainerId::new(&text).ok(),
        Meaning::Invalid => None,
    };
    let id = id.ok_or_else(|| {
        ApiError::new(
            Code::BadRequest,
            "the link names no container: /static/index.html?container=ID&token=TOKEN",
        )
    })?;
    // The alphabet of a JWT (RFC 7519).
    let jwt = |token: &String| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        !token.is_empty() && token.bytes().all(known)
    };
    let base = &state.base;
    let path = match state.query.parts_of(&id).await {
        Ok(parts) if parts.len() > 1 => format!("{base}/"),
        Ok(parts) => format!("{base}/c/{}", parts.first().map_or(&id, |part| &part.id)),
        // The page says so, once it has checked the token.
        Err(QueryError::NoContainer(_)) => format!("{base}/c/{id}"),
        Err(error) => return Err(error.into()),
    };
    let location = match link.token.filter(jwt) {
        Some(token) => format!("{path}#token={token}"),
        None => path,
    };
    let location = HeaderValue::from_str(&location)
        .map_err(|_| ApiError::new(Code::BadRequest, "the link can't be followed"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}
