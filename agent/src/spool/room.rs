//! Makes room in a full spool: the least loss first.

use std::io;

use bubble_common::batch::Batch;
use bubble_common::segment::loss::Reason;

use super::batch_id::BatchId;
use super::coarsen::Coarsener;
use super::file::{FileKey, Level};
use super::{Payload, Spool, is_damage};
use crate::undelivered::covered_seconds;

impl Spool {
    /// Drops rejected batches, makes the oldest files coarser, and then drops them, until `bytes` more
    /// fit.
    pub(super) fn make_room(&mut self, bytes: u64) {
        while self.bytes() + bytes > self.max {
            if self.rejected.remove_oldest() {
                continue;
            }
            let Some(key) = self.files.first_to_shrink() else {
                return;
            };
            self.files.deactivate(key);
            match key.level.coarser().map(|level| self.coarsen(key, level)) {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    tracing::warn!(
                        "cannot make spooled batches coarser, so they are dropped: {error}"
                    );
                    self.drop_file(key);
                }
                None => self.drop_file(key),
            }
        }
    }

    fn drop_file(&mut self, key: FileKey) {
        let mut slots = 0;
        for id in self.files.take_pending(key) {
            let Some(waiting) = self.waiting.remove(&id) else {
                continue;
            };
            slots += match (key.level, waiting.payload) {
                // A segment is a slot.
                (Level::Second, _) | (_, Payload::Memory(_)) => u64::from(waiting.segments),
                (Level::Minute, Payload::Disk(location)) => {
                    let batch = self.files.read(location).ok();
                    let batch = batch.and_then(|bytes| Batch::decode(&bytes).ok());
                    // What cannot be read has at least one second in each segment.
                    batch.map_or(u64::from(waiting.segments), |batch| {
                        batch.segments.iter().map(covered_seconds).sum()
                    })
                }
            };
        }
        self.lose(Reason::SPOOL_FULL, slots);
        self.files.remove(key);
    }

    /// Replaces a file by a coarser one.
    fn coarsen(&mut self, key: FileKey, level: Level) -> io::Result<()> {
        let mut coarsener = Coarsener::default();
        for id in self.files.pending(key) {
            let payload = self.waiting.get(&id).map(|waiting| &waiting.payload);
            if let Some(Payload::Disk(location)) = payload {
                let segments = location.record.segments;
                match self.files.read(*location) {
                    Ok(bytes) => coarsener.add(&bytes, segments),
                    Err(error) if is_damage(&error) => coarsener.lose(segments),
                    Err(error) => return Err(error),
                }
            }
        }
        let (batches, lost) = coarsener.finish();
        if batches.is_empty() {
            self.drop_file(key);
            return Ok(());
        }
        let replacements = self.files.write_coarser(key, level, &batches)?;
        // Not before: the caller drops the whole file if it cannot be replaced.
        self.lose(Reason::SPOOL_DAMAGED, lost);
        let mut replaced = self.files.take_pending(key).into_iter();
        for location in replacements {
            // A replacement keeps its place in the order of arrival.
            let id = match replaced.next() {
                Some(old) => {
                    self.waiting.remove(&old);
                    BatchId {
                        revision: old.revision + 1,
                        ..old
                    }
                }
                None => self.next_id(),
            };
            self.wait_on_disk(id, location);
        }
        for id in replaced {
            self.waiting.remove(&id);
        }
        self.files.remove(key);
        Ok(())
    }
}
