//! `/static/index.html?container=ID&token=JWT&root=NAME`: old links lead to the new page.

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
    /// Name of the process at the root of the old page's graph of processes.
    #[serde(default)]
    root: Option<String>,
}

/// Longest name of a root that is kept, in bytes: no file has a longer one.
const MAX_ROOT: usize = 255;

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
    let named = |root: &String| (1..=MAX_ROOT).contains(&root.len());
    let view = match link.root.filter(named) {
        Some(root) => format!("?root={}", encoded(&root)),
        None => String::new(),
    };
    let location = match link.token.filter(jwt) {
        Some(token) => format!("{path}{view}#token={token}"),
        None => path + &view,
    };
    let location = HeaderValue::from_str(&location)
        .map_err(|_| ApiError::new(Code::BadRequest, "the link can't be followed"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}

/// `text` as a value in a query (RFC 3986).
fn encoded(text: &str) -> String {
    let byte = |byte: u8| match byte {
        b if b.is_ascii_alphanumeric() || b"-_.~".contains(&b) => char::from(b).to_string(),
        b => format!("%{b:02X}"),
    };
    text.bytes().map(byte).collect()
}
