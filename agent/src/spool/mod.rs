//! The spool: batches wait here, on disk, until the server has them.
//!
//! A batch is written and synced before it is sent, and removed when the server
//! has answered; so whatever is killed, and whenever, nothing that was spooled is
//! lost. A batch may be sent twice for it, which the segments' keys make harmless:
//! the source is within the stored bytes, and so another run sends it unchanged.
//!
//! It is bounded. When it is full, the oldest seconds become minutes, and only when
//! all are minutes is the oldest dropped, and counted. (Hours would not do: their
//! coverage tells minutes apart, and the two halves of a minute that was cut by
//! the end of a file would count once.) When the disk refuses, a bounded queue in
//! memory takes its place.

mod coarse;
mod record;

use std::collections::{BTreeMap, VecDeque};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use coarse::Coarse;
use record::{HEADER, MAGIC, Place};

/// A file is closed, and may be removed or made coarser, when it has so many bytes or records.
const ROLL_BYTES: u64 = 1 << 20;
const ROLL_RECORDS: usize = 60;
/// Bytes that wait in memory when the disk refuses.
const MEMORY: u64 = 16 << 20;
/// Rejected batches that are kept for whoever wants to know why.
const REJECTED: usize = 32;

/// How coarse the segments of a file are: the ending of its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Level {
    Second,
    Minute,
}

impl Level {
    const ALL: [Self; 2] = [Self::Second, Self::Minute];

    const fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
        }
    }

    const fn coarser(self) -> Option<Self> {
        match self {
            Self::Second => Some(Self::Minute),
            Self::Minute => None,
        }
    }
}

/// Why the spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder or a file in it.
    #[error(
        "cannot use the spool {path}: {source}; run the agent as root, or choose another folder with --spool"
    )]
    Io {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// Another agent has it.
    #[error(
        "the spool {0} is in use by another agent: stop that one, or choose another folder with --spool"
    )]
    InUse(PathBuf),
}

/// A waiting batch: the order in which they came, and how often what is there was
/// made anew. An answer to a batch that became coarser meanwhile must not remove
/// what took its place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BatchId(u64, u32);

/// Where an appended batch is.
#[derive(Debug)]
pub enum Stored {
    /// On disk: it outlives the agent.
    Disk,
    /// In memory only, as the disk refused.
    Memory(io::Error),
}

/// Batches that wait for the server.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    max: u64,
    /// Held for as long as the spool is used.
    _lock: File,
    files: BTreeMap<(u64, Level), SpoolFile>,
    /// The file that is being appended to.
    active: Option<(u64, Level)>,
    waiting: BTreeMap<BatchId, Waiting>,
    next_file: u64,
    next_batch: u64,
    /// Bytes in memory.
    in_memory: u64,
    dropped: u64,
}

#[derive(Debug)]
struct SpoolFile {
    file: File,
    size: u64,
    records: usize,
    /// Batches in it that are not done.
    left: VecDeque<BatchId>,
}

#[derive(Debug)]
struct Waiting {
    segments: u32,
    bytes: Bytes,
}

#[derive(Debug)]
enum Bytes {
    Disk((u64, Level), Place),
    Memory(Vec<u8>),
}

impl Spool {
    /// Opens the spool in `folder`, which is made if it is not there, and finds
    /// what another run left. It holds at most `max` bytes.
    ///
    /// # Errors
    /// When the folder cannot be used, or another agent uses it.
    pub fn open(folder: &Path, max: u64) -> Result<Self, SpoolError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |source| SpoolError::Io { path, source }
        };
        fs::create_dir_all(folder).map_err(failed(folder))?;
        let path = folder.join("lock");
        let lock = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(&path)
            .map_err(failed(&path))?;
        // SAFETY: the descriptor is that of `lock`, which is open.
        if unsafe { libc::flock(lock.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            let error = io::Error::last_os_error();
            return Err(match error.kind() {
                io::ErrorKind::WouldBlock => SpoolError::InUse(folder.to_owned()),
                _ => failed(&path)(error),
            });
        }
        let mut spool = Self {
            folder: folder.to_owned(),
            max,
            _lock: lock,
            files: BTreeMap::new(),
            active: None,
            waiting: BTreeMap::new(),
            next_file: 1,
            next_batch: 1,
            in_memory: 0,
            dropped: 0,
        };
        let mut found = Vec::new();
        for entry in fs::read_dir(folder).map_err(failed(folder))? {
            let path = entry.map_err(failed(folder))?.path();
            if path.extension().is_some_and(|ending| ending == "part") {
                // Half made when the agent ended; what it was made of is still there.
                fs::remove_file(&path).map_err(failed(&path))?;
            } else if let Some(key) = key_of(&path) {
                found.push((key, path));
            }
        }
        found.sort();
        for (key, path) in found {
            spool.adopt(key, &path).map_err(failed(&path))?;
        }
        Ok(spool)
    }

    /// Takes in a file of another run.
    fn adopt(&mut self, key: (u64, Level), path: &Path) -> io::Result<()> {
        self.next_file = self.next_file.max(key.0 + 1);
        let file = OpenOptions::new().read(true).write(true).open(path)?;
        let (places, rest) = record::scan(&file)?;
        if rest > 0 {
            tracing::warn!(
                file = %path.display(),
                "the last {rest} bytes were cut or damaged when the agent ended, and are left out"
            );
        }
        if places.is_empty() {
            return fs::remove_file(path);
        }
        let size = file.metadata()?.len();
        let mut left = VecDeque::new();
        for place in &places {
            left.push_back(self.wait(place.segments, Bytes::Disk(key, *place)));
        }
        let records = places.len();
        self.files.insert(
            key,
            SpoolFile {
                file,
                size,
                records,
                left,
            },
        );
        Ok(())
    }

    fn wait(&mut self, segments: u32, bytes: Bytes) -> BatchId {
        let id = BatchId(self.next_batch, 0);
        self.next_batch += 1;
        self.waiting.insert(id, Waiting { segments, bytes });
        id
    }

    /// Puts an encoded batch of `segments` segments at the end.
    pub fn append(&mut self, payload: Vec<u8>, segments: u32) -> Stored {
        self.make_room(payload.len() as u64 + HEADER + MAGIC.len() as u64);
        match self.write(&payload, segments) {
            Ok((key, place)) => {
                let id = self.wait(segments, Bytes::Disk(key, place));
                if let Some(file) = self.files.get_mut(&key) {
                    file.left.push_back(id);
                }
                self.move_to_disk();
                Stored::Disk
            }
            Err(error) => {
                self.in_memory += payload.len() as u64;
                self.wait(segments, Bytes::Memory(payload));
                self.bound_memory();
                Stored::Memory(error)
            }
        }
    }

    /// The batch that came last, or first: its bytes, to be sent.
    ///
    /// # Errors
    /// When it cannot be read; it is left out from now on.
    pub fn peek(&mut self, newest: bool) -> Result<Option<(BatchId, Vec<u8>)>, SpoolError> {
        let entry = if newest {
            self.waiting.last_key_value()
        } else {
            self.waiting.first_key_value()
        };
        let Some((&id, waiting)) = entry else {
            return Ok(None);
        };
        let bytes = match &waiting.bytes {
            Bytes::Memory(bytes) => Ok(bytes.clone()),
            Bytes::Disk(key, place) => match self.files.get(key) {
                Some(file) => record::read(&file.file, *place),
                None => Err(io::ErrorKind::NotFound.into()),
            },
        };
        match bytes {
            Ok(bytes) => Ok(Some((id, bytes))),
            Err(source) => {
                self.dropped += u64::from(waiting.segments);
                self.done(id);
                Err(SpoolError::Io {
                    path: self.folder.clone(),
                    source,
                })
            }
        }
    }

    /// The server has a batch: it is removed.
    pub fn done(&mut self, id: BatchId) {
        let Some(waiting) = self.waiting.remove(&id) else {
            // Made coarser meanwhile.
            return;
        };
        match waiting.bytes {
            Bytes::Memory(bytes) => self.in_memory -= bytes.len() as u64,
            Bytes::Disk(key, _) => {
                let Some(file) = self.files.get_mut(&key) else {
                    return;
                };
                file.left.retain(|left| *left != id);
                let full = file.records >= ROLL_RECORDS || file.size >= ROLL_BYTES;
                if file.left.is_empty() && (self.active != Some(key) || full) {
                    self.remove(key);
                }
            }
        }
    }

    /// The server will never take a batch: it is put aside, so that it does not block the others.
    pub fn reject(&mut self, id: BatchId, payload: &[u8]) {
        if let Err(error) = self.put_aside(id, payload) {
            tracing::warn!("cannot keep a rejected batch: {error}");
        }
        self.done(id);
    }

    fn put_aside(&self, id: BatchId, payload: &[u8]) -> io::Result<()> {
        let folder = self.folder.join("rejected");
        fs::create_dir_all(&folder)?;
        let mut others: Vec<PathBuf> = fs::read_dir(&folder)?
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        others.sort();
        for old in others.iter().rev().skip(REJECTED - 1) {
            fs::remove_file(old)?;
        }
        let now = std::time::SystemTime::now()
            .duration_since(std::time::UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        fs::write(folder.join(format!("{now:012}-{:08}.batch", id.0)), payload)
    }

    /// Segments that wait.
    pub fn segments(&self) -> u64 {
        self.waiting
            .values()
            .map(|waiting| u64::from(waiting.segments))
            .sum()
    }

    /// Batches that wait.
    pub fn batches(&self) -> usize {
        self.waiting.len()
    }

    /// Bytes that it holds.
    pub fn bytes(&self) -> u64 {
        self.in_memory + self.files.values().map(|file| file.size).sum::<u64>()
    }

    /// Slots that were dropped since it was opened, as it was full or the disk failed.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Where it is.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Ends a run: what is sent is removed from the disk, too.
    pub fn close(&mut self) {
        self.active = None;
        let empty: Vec<_> = self
            .files
            .iter()
            .filter(|(_, file)| file.left.is_empty())
            .map(|(key, _)| *key)
            .collect();
        for key in empty {
            self.remove(key);
        }
    }

    fn path(&self, key: (u64, Level)) -> PathBuf {
        self.folder.join(format!("{:016x}.{}", key.0, key.1.name()))
    }

    fn remove(&mut self, key: (u64, Level)) {
        self.files.remove(&key);
        if self.active == Some(key) {
            self.active = None;
        }
        let path = self.path(key);
        if let Err(error) = fs::remove_file(&path) {
            tracing::warn!(file = %path.display(), "cannot remove what was sent: {error}");
        }
    }

    /// Appends a record to the active file and syncs it.
    fn write(&mut self, payload: &[u8], segments: u32) -> io::Result<((u64, Level), Place)> {
        let record = record::record(payload, segments)?;
        let rolled = self.active.filter(|key| {
            self.files
                .get(key)
                .is_some_and(|file| file.records < ROLL_RECORDS && file.size < ROLL_BYTES)
        });
        let key = match rolled {
            Some(key) => key,
            None => self.start_file()?,
        };
        self.active = Some(key);
        let file = self
            .files
            .get_mut(&key)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let place = Place {
            offset: file.size + HEADER,
            length: payload.len() as u32,
            segments,
        };
        let written = append(&file.file, file.size, &record);
        if let Err(error) = written {
            // What was written of it must not stand before the next record.
            if file.file.set_len(file.size).is_err() {
                self.active = None;
            }
            return Err(error);
        }
        file.size += record.len() as u64;
        file.records += 1;
        Ok((key, place))
    }

    fn start_file(&mut self) -> io::Result<(u64, Level)> {
        // The one before may have been sent whole while it was the active one.
        if let Some(last) = self.active.take()
            && self
                .files
                .get(&last)
                .is_some_and(|file| file.left.is_empty())
        {
            self.remove(last);
        }
        let key = (self.next_file, Level::Second);
        let path = self.path(key);
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create_new(true)
            .open(&path)?;
        self.next_file += 1;
        let started = append(&file, 0, MAGIC).and_then(|()| sync_folder(&self.folder));
        if let Err(error) = started {
            // Without its beginning it is of no use; if it cannot go, the next run removes it.
            let _ = fs::remove_file(&path);
            return Err(error);
        }
        self.files.insert(
            key,
            SpoolFile {
                file,
                size: MAGIC.len() as u64,
                records: 0,
                left: VecDeque::new(),
            },
        );
        Ok(key)
    }

    /// The disk takes again: batches in memory go there, a few at a time.
    fn move_to_disk(&mut self) {
        let in_memory: Vec<BatchId> = self
            .waiting
            .iter()
            .filter(|(_, waiting)| matches!(waiting.bytes, Bytes::Memory(_)))
            .map(|(id, _)| *id)
            .take(if self.in_memory == 0 { 0 } else { 8 })
            .collect();
        for id in in_memory {
            let Some(Waiting {
                segments,
                bytes: Bytes::Memory(bytes),
            }) = self.waiting.get(&id)
            else {
                continue;
            };
            let (bytes, segments) = (bytes.clone(), *segments);
            let Ok((key, place)) = self.write(&bytes, segments) else {
                return;
            };
            self.in_memory -= bytes.len() as u64;
            if let Some(file) = self.files.get_mut(&key) {
                file.left.push_back(id);
            }
            let bytes = Bytes::Disk(key, place);
            self.waiting.insert(id, Waiting { segments, bytes });
        }
    }

    /// Drops the oldest in memory while there are too many.
    fn bound_memory(&mut self) {
        while self.in_memory > MEMORY.min(self.max) {
            let oldest = self
                .waiting
                .iter()
                .find(|(_, waiting)| matches!(waiting.bytes, Bytes::Memory(_)));
            let Some((&id, waiting)) = oldest else {
                return;
            };
            self.dropped += u64::from(waiting.segments);
            self.done(id);
        }
    }

    /// Makes the oldest coarser, and at last drops it, until `bytes` more fit.
    fn make_room(&mut self, bytes: u64) {
        while self.bytes() + bytes > self.max && !self.files.is_empty() {
            let oldest = Level::ALL
                .into_iter()
                .find_map(|level| self.files.keys().find(|key| key.1 == level).copied());
            let Some(key) = oldest else {
                return;
            };
            if self.active == Some(key) {
                self.active = None;
            }
            let coarser = key.1.coarser().map(|level| self.coarsen(key, level));
            match coarser {
                Some(Ok(())) => {}
                Some(Err(error)) => {
                    tracing::warn!(
                        "cannot make what is spooled coarser, so it is dropped: {error}"
                    );
                    self.drop_file(key);
                }
                None => self.drop_file(key),
            }
        }
    }

    fn drop_file(&mut self, key: (u64, Level)) {
        let left = self
            .files
            .get_mut(&key)
            .map(|file| std::mem::take(&mut file.left));
        for id in left.into_iter().flatten() {
            let waiting = self.waiting.remove(&id);
            self.dropped += waiting.map_or(0, |waiting| u64::from(waiting.segments));
        }
        self.remove(key);
    }

    /// Puts a coarser file in the place of one.
    fn coarsen(&mut self, key: (u64, Level), level: Level) -> io::Result<()> {
        let Some(file) = self.files.get_mut(&key) else {
            return Ok(());
        };
        let mut coarse = Coarse::default();
        for id in &file.left {
            let Some(Waiting {
                segments,
                bytes: Bytes::Disk(_, place),
            }) = self.waiting.get(id)
            else {
                continue;
            };
            coarse.take(&record::read(&file.file, *place)?, *segments);
        }
        let (batches, lost) = coarse.finish();
        let mut bytes = MAGIC.to_vec();
        let mut places = Vec::new();
        for (payload, segments) in batches {
            places.push(Place {
                offset: bytes.len() as u64 + HEADER,
                length: payload.len() as u32,
                segments,
            });
            bytes.extend(record::record(&payload, segments)?);
        }
        self.dropped += lost;
        if places.is_empty() {
            self.drop_file(key);
            return Ok(());
        }
        let new = (key.0, level);
        let path = self.path(new);
        let part = path.with_extension("part");
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(true)
            .open(&part)?;
        append(&file, 0, &bytes)?;
        fs::rename(&part, &path)?;
        sync_folder(&self.folder)?;
        // From here on both are there; were the agent killed, both would be sent, and count once.
        let old = self
            .files
            .get_mut(&key)
            .map(|file| std::mem::take(&mut file.left));
        let mut old = old.into_iter().flatten();
        let mut left = VecDeque::new();
        let records = places.len();
        for place in places {
            // As old as those in whose place it is.
            let id = match old.next() {
                Some(replaced) => {
                    self.waiting.remove(&replaced);
                    BatchId(replaced.0, replaced.1 + 1)
                }
                None => {
                    self.next_batch += 1;
                    BatchId(self.next_batch - 1, 0)
                }
            };
            let bytes = Bytes::Disk(new, place);
            let segments = place.segments;
            self.waiting.insert(id, Waiting { segments, bytes });
            left.push_back(id);
        }
        for id in old {
            self.waiting.remove(&id);
        }
        self.remove(key);
        let size = bytes.len() as u64;
        self.files.insert(
            new,
            SpoolFile {
                file,
                size,
                records,
                left,
            },
        );
        Ok(())
    }
}

/// The number and level of a file, by its name.
fn key_of(path: &Path) -> Option<(u64, Level)> {
    let ending = path.extension()?;
    let level = Level::ALL
        .into_iter()
        .find(|level| level.name() == ending)?;
    let number = u64::from_str_radix(path.file_stem()?.to_str()?, 16).ok()?;
    // The last numbers are never given; a file that has one is not ours.
    (number < u64::MAX / 2).then_some((number, level))
}

/// Writes `bytes` at `offset` and waits until they are on the disk.
fn append(file: &File, offset: u64, bytes: &[u8]) -> io::Result<()> {
    use std::io::{Seek, SeekFrom};
    let mut file = file;
    file.seek(SeekFrom::Start(offset))?;
    file.write_all(bytes)?;
    file.sync_data()
}

/// Waits until the names in a folder are on the disk.
fn sync_folder(folder: &Path) -> io::Result<()> {
    File::open(folder)?.sync_all()
}

#[cfg(test)]
mod tests;
