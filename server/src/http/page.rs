//! The page: any path that is not of the API.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::EmbeddedFile;
use sha2::{Digest as _, Sha256};

use super::base::BasePath;
use super::error::{ApiError, Code};
use super::state::AppState;
use crate::assets::Dist;

const NOT_BUILT: &str = "<!doctype html><meta charset=utf-8><title>bubble-chamber</title>\
<p>This server was built without its page. <code>cargo xtask ui</code> builds the page; then build \
the server again. The API is at <code>/api/v1</code>, described by \
<a href=\"/api/v1/openapi.json\">/api/v1/openapi.json</a>.";

/// Answers a file of the page; for any other path the page itself, which does its own routing.
pub(super) async fn serve(State(state): State<AppState>, uri: Uri, headers: HeaderMap) -> Response {
    let path = uri.path().trim_start_matches('/');
    if path.starts_with("api/") {
        return ApiError::new(Code::NotFound, "there is nothing at this path").into_response();
    }
    if ![".gitignore", INDEX].contains(&path)
        && let Some(file) = Dist::get(path)
    {
        return respond(path, file, &headers);
    }
    let last = path.rsplit('/').next().unwrap_or_default();
    if path.starts_with("assets/")
        || (path != INDEX && last.contains('.') && !path.starts_with("c/"))
    {
        return ApiError::new(Code::NotFound, "there is nothing at this path").into_response();
    }
    match Dist::get(INDEX) {
        Some(file) => index(&file, &state.base, &headers),
        None => Html(NOT_BUILT).into_response(),
    }
}

/// The page itself.
const INDEX: &str = "index.html";

/// The page with its addresses below the base path. The build leaves them relative (`vite.config.ts`), and the
/// page is shown at paths of any depth.
fn index(file: &EmbeddedFile, base: &BasePath, headers: &HeaderMap) -> Response {
    let page = String::from_utf8_lossy(&file.data);
    let page = page.replace("\"./", &format!("\"{base}/")).replace(
        "name=\"base\" content=\"\"",
        &format!("name=\"base\" content=\"{base}\""),
    );
    let sent = Sent {
        tag: &Sha256::digest(page.as_bytes())[..16],
        caching: "no-cache",
        kind: file.metadata.mimetype(),
        encoding: None,
    };
    sent.answer(Body::from(page), headers)
}

/// Encodings that the page's build has compressed its files with, the smallest first.
const ENCODINGS: [(&str, &str); 2] = [("br", ".br"), ("gzip", ".gz")];

/// The smallest form of a file that the client accepts, with its encoding.
fn smallest(path: &str, headers: &HeaderMap) -> Option<(EmbeddedFile, &'static str)> {
    let accepted = headers.get(header::ACCEPT_ENCODING)?.to_str().ok()?;
    ENCODINGS.into_iter().find_map(|(encoding, suffix)| {
        let file = Dist::get(&format!("{path}{suffix}"));
        file.filter(|_| accepts(accepted, encoding))
            .map(|file| (file, encoding))
    })
}

/// Whether an Accept-Encoding names this encoding, and does not exclude it by `q=0` (RFC 9110, 12.5.3).
fn accepts(accepted: &str, encoding: &str) -> bool {
    accepted.split(',').any(|item| {
        let mut parts = item.split(';').map(str::trim);
        let is_named = parts.next() == Some(encoding);
        let weight = parts.find_map(|part| part.strip_prefix("q="));
        let is_excluded = weight.is_some_and(|weight| weight.parse() == Ok(0.0_f32));
        is_named && !is_excluded
    })
}

fn respond(path: &str, plain: EmbeddedFile, headers: &HeaderMap) -> Response {
    let kind = plain.metadata.mimetype().to_owned();
    let (file, encoding) = match smallest(path, headers) {
        Some((file, encoding)) => (file, Some(encoding)),
        None => (plain, None),
    };
    let sent = Sent {
        tag: &file.metadata.sha256_hash()[..16],
        // Vite puts the hash of a file into its name in assets/.
        caching: match path.starts_with("assets/") {
            true => "public, max-age=31536000, immutable",
            false => "no-cache",
        },
        kind: &kind,
        encoding,
    };
    sent.answer(Body::from(file.data.into_owned()), headers)
}

/// How a file is sent.
struct Sent<'a> {
    /// Identifies its content.
    tag: &'a [u8],
    caching: &'a str,
    kind: &'a str,
    encoding: Option<&'a str>,
}

impl Sent<'_> {
    /// The answer with its headers; without the body if the client has it.
    fn answer(&self, body: Body, headers: &HeaderMap) -> Response {
        let tag = format!("\"{}\"", hex::encode(self.tag));
        let known = headers
            .get(header::IF_NONE_MATCH)
            .is_some_and(|known| known.as_bytes() == tag.as_bytes());
        let mut response = match known {
            true => StatusCode::NOT_MODIFIED.into_response(),
            false => body.into_response(),
        };
        let mut set = |name, value: &str| {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        };
        set(header::ETAG, &tag);
        set(header::CACHE_CONTROL, self.caching);
        set(header::CONTENT_TYPE, self.kind);
        set(header::VARY, "accept-encoding");
        if let Some(encoding) = self.encoding {
            set(header::CONTENT_ENCODING, encoding);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::accepts;

    #[test]
    fn an_encoding_is_accepted_if_it_is_named_and_not_excluded() {
        for (accepted, is) in [
            ("gzip, deflate, br", true),
            ("br;q=0.1", true),
            ("gzip;q=1.0, br; q=0.5", true),
            ("gzip, br;q=0", false),
            ("br;q=0.000", false),
            ("gzip", false),
            ("brx", false),
            ("", false),
        ] {
            assert_eq!(accepts(accepted, "br"), is, "{accepted}");
        }
    }
}
