//! Around every request: an id, a line in the log, metrics, limits, headers.
//!
//! The log has the pattern of the route, never the path or the query: those may contain keys
//! and tokens.

use std::cell::Cell;
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::HttpBody as _;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rand::Rng;
use tracing::info;

use super::error::{ApiError, Code, REQUEST, request_id};
use super::state::AppState;
use crate::memory::Reservation;
use crate::query::output::Encoded;

/// Headers of every answer.
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

/// The type of most answers.
pub(super) const JSON: &str = "application/json";

/// Longest wait for the memory of an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(10);

/// The same while the answer holds memory of its query, which keeps other queries waiting.
const HELD_ANSWER_TIMEOUT: Duration = Duration::from_secs(1);

/// Gives a request its id, counts and logs it.
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
            state
                .metrics
                .request(&route, method_name(&method), status, took);
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

/// Label of a method in the metrics: a closed set, whatever clients send.
fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::HEAD => "HEAD",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        _ => "other",
    }
}

/// Refuses a query while too many are handled.
pub(super) async fn limit_reads(
    State(state): State<AppState>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(_place) = state.reads.try_acquire() else {
        return busy().into_response();
    };
    let mut answer = next.run(request).await;
    // A stream has no size. What it sends is shared.
    let Some(size) = answer.body().size_hint().exact() else {
        return answer;
    };
    let size = usize::try_from(size).unwrap_or(usize::MAX);
    let timeout = match answer.extensions().get::<QueryMemory>() {
        Some(_) => HELD_ANSWER_TIMEOUT,
        None => ANSWER_TIMEOUT,
    };
    match state.memory.answers.reserve(size, timeout).await {
        Ok(held) => {
            answer.extensions_mut().insert(Kept(Arc::new(held)));
            // It counts as an answer now, and no longer as a query.
            answer.extensions_mut().remove::<QueryMemory>();
            answer
        }
        Err(error) => ApiError::from(error).into_response(),
    }
}

/// Memory of an answer, in its extensions. The connection holds it until the answer is sent.
#[derive(Clone)]
pub(super) struct Kept(#[expect(dead_code, reason = "given back on drop")] Arc<Reservation>);

/// Memory that an answer has of its query, in its extensions, until it has memory of its own.
#[derive(Clone)]
struct QueryMemory(#[expect(dead_code, reason = "given back on drop")] Arc<Reservation>);

/// The answer that a query encoded, of the given type.
pub(super) fn encoded(answer: Encoded, kind: &'static str) -> Response {
    let Encoded { bytes, held, .. } = answer;
    let mut response = ([(header::CONTENT_TYPE, kind)], bytes).into_response();
    let held = QueryMemory(Arc::new(held));
    response.extensions_mut().insert(held);
    response
}

/// The answer while too much is handled.
pub(super) fn busy() -> ApiError {
    ApiError::new(
        Code::TooManyRequests,
        "the server is busy: try again as Retry-After says",
    )
}
