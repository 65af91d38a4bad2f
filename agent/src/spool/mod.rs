//! The spool: batches wait here, on disk, until the server has them.
//!
//! **Guarantee.** A batch is written and synced before it is sent, and removed only after the server's
//! receipt for all its segments. Nothing that was spooled is lost, whatever is killed and whenever. A batch may be sent
//! twice; its segments' keys make that harmless. The next run sends it unchanged, as the source is
//! within the stored bytes.
//!
//! **Bound.** If the spool is full, its oldest seconds become minutes. If all are minutes, the oldest
//! file is dropped, and counted as a loss. Batches that the server refused count into the bound, and go
//! first. (Not hours: their coverage tells minutes apart, so the two halves of
//! a minute that was cut by the end of a file would count once.)
//!
//! **A disk that fails.** Batches then wait in memory, bounded as well, until the disk works again.
//!
//! | file | role |
//! |---|---|
//! | `record` | the bytes of a record |
//! | `file` | one file: append, read |
//! | `files` | the folder: which file is active, which is removed |
//! | `coarsen` | seconds to minutes |
//! | `room` | makes room in a full spool |
//! | `damage` | batches that were changed on the disk |
//! | `losses` | what was given up, until a spooled second reports it |
//! | `rejected` | batches that the server refused |
//! | `delivery` | which batches are posted together, and what the server has of them |
//! | `progress` | how far a batch is delivered |
//! | `private` | permissions |
//! | `disk` | the operations of a disk, which a simulation replaces |
//! | `queue` | the spool behind a lock |

mod batch_id;
mod coarsen;
mod damage;
pub mod delivery;
pub mod disk;
mod file;
mod files;
mod losses;
mod private;
mod progress;
pub mod queue;
mod record;
pub mod rejected;
mod room;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use bubble_common::batch::Batch;
use bubble_common::segment::ContainerId;
use bubble_common::segment::loss::Reason;
use tokio::time::Instant;

pub use self::batch_id::BatchId;
use self::disk::{Disk, HostDisk};
pub use self::files::SpoolError;
use self::files::{Files, Location};
use self::losses::NotedDamage;
use self::progress::Progress;
use self::record::{HEADER, MAGIC, is_damage};
use self::rejected::Rejected;
use crate::attention::Names;
use crate::undelivered::{ReportedLosses, Undelivered, reported_losses};

/// Maximum size of the batches in memory, in bytes.
const MAX_MEMORY: u64 = 16 << 20;
/// Delay of a batch that the disk does not read now.
const UNREADABLE_DELAY: Duration = Duration::from_secs(30);
/// Batches that move from memory to disk at each append, so that none takes long.
const MOVED_AT_ONCE: usize = 8;

/// Where an appended batch is.
#[derive(Debug)]
pub enum Stored {
    /// On disk: it outlives the agent.
    Disk,
    /// In memory only, because of this error.
    Memory(io::Error),
}

/// A batch that waits for the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpooledBatch {
    /// Identifies it.
    pub id: BatchId,
    /// The encoded batch.
    pub payload: Vec<u8>,
    /// Number of segments in it.
    pub segments: u32,
    /// Whether the server may have some of it, as it was posted without a receipt.
    pub attempted: bool,
    /// Containers whose segments in this batch are all stored.
    pub done: Names,
}

/// Batches that wait for the server.
#[derive(Debug)]
pub struct Spool {
    files: Files,
    rejected: Rejected,
    /// Maximum size in bytes.
    max: u64,
    waiting: BTreeMap<BatchId, Waiting>,
    next_sequence: u64,
    /// Whether this run has appended a batch.
    appended: bool,
    /// Bytes in memory.
    in_memory: u64,
    /// Batches that are not sent before a time.
    deferred: BTreeMap<BatchId, Instant>,
    /// Slots that were dropped.
    dropped: u64,
    /// The same, and what the server refused, until it is a loss in the data.
    undelivered: Undelivered,
    /// What of it is still in the files: the next run must not note it again.
    noted_damage: NotedDamage,
    /// Whether the file of losses could not be written.
    losses_failed: bool,
}

#[derive(Debug)]
struct Waiting {
    segments: u32,
    payload: Payload,
    progress: Progress,
    content: Content,
}

/// What is known of a batch without reading it.
#[derive(Debug, Clone)]
struct Content {
    /// Number of seconds that it covers; at least, if an earlier run has written it.
    seconds: u64,
    /// The losses that it reports. None are known of one that an earlier run has written.
    reported: ReportedLosses,
}

impl Content {
    /// That of a batch of so many segments, each of at least one second.
    fn of_segments(segments: u32, reported: ReportedLosses) -> Self {
        let seconds = segments.into();
        Self { seconds, reported }
    }
}

#[derive(Debug)]
enum Payload {
    Disk(Location),
    Memory(Vec<u8>),
}

impl Spool {
    /// Opens the spool in `folder`, which is created if absent, with the batches of earlier runs.
    /// It holds at most `max` bytes.
    ///
    /// # Errors
    /// When the folder cannot be used, or another agent uses it.
    pub fn open(folder: &Path, max: u64) -> Result<Self, SpoolError> {
        Self::open_on(Arc::new(HostDisk), folder, max)
    }

    /// As [`Self::open`], on another disk than that of the host.
    ///
    /// # Errors
    /// As for [`Self::open`].
    pub fn open_on(disk: Arc<dyn Disk>, folder: &Path, max: u64) -> Result<Self, SpoolError> {
        let (files, mut found) = Files::open(Arc::clone(&disk), folder)?;
        let rejected = Rejected::open(disk, folder).map_err(|source| SpoolError::Io {
            path: rejected::folder(folder),
            source,
        })?;
        let mut spool = Self {
            files,
            rejected,
            max,
            waiting: BTreeMap::new(),
            next_sequence: 1,
            appended: false,
            in_memory: 0,
            deferred: BTreeMap::new(),
            dropped: 0,
            undelivered: Undelivered::default(),
            noted_damage: NotedDamage::new(),
            losses_failed: false,
        };
        let read = losses::read(
            &*spool.files.disk,
            folder,
            &spool.undelivered,
            &mut spool.noted_damage,
        );
        if !read.map_err(|source| spool.unreadable(source))? {
            tracing::error!("the spool's file of losses is damaged");
            spool.lose(Reason::SPOOL_DAMAGED, 1);
        }
        spool.note_found_damage(&mut found);
        for location in found {
            let id = spool.next_id();
            let content = Content::of_segments(location.record.segments, ReportedLosses::new());
            spool.wait_on_disk(id, location, Progress::resume(), content);
        }
        Ok(spool)
    }

    /// Adds an encoded batch of `segments` segments at the end.
    pub fn append(&mut self, payload: Vec<u8>, segments: u32) -> Stored {
        self.make_room(payload.len() as u64 + HEADER + MAGIC.len() as u64);
        let id = self.next_id();
        // The first one shows at once that the agent runs.
        let progress = match std::mem::replace(&mut self.appended, true) {
            true => Progress::begin(),
            false => Progress::default(),
        };
        let content = Content::of_segments(segments, self.reported_by(&payload));
        match self.files.append(&payload, segments) {
            Ok(location) => {
                self.undelivered.settle(&content.reported);
                self.wait_on_disk(id, location, progress, content);
                self.move_to_disk();
                self.save_losses();
                Stored::Disk
            }
            Err(error) => {
                self.in_memory += payload.len() as u64;
                let waiting = Waiting {
                    segments,
                    payload: Payload::Memory(payload),
                    progress,
                    content,
                };
                self.waiting.insert(id, waiting);
                self.bound_memory();
                self.save_losses();
                Stored::Memory(error)
            }
        }
    }

    /// What was given up, until it is reported as a loss.
    pub fn undelivered(&self) -> Undelivered {
        self.undelivered.clone()
    }

    /// Reads the newest or the oldest batch that is not deferred.
    ///
    /// # Errors
    /// When it cannot be read. If its bytes were changed on the disk it is dropped and counted;
    /// otherwise it is deferred.
    pub fn peek(&mut self, newest: bool) -> Result<Option<SpooledBatch>, SpoolError> {
        let id = match newest {
            true => self.ready().next_back(),
            false => self.ready().next(),
        };
        id.map(|id| self.read(id)).transpose()
    }

    /// Reads a batch that waits.
    ///
    /// # Errors
    /// As for [`Self::peek`].
    fn read(&mut self, id: BatchId) -> Result<SpooledBatch, SpoolError> {
        let Some(waiting) = self.waiting.get(&id) else {
            return Err(self.unreadable(io::ErrorKind::NotFound.into()));
        };
        let segments = waiting.segments;
        let bytes = match &waiting.payload {
            Payload::Memory(bytes) => Ok(bytes.clone()),
            Payload::Disk(location) => self.files.read(*location),
        };
        let source = match bytes {
            Ok(payload) => {
                return Ok(SpooledBatch {
                    id,
                    payload,
                    segments,
                    attempted: waiting.progress.attempted,
                    done: waiting.progress.done.clone(),
                });
            }
            Err(source) => source,
        };
        if is_damage(&source) {
            if let Some(waiting) = self.waiting.remove(&id) {
                self.note_damage(&waiting);
                self.save_losses();
                if let Payload::Disk(location) = waiting.payload {
                    self.files.complete(location.file, id);
                }
            }
            return Err(SpoolError::Damaged {
                path: self.folder().to_owned(),
                segments,
                source,
            });
        }
        self.defer(id, UNREADABLE_DELAY);
        Err(self.unreadable(source))
    }

    fn unreadable(&self, source: io::Error) -> SpoolError {
        SpoolError::Io {
            path: self.folder().to_owned(),
            source,
        }
    }

    /// Lets a batch wait for `delay` before it is sent.
    pub fn defer(&mut self, id: BatchId, delay: Duration) {
        let now = Instant::now();
        self.deferred.retain(|_, until| *until > now);
        if self.waiting.contains_key(&id) {
            self.deferred.insert(id, now + delay);
        }
    }

    /// Removes a batch that the server has. Does nothing if it has become coarser meanwhile.
    pub fn complete(&mut self, id: BatchId) {
        let Some(waiting) = self.waiting.remove(&id) else {
            return;
        };
        match waiting.payload {
            Payload::Memory(bytes) => {
                self.in_memory -= bytes.len() as u64;
                self.undelivered.settle(&waiting.content.reported);
                self.save_losses();
            }
            Payload::Disk(location) => self.files.complete(location.file, id),
        }
    }

    /// Sets aside what the server refused for good of a batch and those posted with it: `payload`, which
    /// has so many seconds of each container. They become a loss, with the losses that it was to report. The
    /// batches still wait.
    pub fn reject<'a>(
        &mut self,
        id: BatchId,
        payload: &[u8],
        seconds: impl IntoIterator<Item = (Option<&'a ContainerId>, u64)>,
    ) {
        for (container, seconds) in seconds {
            self.undelivered.add(container, Reason::REFUSED, seconds);
        }
        if let Ok(batch) = Batch::decode(payload) {
            self.undelivered
                .add_reported(&reported_losses(&batch.segments));
        }
        self.save_losses();
        if let Err(error) = self.rejected.add(id, payload) {
            tracing::warn!("cannot keep a rejected batch: {error}");
        }
        self.make_room(0);
    }

    /// Number of segments that wait.
    pub fn segments(&self) -> u64 {
        self.waiting
            .values()
            .map(|waiting| u64::from(waiting.segments))
            .sum()
    }

    /// Number of batches that wait.
    pub fn batches(&self) -> usize {
        self.waiting.len()
    }

    /// Size in bytes, on disk and in memory, with rejected batches.
    pub fn bytes(&self) -> u64 {
        self.in_memory + self.files.bytes() + self.rejected.bytes()
    }

    /// Number of slots dropped since it was opened: the spool was full, or the disk failed. A slot
    /// is a second of a container.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.files.folder()
    }

    /// Removes the files that are sent, at the end of a run. Batches in memory move to the disk; if it still
    /// fails, they are given up.
    pub fn close(&mut self) {
        while self.in_memory > 0 && self.move_to_disk() {}
        let before = self.dropped;
        while self.drop_oldest_in_memory() {}
        if self.dropped > before {
            tracing::error!(
                slots = self.dropped - before,
                "the spool cannot be written: what waited in memory is lost"
            );
        }
        self.files.close();
        self.save_losses();
        let (disk, folder) = (&*self.files.disk, self.files.folder());
        losses::close(disk, folder, &self.undelivered, &self.noted_damage);
    }

    /// Counts slots that are given up.
    fn lose(&mut self, reason: Reason, slots: u64) {
        self.dropped += slots;
        self.undelivered.add(None, reason, slots);
    }

    /// Writes what was given up to the disk, before its batches are removed.
    fn save_losses(&mut self) {
        if !self.undelivered.is_changed() {
            return;
        }
        // Before they are written: other threads may note more meanwhile.
        self.undelivered.set_changed(false);
        let files = &self.files;
        self.noted_damage
            .retain(|number, _| files.has_number(*number));
        let noted = &self.noted_damage;
        match losses::write(&*files.disk, files.folder(), &self.undelivered, noted) {
            Ok(()) if self.losses_failed => {
                tracing::info!("losses can be noted on the disk again");
                self.losses_failed = false;
            }
            Ok(()) => {}
            Err(error) => {
                self.undelivered.set_changed(true);
                if !std::mem::replace(&mut self.losses_failed, true) {
                    tracing::warn!(
                        "losses are not noted on the disk, so a kill hides them: {error}"
                    );
                }
            }
        }
    }

    /// The losses that an encoded batch reports. Empty if no note waits for a report.
    fn reported_by(&self, payload: &[u8]) -> ReportedLosses {
        if !self.undelivered.has_taken() {
            return ReportedLosses::new();
        }
        Batch::decode(payload).map_or_else(
            |_| ReportedLosses::new(),
            |batch| reported_losses(&batch.segments),
        )
    }

    fn next_id(&mut self) -> BatchId {
        let sequence = self.next_sequence;
        self.next_sequence += 1;
        BatchId {
            sequence,
            revision: 0,
        }
    }

    fn wait_on_disk(
        &mut self,
        id: BatchId,
        location: Location,
        progress: Progress,
        content: Content,
    ) {
        self.files.add_pending(location.file, id);
        let waiting = Waiting {
            segments: location.record.segments,
            payload: Payload::Disk(location),
            progress,
            content,
        };
        self.waiting.insert(id, waiting);
    }

    /// Moves some batches from memory to the disk. Returns whether that works.
    fn move_to_disk(&mut self) -> bool {
        if self.in_memory == 0 {
            return true;
        }
        let in_memory: Vec<BatchId> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| matches!(waiting.payload, Payload::Memory(_)))
            .map(|(id, _)| *id)
            .take(MOVED_AT_ONCE)
            .collect();
        for id in in_memory {
            let Some(waiting) = self.waiting.get(&id) else {
                continue;
            };
            let Payload::Memory(bytes) = &waiting.payload else {
                continue;
            };
            let Ok(location) = self.files.append(bytes, waiting.segments) else {
                return false;
            };
            self.in_memory -= bytes.len() as u64;
            self.undelivered.settle(&waiting.content.reported);
            let (progress, content) = (waiting.progress.clone(), waiting.content.clone());
            self.wait_on_disk(id, location, progress, content);
        }
        true
    }

    /// Drops the oldest batches in memory beyond the bound.
    fn bound_memory(&mut self) {
        while self.in_memory > MAX_MEMORY.min(self.max) && self.drop_oldest_in_memory() {}
    }

    /// Gives up the oldest batch in memory. Returns false if there is none.
    fn drop_oldest_in_memory(&mut self) -> bool {
        let mut waiting = self.waiting.iter();
        let oldest = waiting.find(|(_, waiting)| matches!(waiting.payload, Payload::Memory(_)));
        let Some((&id, _)) = oldest else {
            return false;
        };
        if let Some(waiting) = self.waiting.remove(&id) {
            self.in_memory -= waiting.size();
            self.give_up(&waiting);
        }
        true
    }
}

#[cfg(test)]
mod tests;
