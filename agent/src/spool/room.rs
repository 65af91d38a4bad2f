//! Makes room in a full spool: the least loss first.

use std::io;

use bubble_common::batch::Batch;
use bubble_common::segment::Segment;
use bubble_common::segment::loss::Reason;

use super::batch_id::BatchId;
use super::coarsen::{Coarse, Coarsener};
use super::file::{FileKey, Level};
use super::progress::Progress;
use super::record::is_damage;
use super::{Payload, Spool, Waiting};
use crate::attention::name_of;
use crate::undelivered::{covered_seconds, reported_losses};

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
        for id in self.files.take_pending(key) {
            if let Some(waiting) = self.waiting.remove(&id) {
                self.give_up(&waiting);
            }
        }
        self.save_losses();
        self.files.remove(key);
    }

    /// Counts a batch as lost that no longer waits, with the losses that it was to report.
    pub(super) fn give_up(&mut self, waiting: &Waiting) {
        let batch = match &waiting.payload {
            Payload::Disk(location) => {
                let bytes = self.files.read(*location).ok();
                bytes.and_then(|bytes| Batch::decode(&bytes).ok())
            }
            Payload::Memory(bytes) => Batch::decode(bytes).ok(),
        };
        let done = &waiting.progress.done;
        let Some(batch) = batch else {
            self.undelivered.add_reported(&waiting.content.reported);
            self.lose(Reason::SPOOL_FULL, waiting.content.seconds);
            return;
        };
        let is_delivered = |segment: &Segment| done.contains(name_of(&segment.key.container));
        let (delivered, left): (Vec<Segment>, Vec<Segment>) =
            batch.segments.into_iter().partition(is_delivered);
        self.lose(Reason::SPOOL_FULL, left.iter().map(covered_seconds).sum());
        let reported = reported_losses(&left);
        match waiting.payload {
            Payload::Disk(_) => self.undelivered.add_reported(&reported),
            Payload::Memory(_) => {
                self.undelivered.settle(&reported_losses(&delivered));
                self.undelivered.take_back(&reported);
            }
        }
    }

    /// Replaces a file by a coarser one.
    ///
    /// # Errors
    /// When the file still exists, and should be dropped.
    fn coarsen(&mut self, key: FileKey, level: Level) -> io::Result<()> {
        let mut coarsener = Coarsener::default();
        let mut damaged = Vec::new();
        for id in self.files.pending(key) {
            if let Some(waiting) = self.waiting.get(&id)
                && let Payload::Disk(location) = &waiting.payload
            {
                let is_valid = match self.files.read(*location) {
                    Ok(bytes) => coarsener.add(&bytes, &waiting.progress.done),
                    Err(error) if is_damage(&error) => false,
                    Err(error) => return Err(error),
                };
                if !is_valid {
                    damaged.push(id);
                }
            }
        }
        let Coarse { batches, contents } = coarsener.finish();
        if batches.is_empty() {
            self.drop_file(key);
            return Ok(());
        }
        let coarser = self.files.write_coarser(key, level, &batches)?;
        // Once it has its name, the next run removes the original with its damaged batches, so their loss is
        // noted before. They no longer wait, so it is noted once if the rest is dropped.
        for id in damaged {
            self.files.remove_pending(key, id);
            if let Some(waiting) = self.waiting.remove(&id) {
                self.note_damage(&waiting);
            }
        }
        self.save_losses();
        let replacements = self.files.complete_coarser(coarser)?;
        let mut replaced = self.files.take_pending(key).into_iter();
        for (location, content) in replacements.into_iter().zip(contents) {
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
            // The server may have some of it.
            self.wait_on_disk(id, location, Progress::resume(), content);
        }
        for id in replaced {
            self.waiting.remove(&id);
        }
        self.files.remove(key);
        // The coarser file has the same number, and none of that damage.
        if self.noted_damage.remove(&key.number).is_some() {
            self.undelivered.set_changed(true);
            self.save_losses();
        }
        Ok(())
    }
}
