//! Bodies of posts, whole and within the limit.

use axum::body::Bytes;
use axum::extract::{FromRequest, Request};
use axum::http::StatusCode;

use super::error::{ApiError, Code};
use super::state::AppState;

/// A body that was sent to its end.
#[derive(Debug)]
pub(super) struct Whole(pub(super) Vec<u8>);

impl FromRequest<AppState> for Whole {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &AppState) -> Result<Self, ApiError> {
        let bytes = Bytes::from_request(request, state).await;
        bytes
            .map(|bytes| Self(bytes.into()))
            .map_err(|rejection| match rejection.status() {
                StatusCode::PAYLOAD_TOO_LARGE => ApiError::new(
                    Code::TooLarge,
                    format!(
                        "the body is larger than {} bytes: post less at a time",
                        state.limits.body
                    ),
                ),
                _ => ApiError::new(Code::BadRequest, "the body ended before all of it was sent")
                    .because(rejection.body_text()),
            })
    }
}
