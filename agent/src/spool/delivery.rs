//! Which batches are posted together, and what the server has of them.
//!
//! A batch is complete when the server has all its segments. Until then it may have those of some
//! containers: they were delivered earlier, as somebody looked at them.

use std::time::Duration;

use tokio::time::Instant;

use super::batch_id::BatchId;
use super::file::Level;
use super::progress::Progress;
use super::{Payload, Spool, SpoolError, SpooledBatch, Waiting};
use crate::attention::Names;

/// Maximum size of the batches of one post, encoded. A batch that is larger is posted alone.
const MAX_GROUP_BYTES: u64 = 1 << 20;

/// Which end of the spool a group of batches is taken from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The oldest batches.
    Oldest,
    /// The newest batches.
    Newest,
}

impl Spool {
    /// When the oldest batch that is not deferred will have waited for `interval`. `None` if there is
    /// no such batch.
    pub fn due_at(&self, interval: Duration) -> Option<Instant> {
        let oldest = self.ready().next()?;
        let since = self.waiting.get(&oldest)?.progress.since;
        Some(since.map_or_else(Instant::now, |since| since + interval))
    }

    /// Reads at most `max` batches that are not deferred, oldest first. Only batches of seconds are read
    /// together: a coarser one is alone.
    ///
    /// # Errors
    /// As for [`Self::peek`].
    pub fn group(&mut self, end: End, max: usize) -> Result<Vec<SpooledBatch>, SpoolError> {
        let mut ids = Vec::new();
        let mut bytes = 0;
        let ready: Box<dyn Iterator<Item = BatchId>> = match end {
            End::Oldest => Box::new(self.ready()),
            End::Newest => Box::new(self.ready().rev()),
        };
        for id in ready.take(max.max(1)) {
            let Some(waiting) = self.waiting.get(&id) else {
                break;
            };
            bytes += waiting.size();
            let fits = bytes <= MAX_GROUP_BYTES && waiting.is_of_seconds();
            if !ids.is_empty() && !fits {
                break;
            }
            ids.push(id);
            if !waiting.is_of_seconds() {
                break;
            }
        }
        ids.sort_unstable();
        ids.into_iter().map(|id| self.read(id)).collect()
    }

    /// Reads the newest batches of seconds, at most `max`, in which segments are not delivered of the
    /// containers `names`. Oldest first.
    ///
    /// # Errors
    /// As for [`Self::peek`].
    pub fn group_of(&mut self, names: &Names, max: usize) -> Result<Vec<SpooledBatch>, SpoolError> {
        let lacks = |id: &BatchId| {
            self.waiting.get(id).is_some_and(|waiting| {
                waiting.is_of_seconds() && !names.is_subset(&waiting.progress.done)
            })
        };
        let mut ids: Vec<BatchId> = self.ready().rev().take(max).filter(lacks).collect();
        let mut bytes = 0;
        let fitting = ids.iter().position(|id| {
            bytes += self.waiting.get(id).map_or(0, Waiting::size);
            bytes > MAX_GROUP_BYTES
        });
        ids.truncate(fitting.unwrap_or(ids.len()).max(1));
        ids.sort_unstable();
        ids.into_iter().map(|id| self.read(id)).collect()
    }

    /// Number of segments that have waited for longer than `interval`.
    pub fn overdue(&self, interval: Duration) -> u64 {
        let is_overdue = |progress: &Progress| {
            let waited = progress.since.map(|since| since.elapsed());
            waited.is_none_or(|waited| waited > interval)
        };
        let overdue = self.waiting.values();
        let overdue = overdue.filter(|waiting| is_overdue(&waiting.progress));
        overdue.map(|waiting| u64::from(waiting.segments)).sum()
    }

    /// Notes that batches are about to be posted: without a receipt, the server may have them.
    pub fn attempt(&mut self, ids: impl IntoIterator<Item = BatchId>) {
        for id in ids {
            if let Some(waiting) = self.waiting.get_mut(&id) {
                waiting.progress.attempted = true;
            }
        }
    }

    /// Notes that the server has all segments of the containers `names` in `batch`: `segments` in
    /// number. Completes the batch if that is all of it.
    pub fn deliver(&mut self, batch: &SpooledBatch, names: &Names, segments: u32) {
        let Some(waiting) = self.waiting.get_mut(&batch.id) else {
            return;
        };
        let progress = &mut waiting.progress;
        // The receipt has settled what this post attempted.
        progress.attempted = batch.attempted;
        progress.done.extend(names.iter().cloned());
        progress.delivered += segments;
        if segments > 0 && progress.delivered >= waiting.segments {
            self.complete(batch.id);
        }
    }

    /// The batches that are not deferred, oldest first.
    pub(super) fn ready(&self) -> impl DoubleEndedIterator<Item = BatchId> {
        let now = Instant::now();
        let is_deferred =
            move |id: &BatchId| self.deferred.get(id).is_some_and(|until| *until > now);
        let ids = self.waiting.keys().copied();
        ids.filter(move |id| !is_deferred(id))
    }
}

impl Waiting {
    /// Size of the encoded batch in bytes.
    pub(super) fn size(&self) -> u64 {
        match &self.payload {
            Payload::Disk(location) => location.record.length.into(),
            Payload::Memory(bytes) => bytes.len() as u64,
        }
    }

    fn is_of_seconds(&self) -> bool {
        match &self.payload {
            Payload::Disk(location) => location.file.level == Level::Second,
            Payload::Memory(_) => true,
        }
    }
}
