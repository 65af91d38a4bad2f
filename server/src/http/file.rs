//! `GET …/file`: a range of a container as one HTML file that needs no server.

use axum::extract::{Query, State};
use axum::http::header;
use axum::response::{IntoResponse, Response};

use super::access::Readable;
use super::error::{ApiError, Code, ErrorBody};
use super::parameters::{Checked, RangeParameters};
use super::state::AppState;
use crate::document::{document, title};
use crate::query::saved::SaveError;

/// Saves a range as one HTML file: the page with its data. It opens offline, without a server.
#[utoipa::path(
    get, path = "/api/v1/containers/{id}/file", operation_id = "saveFile", tag = "containers",
    params(("id" = String, Path, description = "the container's id"), RangeParameters),
    responses((status = 200, body = String, content_type = "text/html"),
        (status = 400, body = ErrorBody), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody), (status = 404, body = ErrorBody),
        (status = 413, body = ErrorBody, description = "the range must be shorter, or its slots longer")),
    security(("token" = [])),
)]
pub(super) async fn save(
    State(state): State<AppState>,
    readable: Readable,
    parameters: Checked<Query<RangeParameters>>,
) -> Result<Response, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let ask = readable.limit(parameters.ask()?);
    let container = state.query.container(&readable.id).await?;
    let data = state.query.saved(&readable.id, &ask).await?;
    let html = document(&title(&container), &data)
        .map_err(|error| ApiError::new(Code::Unavailable, error.to_string()))?;
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"container.html\"",
        ),
    ];
    Ok((headers, html).into_response())
}

impl From<SaveError> for ApiError {
    fn from(error: SaveError) -> Self {
        match error {
            SaveError::Query(error) => error.into(),
            SaveError::TooLarge(_) => Self::new(Code::TooLarge, error.to_string()),
        }
    }
}
