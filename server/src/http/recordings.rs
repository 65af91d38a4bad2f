//! Recordings: list and delete.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;

use super::access::Admin;
use super::error::{ApiError, Code, ErrorBody};
use super::state::AppState;
use crate::store::recording::{Recorded, Recording, id_of};

/// All recordings.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct RecordingList {
    /// Oldest first.
    recordings: Vec<RecordingItem>,
}

/// A recording. Times are seconds since the Unix epoch.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct RecordingItem {
    /// Its id: 32 hexadecimal digits.
    id: String,
    /// Its name.
    name: String,
    /// When it was first posted.
    created: f64,
    /// Its containers, by id.
    containers: Vec<RecordedItem>,
}

/// One container of a recording.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct RecordedItem {
    /// The container.
    id: String,
    /// Name that the runtime gave it; empty if unknown.
    name: String,
    /// Start of the first slot.
    first: f64,
    /// End of the last slot.
    last: f64,
    /// CPU time, ns.
    cpu_ns: u64,
    /// Bytes read from files and received.
    bytes_in: u64,
    /// Bytes written to files and sent.
    bytes_out: u64,
}

impl From<Recording> for RecordingItem {
    fn from(recording: Recording) -> Self {
        Self {
            id: recording.label.id.to_string(),
            name: recording.label.name,
            created: recording.created as f64,
            containers: recording
                .containers
                .into_iter()
                .map(RecordedItem::from)
                .collect(),
        }
    }
}

impl From<Recorded> for RecordedItem {
    fn from(part: Recorded) -> Self {
        Self {
            id: part.container.as_str().to_owned(),
            name: part.name,
            first: part.first as f64,
            last: part.last as f64,
            cpu_ns: part.cpu_ns,
            bytes_in: part.bytes_in,
            bytes_out: part.bytes_out,
        }
    }
}

/// Lists recordings.
#[utoipa::path(
    get, path = "/api/v1/recordings", operation_id = "listRecordings", tag = "recordings",
    responses((status = 200, body = RecordingList), (status = 401, body = ErrorBody),
        (status = 403, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn list(
    State(state): State<AppState>,
    _admin: Admin,
) -> Result<Json<RecordingList>, ApiError> {
    let recordings = state.store.recordings().await?;
    let recordings = recordings.into_iter().map(RecordingItem::from).collect();
    Ok(Json(RecordingList { recordings }))
}

/// Deletes a recording. Its rows are removed within seconds of the answer.
#[utoipa::path(
    delete, path = "/api/v1/recordings/{id}", operation_id = "deleteRecording", tag = "recordings",
    params(("id" = String, Path, description = "the recording's id")),
    responses((status = 204), (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 404, body = ErrorBody)),
    security(("token" = [])),
)]
pub(super) async fn delete(
    State(state): State<AppState>,
    _admin: Admin,
    Path(id): Path<String>,
) -> Result<StatusCode, ApiError> {
    let deleted = match id_of(&id) {
        Some(id) => state.store.delete_recording(id).await?,
        None => false,
    };
    match deleted {
        true => Ok(StatusCode::NO_CONTENT),
        false => Err(ApiError::new(
            Code::NotFound,
            "there is no recording with this id: /api/v1/recordings lists them",
        )),
    }
}
