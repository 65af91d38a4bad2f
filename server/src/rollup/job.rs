//! A job for a worker: to pack one span. Doing it twice, late or in any order gives the same.

use bubble_common::segment::{ContainerId, Resolution};
use serde::{Deserialize, Serialize};

use super::due::Due;
use super::pack::{PackError, pack};
use crate::clock;
use crate::store::Store;
use crate::store::error::StoreError;
use crate::store::row::DirtySpan;

/// How often a span is packed anew at once, because another server did so at the same time.
const TRIES: usize = 5;

/// Bytes of a job at most: several times the longest that there is.
const LONGEST: usize = 1_024;

/// To pack this span, as it is sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Job {
    container: String,
    resolution: u8,
    start: u64,
}

/// Why a job was not done.
#[derive(Debug, thiserror::Error)]
pub enum JobError {
    /// It is none of ours.
    #[error("the message is no job: {0}")]
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

/// What came of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Done {
    /// The span was packed.
    Packed,
    /// There was nothing to do: somebody did it before.
    Before,
    /// Something came into the span meanwhile: it is listed again when that is over.
    NotDue,
}

impl Job {
    /// To pack `span`.
    pub fn new(span: &DirtySpan) -> Self {
        Self {
            container: span.container.as_str().to_owned(),
            resolution: span.resolution as u8,
            start: span.start,
        }
    }

    /// As it is sent.
    pub fn encode(&self) -> Vec<u8> {
        // A struct of text and numbers can always be written.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// As it was received.
    ///
    /// # Errors
    /// When it is no job.
    pub fn decode(bytes: &[u8]) -> Result<Self, JobError> {
        if bytes.len() > LONGEST {
            return Err(JobError::Malformed(format!("it has {} bytes", bytes.len())));
        }
        serde_json::from_slice(bytes).map_err(|error| JobError::Malformed(error.to_string()))
    }

    /// Does it.
    ///
    /// # Errors
    /// When the store fails, or the span can't be packed; it is dirty still.
    pub async fn carry_out(&self, store: &dyn Store) -> Result<Done, JobError> {
        let malformed = |what: &str| JobError::Malformed(what.to_owned());
        let container = ContainerId::new(&self.container).map_err(|e| malformed(&e.to_string()))?;
        let resolution = Resolution::from_u8(self.resolution);
        let resolution = resolution.ok_or_else(|| malformed("there is no such resolution"))?;
        let mut tries = 0;
        loop {
            let span = store.dirty_span(&container, resolution, self.start).await?;
            let Some(span) = span else {
                return Ok(Done::Before);
            };
            let due = Due::new(store, resolution, clock::now()).await?;
            if !due.holds(&span) {
                return Ok(Done::NotDue);
            }
            tries += 1;
            match pack(store, span).await {
                Ok(()) => return Ok(Done::Packed),
                Err(PackError::Store(StoreError::Conflict)) if tries < TRIES => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{DirtySpan, Job, LONGEST};
    use bubble_common::segment::{ContainerId, Resolution};

    #[test]
    fn a_job_is_read_as_it_was_sent_and_what_is_none_is_refused() {
        let longest = "a".repeat(ContainerId::MAX_LEN);
        let span = DirtySpan {
            container: ContainerId::new(&longest).expect("an id"),
            resolution: Resolution::Day,
            start: u64::MAX,
            touched: 0,
            marks: Vec::new(),
        };
        let sent = Job::new(&span).encode();
        assert!(sent.len() * 2 <= LONGEST, "{}", sent.len());
        assert_eq!(Job::decode(&sent).expect("a job"), Job::new(&span));
        for wrong in [
            &b""[..],
            b"7",
            b"{}",
            &b"[".repeat(LONGEST),
            &b"[".repeat(LONGEST + 1),
        ] {
            let error = Job::decode(wrong).expect_err("no job");
            assert!(error.to_string().contains("is no job"), "{error}");
        }
    }
}
