//! `POST /api/v1/recordings`: takes a capture, reads it in a process of its own, and stores it.

use std::io;

use axum::Json;
use axum::extract::{Query, Request, State};
use bubble_common::segment::SourceId;
use serde::Serialize;

use super::access::Uploader;
use super::capture_body::{no_disk, receive};
use super::error::{ApiError, Code, ErrorBody};
use super::parameters::{Checked, UploadParameters};
use super::state::AppState;
use crate::capture::output::Found;
use crate::capture::start::{Output, ReadError};
use crate::ingest::{IngestError, Origin, Receipt, Refusal};
use crate::store::binding::of_source;
use crate::store::error::StoreError;
use crate::store::recording::{Label, RecordedLoss, Upload, id_of};

/// Most refusals in an answer.
const MAX_REFUSALS: usize = 20;

/// A capture that was read and stored.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct Uploaded {
    /// Ids of its recordings, one for each section that goes back in time. Empty: no container is in it.
    recordings: Vec<String>,
    /// Its format: `scap`, `json` or `text`.
    format: String,
    /// Bytes of the file.
    bytes: u64,
    /// Events (or lines) that were taken in.
    events: u64,
    /// Events (or lines) that were skipped.
    skipped: u64,
    /// Time of the first event, seconds since the Unix epoch; absent without one.
    from: Option<f64>,
    /// Time of the latest event.
    to: Option<f64>,
    /// Its containers by id, at most 1,000 of `containers_count`.
    containers: Vec<UploadedContainer>,
    /// Number of all.
    containers_count: u64,
    /// What could not be counted.
    losses: Vec<RecordedLoss>,
    /// Why reading ended early; absent if the capture is whole. Everything before was read.
    damage: Option<String>,
    /// Facts that its format lacks, one sentence each.
    missing: Vec<String>,
    /// Seconds of containers that are stored now.
    stored: u64,
    /// Those that were stored before; they count once.
    known: u64,
    /// The first of those that are not stored.
    refused: Vec<Refusal>,
    /// Number of all.
    refused_count: u64,
}

/// A container in a capture. Times are seconds since the Unix epoch.
#[derive(Debug, Serialize, utoipa::ToSchema)]
pub(super) struct UploadedContainer {
    /// Its id.
    id: String,
    /// Name that the runtime gave it; empty if unknown.
    name: String,
    /// Start of its first second.
    from: f64,
    /// End of its last second.
    to: f64,
}

impl From<Found> for UploadedContainer {
    fn from(found: Found) -> Self {
        Self {
            id: found.id,
            name: found.name,
            from: found.first as f64,
            to: found.last as f64,
        }
    }
}

impl From<ReadError> for ApiError {
    fn from(error: ReadError) -> Self {
        let text = error.to_string();
        match error {
            ReadError::Refused(_) => Self::new(Code::Malformed, text),
            ReadError::Busy => Self::new(Code::Unavailable, text),
            ReadError::Memory(error) => error.into(),
            ReadError::TooMuchMemory { .. }
            | ReadError::TooSlow { .. }
            | ReadError::TooMuchOutput { .. } => Self::new(Code::TooLarge, text),
            ReadError::Failed(_) => Self::new(
                Code::Internal,
                "the reader of the capture failed, the server's log has more: `bubble-agent analyse` may \
                 read it",
            )
            .with_log(text),
            ReadError::Io { .. } => no_disk(text),
        }
    }
}

/// Reads a capture of sysdig or Falco, or the output of sysdig, and stores it as a recording. The body is
/// the file, also compressed by gzip or zstd. An upload of the same file again counts once.
#[utoipa::path(
    post, path = "/api/v1/recordings", operation_id = "uploadRecording", tag = "recordings",
    params(UploadParameters),
    request_body(content = Vec<u8>, content_type = "application/octet-stream",
        description = "the file, at most `max_bytes` of `GET /api/v1/recordings`"),
    responses(
        (status = 200, body = Uploaded), (status = 400, body = ErrorBody),
        (status = 401, body = ErrorBody), (status = 403, body = ErrorBody),
        (status = 413, body = ErrorBody, description = "the file is too large, or takes too much to read"),
        (status = 422, body = ErrorBody, description = "the file is no capture"),
        (status = 429, body = ErrorBody, description = "too many uploads at a time: wait as Retry-After says"),
        (status = 503, body = ErrorBody, description = "no disk, no memory, or the store does not answer: upload it again later"),
    ),
    security(("key" = []), ("token" = [])),
)]
pub(super) async fn upload(
    State(state): State<AppState>,
    uploader: Uploader,
    parameters: Checked<Query<UploadParameters>>,
    request: Request,
) -> Result<Json<Uploaded>, ApiError> {
    let Checked(Query(parameters)) = parameters;
    let name = parameters.name()?;
    let Ok(place) = state.readers.uploads.clone().try_acquire_owned() else {
        let message = "other captures are being uploaded: try again as Retry-After says";
        return Err(ApiError::new(Code::TooManyRequests, message));
    };
    let file = receive(request, &state).await?;
    let bytes = file
        .metadata()
        .map_err(|error| no_disk(error.to_string()))?;
    let bytes = bytes.len();
    let output = state.readers.read(file).await?;
    // Goes on if the client is gone: half of a recording would look like a whole one.
    let storing = tokio::spawn(async move {
        let stored = Storing {
            state,
            uploader,
            name,
            bytes,
        };
        let stored = stored.store(output).await;
        drop(place);
        stored
    });
    match storing.await {
        Ok(stored) => Ok(Json(stored?)),
        Err(error) => Err(ApiError::new(
            Code::Internal,
            "storing the capture failed, the server's log has more",
        )
        .with_log(error.to_string())),
    }
}

/// An upload that is being stored.
struct Storing {
    state: AppState,
    uploader: Uploader,
    name: String,
    bytes: u64,
}

/// Why only a part of a capture may be stored.
#[derive(Debug, thiserror::Error)]
enum StoringError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error(transparent)]
    Ingest(#[from] IngestError),
    #[error("cannot read what the capture holds: {0}")]
    Read(#[from] io::Error),
    #[error("the recording belongs to the keys of another owner")]
    OtherOwner,
    #[error("the recording is deleted, and its rows are not removed yet")]
    Deleted,
}

impl From<StoringError> for ApiError {
    fn from(error: StoringError) -> Self {
        let again = match error {
            StoringError::OtherOwner => {
                let message = "the same file is stored already, with a key of another owner: upload it with \
                     theirs, or as administrator";
                return Self::new(Code::Forbidden, message);
            }
            StoringError::Deleted => {
                "the same recording was deleted just now: upload it again in some seconds"
            }
            StoringError::Store(_) | StoringError::Ingest(_) | StoringError::Read(_) => {
                "the capture could not be stored whole: upload it again, what is stored counts once"
            }
        };
        Self::new(Code::Unavailable, again).with_log(error.to_string())
    }
}

impl Storing {
    async fn store(&self, mut output: Output) -> Result<Uploaded, StoringError> {
        self.check_owner(&output).await?;
        // The note says that it is not whole until all of it is stored.
        self.note(&output, false).await?;
        let (mut sum, mut refused_count) = (Receipt::default(), 0);
        while let Some(batch) = output.batches.next_batch().await? {
            let origin = Origin {
                key: &self.uploader.key,
                is_administrator: self.uploader.is_administrator,
                recording: Some(self.name.clone()),
                boot: None,
                // The same file may have been uploaded before.
                repeated: true,
            };
            let receipt = self.state.ingest.post(batch, origin).await?;
            sum.stored += receipt.stored;
            sum.known += receipt.known;
            refused_count += receipt.refused.len() as u64;
            let room = MAX_REFUSALS - sum.refused.len();
            sum.refused.extend(receipt.refused.into_iter().take(room));
        }
        // A recording without a row is not listed.
        let is_stored = sum.stored + sum.known > 0;
        if is_stored {
            self.note(&output, true).await?;
        }
        Ok(self.answer(output, sum, refused_count, is_stored))
    }

    /// Refuses recordings of other owners, before anything of them is changed.
    async fn check_owner(&self, output: &Output) -> Result<(), StoringError> {
        if self.uploader.is_administrator {
            return Ok(());
        }
        for (label, _) in self.labels(output) {
            let bound = self.state.store.binding(&of_source(label.id)).await?;
            if bound.is_some_and(|bound| bound.owner != self.uploader.key.owner) {
                return Err(StoringError::OtherOwner);
            }
        }
        Ok(())
    }

    /// The recordings of a capture, each with what could not be counted in it.
    fn labels<'a>(&self, output: &'a Output) -> Vec<(Label, &'a [RecordedLoss])> {
        let sections = output.summary.sections.iter();
        let labels = sections.filter_map(|section| {
            let id: SourceId = id_of(&section.id)?;
            let name = self.name.clone();
            Some((Label { id, name }, section.losses.as_slice()))
        });
        labels.collect()
    }

    async fn note(&self, output: &Output, is_stored: bool) -> Result<(), StoringError> {
        let summary = &output.summary;
        for (label, losses) in self.labels(output) {
            let upload = Upload {
                owner: self.uploader.key.owner.clone(),
                bytes: self.bytes,
                format: summary.format.clone(),
                events: summary.events,
                skipped: summary.skipped,
                first_ns: summary.first_ns,
                last_ns: summary.last_ns,
                losses: losses.to_vec(),
                damage: summary.damage.clone(),
                missing: summary.missing.clone(),
                is_stored,
            };
            if !self.state.store.note_upload(&label, &upload).await? {
                return Err(StoringError::Deleted);
            }
        }
        Ok(())
    }

    fn answer(
        &self,
        output: Output,
        sum: Receipt,
        refused_count: u64,
        is_stored: bool,
    ) -> Uploaded {
        let summary = output.summary;
        let seconds = |ns: u64| ns as f64 / 1e9;
        let sections = summary.sections.into_iter();
        let (recordings, losses): (Vec<_>, Vec<_>) =
            sections.map(|section| (section.id, section.losses)).unzip();
        Uploaded {
            recordings: recordings.into_iter().filter(|_| is_stored).collect(),
            format: summary.format,
            bytes: self.bytes,
            events: summary.events,
            skipped: summary.skipped,
            from: summary.first_ns.map(seconds),
            to: summary.last_ns.map(seconds),
            containers: summary.containers.into_iter().map(Into::into).collect(),
            containers_count: summary.containers_count,
            losses: losses.into_iter().flatten().collect(),
            damage: summary.damage,
            missing: summary.missing,
            stored: sum.stored,
            known: sum.known,
            refused: sum.refused,
            refused_count,
        }
    }
}
