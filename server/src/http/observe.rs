//! Around every request: a number, a line in the log, figures, limits, headers.
//!
//! The log has the route's pattern and never the path or the query, in which
//! keys and tokens may be.

use std::cell::Cell;
use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rand::Rng;
use tracing::info;

use super::error::{ApiError, Code, REQUEST, request_id};
use super::state::AppState;

/// Everything that is sent says this.
const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; script-src 'self'; style-src 'self'; style-src-attr 'unsafe-inline'; \
         img-src 'self' data: blob:; font-src 'self'; connect-src 'self'; manifest-src 'self'; \
         base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (
        HeaderName::from_static("cross-origin-opener-policy"),
        "same-origin",
    ),
    (
        HeaderName::from_static("permissions-policy"),
        "camera=(), geolocation=(), microphone=()",
    ),
];

/// Numbers, counts and logs a request.
pub(super) async fn observe(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let route = request
        .extensions()
        .get::<MatchedPath>()
        .map_or("(page)", MatchedPath::as_str)
        .to_owned();
    let method = request.method().clone();
    let began = Instant::now();
    let number = Cell::new(rand::rng().next_u64());
    REQUEST
        .scope(number, async move {
            let mut response = next.run(request).await;
            let took = began.elapsed();
            let status = response.status().as_u16();
            state.metrics.request(&route, known(&method), status, took);
            let request_id = request_id();
            info!(
                request_id,
                %method,
                route,
                status,
                ms = took.as_millis() as u64,
                "answered"
            );
            let headers = response.headers_mut();
            for (name, value) in HEADERS {
                headers.insert(name, HeaderValue::from_static(value));
            }
            headers
                .entry(header::CACHE_CONTROL)
                .or_insert(HeaderValue::from_static("no-store"));
            if let Ok(value) = HeaderValue::from_str(&request_id) {
                headers.insert("x-request-id", value);
            }
            response
        })
        .await
}

/// A method's name for the figures, of which a stranger must not make many.
fn known(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// Refuses a post when too many are under way.
pub(super) async fn limit_posts(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    limited(state.posts.try_acquire().ok(), request, next).await
}

/// Refuses a question when too many are under way.
pub(super) async fn limit_reads(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    limited(state.reads.try_acquire().ok(), request, next).await
}

async fn limited(
    place: Option<tokio::sync::SemaphorePermit<'_>>,
    request: Request,
    next: Next,
) -> Response {
    match place {
        Some(_place) => next.run(request).await,
        None => ApiError::new(
            Code::TooManyRequests,
            "the server is busy: try again as Retry-After says",
        )
        .into_response(),
    }
}
