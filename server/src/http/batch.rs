//! `POST /api/v1/batch`: what agents send.

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use serde::Deserialize;

use super::access::Poster;
use super::error::{ApiError, Code, ErrorBody};
use super::parameters::Checked;
use super::state::AppState;
use crate::ingest::Receipt;

/// The media type of a batch.
pub const MEDIA_TYPE: &str = "application/vnd.bubble.batch";

/// Longest name of a recording, in characters.
const NAME: usize = 200;

/// What a batch is part of.
#[derive(Debug, Deserialize, utoipa::IntoParams)]
#[into_params(parameter_in = Query)]
#[serde(deny_unknown_fields)]
pub(super) struct PostParameters {
    /// Name of the recording that the batch is part of, 1 to 200 characters;
    /// without it the batch is live. All batches (and segments) of a recording
    /// have one source, which is its id. What is recorded never expires.
    #[serde(default)]
    recording: Option<String>,
}

impl PostParameters {
    fn recording(self) -> Result<Option<String>, ApiError> {
        let good = |name: &String| {
            let length = name.chars().count();
            (1..=NAME).contains(&length) && !name.chars().any(char::is_control)
        };
        match self.recording {
            Some(name) if !good(&name) => Err(ApiError::new(
                Code::BadRequest,
                format!("recording is a name of 1 to {NAME} characters, none a control character"),
            )),
            name => Ok(name),
        }
    }
}

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
    _poster: Poster,
    parameters: Checked<Query<PostParameters>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
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
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(
            Code::TooLarge,
            format!(
                "the body is larger than {} bytes: post fewer segments at a time",
                state.limits.body
            ),
        ),
        _ => ApiError::new(Code::BadRequest, "the body ended before all of it was sent")
            .because(rejection.body_text()),
    })?;
    Ok(Json(state.ingest.post(body.into(), recording).await?))
}
