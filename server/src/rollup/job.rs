//! A job for a worker: pack one span. Jobs may run twice, late and in any order.

use bubble_common::segment::{ContainerId, Resolution};
use serde::{Deserialize, Serialize};

use super::due::Due;
use super::pack::{PackError, pack};
use crate::clock;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::packing::DirtySpan;

/// Attempts to pack a span that another server packs at the same time.
const MAX_ATTEMPTS: usize = 5;

/// Encoded size of a job at most: several times the longest possible.
const MAX_SIZE: usize = 1_024;

/// The span to pack, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    container: String,
    resolution: u8,
    start: u64,
}

/// Why a job failed.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// The message is not a job.
    #[error("the message is not a job: {0}")]
    Malformed(String),
    /// The span could not be packed.
    #[error(transparent)]
    Pack(#[from] PackError),
}

impl From<StoreError> for JobError {
    fn from(error: StoreError) -> Self {
        Self::Pack(error.into())
    }
}

/// Outcome of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobOutcome {
    /// The span was packed.
    Packed,
    /// The span was not dirty: it was packed before.
    NotDirty,
    /// The span got new pieces meanwhile. It is listed again when it is due.
    NotDue,
}

impl Job {
    /// A job to pack `span`.
    pub fn new(span: &DirtySpan) -> Self {
        Self {
            container: span.container.as_str().to_owned(),
            resolution: span.resolution as u8,
            start: span.start,
        }
    }

    /// Encodes the job as JSON.
    pub fn encode(&self) -> Vec<u8> {
        // Encoding text and numbers cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Decodes a message.
    ///
    /// # Errors
    /// When it is not a job.
    pub fn decode(bytes: &[u8]) -> Result<Self, JobError> {
        if bytes.len() > MAX_SIZE {
            return Err(JobError::Malformed(format!("it has {} bytes", bytes.len())));
        }
        serde_json::from_slice(bytes).map_err(|error| JobError::Malformed(error.to_string()))
    }

    /// Packs the span.
    ///
    /// # Errors
    /// When the store fails, or the span cannot be packed. It then stays dirty.
    pub async fn run(&self, store: &dyn Store) -> Result<JobOutcome, JobError> {
        let malformed = |what: &str| JobError::Malformed(what.to_owned());
        let container = ContainerId::new(&self.container).map_err(|e| malformed(&e.to_string()))?;
        let resolution = Resolution::from_u8(self.resolution);
        let resolution = resolution.ok_or_else(|| malformed("there is no such resolution"))?;
        let mut attempts = 0;
        loop {
            let span = store.dirty_span(&container, resolution, self.start).await?;
            let Some(span) = span else {
                return Ok(JobOutcome::NotDirty);
            };
            let due = Due::new(store, resolution, clock::now()).await?;
            if !due.holds(&span) {
                return Ok(JobOutcome::NotDue);
            }
            attempts += 1;
            match pack(store, span).await {
                Ok(()) => return Ok(JobOutcome::Packed),
                Err(PackError::Store(StoreError::Conflict)) if attempts < MAX_ATTEMPTS => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bubble_common::segment::{ContainerId, Resolution};

    use super::{DirtySpan, Job, MAX_SIZE};

    #[test]
    fn a_job_is_decoded_as_it_was_encoded_and_other_bytes_are_refused() {
        let longest = "a".repeat(ContainerId::MAX_LEN);
        let span = DirtySpan {
            container: ContainerId::new(&longest).expect("an id"),
            resolution: Resolution::Day,
            start: u64::MAX,
            touched: 0,
            marks: Vec::new(),
        };
        let sent = Job::new(&span).encode();
        assert!(sent.len() * 2 <= MAX_SIZE, "{}", sent.len());
        assert_eq!(Job::decode(&sent).expect("a job"), Job::new(&span));
        for wrong in [
            &b""[..],
            b"7",
            b"{}",
            &b"[".repeat(MAX_SIZE),
            &b"[".repeat(MAX_SIZE + 1),
        ] {
            let error = Job::decode(wrong).expect_err("not a job");
            assert!(error.to_string().contains("is not a job"), "{error}");
        }
    }
}
