//! `POST /api/v1/batch`: the posts of agents.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, header};

use super::access::Poster;
use super::body::Whole;
use super::error::{ApiError, Code, ErrorBody};
use super::parameters::{Checked, PostParameters};
use super::state::AppState;
use crate::ingest::{IngestError, Origin, Receipt};

/// The media type of a batch.
pub const MEDIA_TYPE: &str = "application/vnd.bubble.batch";

/// Header with the id of the boot of the agent's kernel, which is the same in all its containers.
const BOOT: &str = "x-bubble-boot";
/// Header of a post with seconds that may be stored already: an earlier post of them got no answer.
const REPEATED: &str = "x-bubble-repeated";
/// Longest id of a boot.
const MAX_BOOT: usize = 64;

/// Stores a batch of segments. Idempotent by the segments' keys: it may be posted again after any failure.
#[utoipa::path(
    post, path = "/api/v1/batch", operation_id = "postBatch", tag = "agents",
    params(PostParameters),
    request_body(content = Vec<u8>, content_type = "application/vnd.bubble.batch",
        description = "a batch as docs/segment-format.md has it"),
    responses(
        (status = 200, body = Receipt), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 413, body = ErrorBody),
        (status = 415, body = ErrorBody), (status = 422, body = ErrorBody),
        (status = 429, body = ErrorBody, description = "too many posts at a time: wait as Retry-After says"),
        (status = 503, body = ErrorBody, description = "the store does not answer: post again later"),
    ),
    security(("key" = [])),
)]
pub(super) async fn post(
    State(state): State<AppState>,
    Poster(key): Poster,
    parameters: Checked<Query<PostParameters>>,
    headers: HeaderMap,
    Whole { body, place }: Whole,
) -> Result<Json<Receipt>, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let recording = parameters.recording()?;
    let given = headers
        .get(header::CONTENT_TYPE)
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    if given != MEDIA_TYPE {
        return Err(ApiError::new(
            Code::UnsupportedMediaType,
            format!("the content type must be {MEDIA_TYPE}"),
        ));
    }
    let boot = headers.get(BOOT).and_then(|value| value.to_str().ok());
    let boot = boot.filter(|boot| (1..=MAX_BOOT).contains(&boot.len()));
    let (boot, repeated) = (boot.map(str::to_owned), headers.contains_key(REPEATED));
    // Goes on if the client is gone: what it is about to write depends on what it has read.
    let storing = tokio::spawn(async move {
        let origin = Origin {
            key: &key,
            is_administrator: false,
            recording,
            boot: boot.as_deref(),
            repeated,
        };
        let receipt = state.ingest.post(body, origin).await;
        drop(place);
        receipt
    });
    Ok(Json(storing.await.map_err(|_| IngestError::Panicked)??))
}
