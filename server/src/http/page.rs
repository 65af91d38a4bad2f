//! The page, embedded from `ui/dist` when the server is built.

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

use super::error::{ApiError, Code};

#[derive(Embed)]
#[folder = "ui/dist"]
#[allow_missing = true]
struct Dist;

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>bubble-chamber</title>\
<p>This server was built without its page. <code>cargo xtask ui</code> builds the page; then build \
the server again. The API is at <code>/api/v1</code>, described by \
<a href=\"/api/v1/openapi.json\">/api/v1/openapi.json</a>.";

/// Answers a file of the page; for any other path the page itself, which does its own routing.
pub(super) async fn serve(uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") {
        return ApiError::new(Code::NotFound, "there is nothing at this path").into_response();
    }
    if let Some(file) = Dist::get(path).filter(|_| path != ".gitignore") {
        return respond(path, file, &headers);
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    if path.starts_with("assets/") || (last.contains('.') && !path.starts_with("c/")) {
        return ApiError::new(Code::NotFound, "there is nothing at this path").into_response();
    }
    match Dist::get("index.html") {
        Some(file) => respond("index.html", file, &headers),
        None => Html(NOT_BUILT).into_response(),
    }
}

fn respond(path: &str, file: EmbeddedFile, headers: &HeaderMap) -> Response {
    let tag = format!("\"{}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    // Vite puts the hash of a file into its name in assets/.
    let caching = match path.starts_with("assets/") {
        true => "public, max-age=31536000, immutable",
        false => "no-cache",
    };
    let known = headers
        .get(header::IF_NONE_MATCH)
        .is_some_and(|known| known.as_bytes() == tag.as_bytes());
    let mut response = match known {
        true => StatusCode::NOT_MODIFIED.into_response(),
        false => Body::from(file.data.into_owned()).into_response(),
    };
    let mut set = |name, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            response.headers_mut().insert(name, value);
        }
    };
    set(header::ETAG, &tag);
    set(header::CACHE_CONTROL, caching);
    set(header::CONTENT_TYPE, file.metadata.mimetype());
    response
}
