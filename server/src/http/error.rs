//! Errors as answers. The message for the client and the one for the log are separate: a client
//! learns what to do, not what is inside.

use std::cell::Cell;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bubble_common::segment::codec::DecodeError;
use serde::Serialize;
use tracing::{error, info};

use crate::ingest::IngestError;
use crate::memory::MemoryError;
use crate::query::error::QueryError;
use crate::store::error::StoreError;

/// Kind of an error: a closed list, for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// 400
    BadRequest,
    /// 401
    Unauthorized,
    /// 401: the time of a shared link is over.
    LinkExpired,
    /// 401: a shared link was revoked.
    LinkRevoked,
    /// 403
    Forbidden,
    /// 404
    NotFound,
    /// 405
    MethodNotAllowed,
    /// 409
    Ambiguous,
    /// 413
    TooLarge,
    /// 415
    UnsupportedVersion,
    /// 415
    UnsupportedMediaType,
    /// 422
    Malformed,
    /// 429
    TooManyRequests,
    /// 500
    Internal,
    /// 503
    Unavailable,
}

impl Code {
    fn status(self) -> StatusCode {
        match self {
            Self::BadRequest => StatusCode::BAD_REQUEST,
            Self::Unauthorized | Self::LinkExpired | Self::LinkRevoked => StatusCode::UNAUTHORIZED,
            Self::Forbidden => StatusCode::FORBIDDEN,
            Self::NotFound => StatusCode::NOT_FOUND,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::Ambiguous => StatusCode::CONFLICT,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnsupportedVersion | Self::UnsupportedMediaType => {
                StatusCode::UNSUPPORTED_MEDIA_TYPE
            }
            Self::Malformed => StatusCode::UNPROCESSABLE_ENTITY,
            Self::TooManyRequests => StatusCode::TOO_MANY_REQUESTS,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// An error as it is answered.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct ErrorBody {
    /// Kind of error.
    pub code: Code,
    /// What to do about it, for people.
    pub message: String,
    /// Identifies the request in the log.
    pub request_id: String,
}

/// An error, to be answered and logged.
#[derive(Debug)]
pub struct ApiError {
    code: Code,
    /// For the client.
    message: String,
    /// For the log, if it differs from the message.
    internal: Option<String>,
}

/// Longest reason in the log, in bytes.
const MAX_LOGGED: usize = 500;

/// At most `max` bytes of a text.
fn cut(text: &str, max: usize) -> &str {
    &text[..text.floor_char_boundary(max)]
}

tokio::task_local! {
    /// The number of the request that this task answers.
    pub(super) static REQUEST: Cell<u64>;
}

/// The request's number as text.
pub(super) fn request_id() -> String {
    REQUEST
        .try_with(Cell::get)
        .map_or_else(|_| String::new(), |id| format!("{id:016x}"))
}

impl ApiError {
    /// An error with the same message for the client and for the log.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            internal: None,
        }
    }

    /// Sets another message for the log.
    #[must_use]
    pub fn with_log(mut self, internal: impl Into<String>) -> Self {
        self.internal = Some(internal.into());
        self
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let request_id = request_id();
        let internal = self.internal.as_deref().unwrap_or(&self.message);
        let code = self.code;
        // A part of it may be the client's: a field is escaped, and never becomes a line of its own.
        let reason = cut(internal, MAX_LOGGED);
        if self.code.status().is_server_error() {
            error!(request_id, ?code, reason, "refused");
        } else {
            info!(request_id, ?code, reason, "refused");
        }
        let body = ErrorBody {
            code: self.code,
            message: self.message,
            request_id,
        };
        let mut response = (self.code.status(), Json(body)).into_response();
        let headers = response.headers_mut();
        match self.code {
            Code::TooManyRequests | Code::Unavailable => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("2"));
            }
            Code::Unauthorized | Code::LinkExpired | Code::LinkRevoked => {
                headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
            }
            _ => {}
        }
        response
    }
}

impl From<StoreError> for ApiError {
    fn from(error: StoreError) -> Self {
        Self::new(Code::Unavailable, "the store does not answer, try again")
            .with_log(error.to_string())
    }
}

impl From<MemoryError> for ApiError {
    fn from(error: MemoryError) -> Self {
        let code = match error {
            MemoryError::Busy => Code::Unavailable,
            MemoryError::TooLarge { .. } => Code::TooLarge,
        };
        Self::new(code, error.to_string())
    }
}

impl From<DecodeError> for ApiError {
    fn from(error: DecodeError) -> Self {
        let code = match error {
            DecodeError::UnsupportedVersion { .. } | DecodeError::UnsupportedColumns { .. } => {
                Code::UnsupportedVersion
            }
            DecodeError::TooLarge { .. } => Code::TooLarge,
            DecodeError::Unrecognised { .. }
            | DecodeError::Truncated(_)
            | DecodeError::Corrupt(_) => Code::Malformed,
        };
        Self::new(code, error.to_string())
    }
}

impl From<IngestError> for ApiError {
    fn from(error: IngestError) -> Self {
        match error {
            IngestError::Decode(error) => error.into(),
            IngestError::Event(error) => Self::new(Code::Malformed, error.to_string()),
            IngestError::Store(error) => error.into(),
            IngestError::Memory(error) => error.into(),
            IngestError::Panicked => internal(&error),
        }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        match error {
            QueryError::Store(error) => error.into(),
            QueryError::Memory(error) => error.into(),
            QueryError::NoContainer(_) => Self::new(Code::NotFound, error.to_string()),
            QueryError::Arrange(_) => Self::new(Code::BadRequest, error.to_string()),
            QueryError::Merge(_) | QueryError::Panicked => internal(&error),
        }
    }
}

fn internal(error: &dyn std::error::Error) -> ApiError {
    ApiError::new(
        Code::Internal,
        "something went wrong here, the server's log has more",
    )
    .with_log(error.to_string())
}
