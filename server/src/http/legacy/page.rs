//! `/static/index.html?container=ID&token=JWT`: the old links lead to the new page.

use axum::extract::Query;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use crate::http::error::{ApiError, Code};
use crate::ingest::short_id;

/// What an old link says.
#[derive(Deserialize)]
pub(super) struct Link {
    #[serde(default)]
    container: Option<String>,
    #[serde(default)]
    token: Option<String>,
}

/// Sends the browser to the page of the container, with the token where it is
/// sent to no server any more: in the fragment.
pub(super) async fn redirect(Query(link): Query<Link>) -> Result<Response, ApiError> {
    let id = link.container.as_deref().and_then(short_id);
    let id = id.ok_or_else(|| {
        ApiError::new(
            Code::BadRequest,
            "the link names no container: /static/index.html?container=ID&token=TOKEN",
        )
    })?;
    // A JWT (RFC 7519) is letters, digits, and these.
    let jwt = |token: &String| {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.".contains(&b);
        !token.is_empty() && token.bytes().all(known)
    };
    let location = match link.token.filter(jwt) {
        Some(token) => format!("/c/{id}#token={token}"),
        None => format!("/c/{id}"),
    };
    let location = HeaderValue::from_str(&location)
        .map_err(|_| ApiError::new(Code::BadRequest, "the link can't be followed"))?;
    Ok((StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response())
}
