//! Recordings: list and delete.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;

use super::access::Admin;
use super::error::{ApiError, Code, ErrorBody};
use super::state::AppState;
use crate::store::binding::{Binding, of_source};
use crate::store::recording::{Recorded, RecordedLoss, Recording, Upload, id_of};

/// All recordings.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct RecordingList {
    /// Oldest first.
    recordings: Vec<RecordingItem>,
    /// Largest capture that may be uploaded, in bytes; 0: none.
    max_bytes: u64,
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
    /// Start of the first slot of all its containers.
    from: f64,
    /// End of the last slot.
    to: f64,
    /// Owner of the key that posted it, or `administrator`; absent if it was stored before owners were noted.
    posted_by: Option<String>,
    /// What is known of the file, if it was uploaded; absent if an agent posted it.
    upload: Option<UploadItem>,
    /// Its containers, by id.
    containers: Vec<RecordedItem>,
}

/// A capture that was uploaded. Times are seconds since the Unix epoch.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct UploadItem {
    /// Bytes of the file.
    bytes: u64,
    /// `scap`, `json` or `text`.
    format: String,
    /// Events (or lines) that were taken in.
    events: u64,
    /// Events (or lines) that were skipped.
    skipped: u64,
    /// Time of the first event; absent without one.
    from: Option<f64>,
    /// Time of the latest event.
    to: Option<f64>,
    /// What could not be counted.
    losses: Vec<RecordedLoss>,
    /// Why reading ended early; absent if the capture is whole.
    damage: Option<String>,
    /// Facts that its format lacks, one sentence each.
    missing: Vec<String>,
    /// Whether all of it is stored. If not, it is being stored, or that was interrupted: upload it again.
    stored: bool,
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

impl RecordingItem {
    fn new(recording: Recording, binding: Option<Binding>) -> Self {
        let containers = recording.containers.iter();
        let first = containers.clone().map(|part| part.first).min();
        let last = containers.map(|part| part.last).max();
        let uploaded_by = recording.upload.as_ref().map(|upload| upload.owner.clone());
        Self {
            id: recording.label.id.to_string(),
            name: recording.label.name,
            created: recording.created as f64,
            from: first.unwrap_or(0) as f64,
            to: last.unwrap_or(0) as f64,
            posted_by: uploaded_by.or_else(|| binding.map(|binding| binding.owner)),
            upload: recording.upload.map(UploadItem::from),
            containers: recording
                .containers
                .into_iter()
                .map(RecordedItem::from)
                .collect(),
        }
    }
}

impl From<Upload> for UploadItem {
    fn from(upload: Upload) -> Self {
        let seconds = |ns: u64| ns as f64 / 1e9;
        Self {
            bytes: upload.bytes,
            format: upload.format,
            events: upload.events,
            skipped: upload.skipped,
            from: upload.first_ns.map(seconds),
            to: upload.last_ns.map(seconds),
            losses: upload.losses,
            damage: upload.damage,
            missing: upload.missing,
            stored: upload.is_stored,
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
    let mut recordings = Vec::new();
    for recording in state.store.recordings().await? {
        let binding = match recording.upload {
            Some(_) => None,
            None => state.store.binding(&of_source(recording.label.id)).await?,
        };
        recordings.push(RecordingItem::new(recording, binding));
    }
    Ok(Json(RecordingList {
        recordings,
        max_bytes: state.limits.capture,
    }))
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
