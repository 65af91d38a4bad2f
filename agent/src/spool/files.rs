//! The files of the spool: which one is appended to, and when one is removed.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs::TryLockError;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::batch_id::BatchId;
use super::disk::{Disk, Lock};
use super::file::{FileKey, Level, PART, Part, SpoolFile};
use super::record::Record;

/// Why the spool cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// The folder or a file in it cannot be used.
    #[error(
        "cannot use the spool {path}: {source}; run the agent as root, or choose another folder with --spool"
    )]
    Io {
        /// The folder or file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The bytes of a batch were changed on the disk.
    #[error("a batch of {segments} segments in the spool {path} is lost: {source}")]
    Damaged {
        /// The folder.
        path: PathBuf,
        /// Number of its segments.
        segments: u32,
        /// What is wrong with it.
        source: io::Error,
    },
    /// Another agent uses the folder.
    #[error(
        "the spool {0} is in use by another agent: stop that one, or choose another folder with --spool"
    )]
    InUse(PathBuf),
}

/// Position of a batch on disk.
#[derive(Debug, Clone, Copy)]
pub(super) struct Location {
    pub(super) file: FileKey,
    pub(super) record: Record,
}

/// All files of the spool.
#[derive(Debug)]
pub(super) struct Files {
    pub(super) disk: Arc<dyn Disk>,
    folder: PathBuf,
    /// Held for as long as the spool is used.
    _lock: Box<dyn Lock>,
    files: BTreeMap<FileKey, SpoolFile>,
    /// The file that batches are appended to.
    active: Option<FileKey>,
    next_number: u64,
    /// Segments in records that were damaged when the files were opened, by number of the file.
    pub(super) damaged: BTreeMap<u64, u64>,
    /// Files of nothing else. They are removed once their loss is noted.
    without_batches: Vec<FileKey>,
    /// Files with such records and valid ones. They are replaced once their loss is noted.
    with_damage: Vec<FileKey>,
}

/// A coarser file that is written, and does not replace the original yet.
#[derive(Debug)]
pub(super) struct Coarser {
    key: FileKey,
    part: Part,
}

impl Files {
    /// Opens the files in `folder`, and creates the folder if it is absent. Returns the batches
    /// that earlier runs left, oldest first.
    pub(super) fn open(
        disk: Arc<dyn Disk>,
        folder: &Path,
    ) -> Result<(Self, Vec<Location>), SpoolError> {
        disk.make_private(folder).map_err(failed(folder))?;
        let lock = lock(&*disk, folder)?;
        let mut files = Self {
            disk,
            folder: folder.to_owned(),
            _lock: lock,
            files: BTreeMap::new(),
            active: None,
            next_number: 1,
            damaged: BTreeMap::new(),
            without_batches: Vec::new(),
            with_damage: Vec::new(),
        };
        let mut found = Vec::new();
        for (path, _) in files.disk.list(folder).map_err(failed(folder))? {
            if path.extension().is_some_and(|extension| extension == PART) {
                // The agent was killed while it wrote this file; its originals still exist.
                files.disk.remove(&path).map_err(failed(&path))?;
            } else if let Some(key) = FileKey::from_path(&path) {
                found.push((key, path));
            }
        }
        found.sort();
        let coarser: BTreeSet<FileKey> = found.iter().map(|(key, _)| *key).collect();
        let is_replaced = |key: &FileKey| {
            let coarser_level = key.level.coarser();
            coarser_level.is_some_and(|level| coarser.contains(&FileKey { level, ..*key }))
        };
        let mut batches = Vec::new();
        for (key, path) in found {
            if is_replaced(&key) {
                // The agent was killed before it removed the original: the coarser file has all of it
                // that the server lacks. Sent twice, parts of it would come in two different minutes.
                files.disk.remove(&path).map_err(failed(&path))?;
                continue;
            }
            let records = files.adopt(key, &path).map_err(failed(&path))?;
            let locations = records
                .into_iter()
                .map(|record| Location { file: key, record });
            batches.extend(locations);
        }
        Ok((files, batches))
    }

    /// Takes over a file of an earlier run.
    fn adopt(&mut self, key: FileKey, path: &Path) -> io::Result<Vec<Record>> {
        self.next_number = self.next_number.max(key.number + 1);
        let (file, records, damage) = SpoolFile::open(&*self.disk, path)?;
        if damage.segments > 0 {
            tracing::error!(
                file = %path.display(),
                "{} bytes were changed on the disk: {} segments are lost",
                damage.bytes,
                damage.segments
            );
            self.damaged.insert(key.number, damage.segments);
        } else if damage.bytes > 0 {
            tracing::warn!(
                file = %path.display(),
                "{} bytes were cut off when the agent ended, and are ignored",
                damage.bytes
            );
        }
        if records.is_empty() {
            self.without_batches.push(key);
        } else {
            self.files.insert(key, file);
            if damage.segments > 0 {
                self.with_damage.push(key);
            }
        }
        Ok(records)
    }

    /// Removes damaged records: the files in which no batch was found, and the records beside `batches`
    /// in others. Returns the numbers of the files without damage.
    pub(super) fn remove_damage(&mut self, batches: &mut [Location]) -> Vec<u64> {
        let mut repaired = Vec::new();
        for key in std::mem::take(&mut self.without_batches) {
            let path = key.path(&self.folder);
            match self.disk.remove(&path) {
                Ok(()) => repaired.push(key.number),
                Err(error) => {
                    tracing::warn!(file = %path.display(), "cannot remove a file without batches: {error}");
                    self.without_batches.push(key);
                }
            }
        }
        for key in std::mem::take(&mut self.with_damage) {
            match self.rewrite(key, batches) {
                Ok(()) => repaired.push(key.number),
                Err(error) => {
                    let path = key.path(&self.folder);
                    tracing::warn!(file = %path.display(), "cannot remove damaged batches: {error}");
                }
            }
        }
        repaired
    }

    /// Replaces a file by one of its valid records, and updates their places in `batches`. If that fails,
    /// the file remains.
    fn rewrite(&mut self, key: FileKey, batches: &mut [Location]) -> io::Result<()> {
        let batches = batches.iter_mut().filter(|batch| batch.file == key);
        let batches: Vec<&mut Location> = batches.collect();
        let mut payloads = Vec::new();
        for batch in &batches {
            payloads.push((self.read(**batch)?, batch.record.segments));
        }
        let path = key.path(&self.folder);
        let part = Part::write(&*self.disk, &path, &payloads)?;
        let (file, records) = part.rename(&*self.disk, &path)?;
        self.files.insert(key, file);
        for (batch, record) in batches.into_iter().zip(records) {
            batch.record = record;
        }
        self.disk.sync_folder(&self.folder)
    }

    /// Appends a batch to the active file and syncs it.
    pub(super) fn append(&mut self, payload: &[u8], segments: u32) -> io::Result<Location> {
        let usable = self
            .active
            .filter(|key| self.files.get(key).is_some_and(|file| !file.is_full()));
        let key = match usable {
            Some(key) => key,
            None => self.start_file()?,
        };
        let file = self
            .files
            .get_mut(&key)
            .ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        let record = file.append(payload, segments)?;
        Ok(Location { file: key, record })
    }

    fn start_file(&mut self) -> io::Result<FileKey> {
        // The active file stays, even when all its batches are sent, until the next one starts.
        if let Some(last) = self.active.take()
            && self.is_done(last)
        {
            self.remove(last);
        }
        let key = FileKey {
            number: self.next_number,
            level: Level::Second,
        };
        // Counted even if the file cannot be created: a remnant of it must not block the next one.
        self.next_number += 1;
        let file = SpoolFile::create(&*self.disk, &key.path(&self.folder), &self.folder)?;
        self.files.insert(key, file);
        self.active = Some(key);
        Ok(key)
    }

    /// Writes `batches` to a file of the same age as `key`, but coarser, which is complete after
    /// [`Self::complete_coarser`].
    pub(super) fn write_coarser(
        &self,
        key: FileKey,
        level: Level,
        batches: &[(Vec<u8>, u32)],
    ) -> io::Result<Coarser> {
        let key = FileKey { level, ..key };
        let part = Part::write(&*self.disk, &key.path(&self.folder), batches)?;
        Ok(Coarser { key, part })
    }

    /// Gives a coarser file its name. Until the original is removed both exist; if the agent is killed
    /// then, the next run removes the original.
    pub(super) fn complete_coarser(&mut self, coarser: Coarser) -> io::Result<Vec<Location>> {
        let Coarser { key, part } = coarser;
        let path = key.path(&self.folder);
        let complete = || {
            let renamed = part.rename(&*self.disk, &path)?;
            self.disk.sync_folder(&self.folder)?;
            Ok(renamed)
        };
        let (file, records) = complete().inspect_err(|_: &io::Error| {
            // It may have its name. The original is still there.
            let _ = self.disk.remove(&path);
        })?;
        self.files.insert(key, file);
        let locate = |record| Location { file: key, record };
        Ok(records.into_iter().map(locate).collect())
    }

    pub(super) fn read(&self, location: Location) -> io::Result<Vec<u8>> {
        match self.files.get(&location.file) {
            Some(file) => file.read(location.record),
            None => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// Notes that a batch of a file waits.
    pub(super) fn add_pending(&mut self, key: FileKey, id: BatchId) {
        if let Some(file) = self.files.get_mut(&key) {
            file.pending.push_back(id);
        }
    }

    /// Batches of a file that wait.
    pub(super) fn pending(&self, key: FileKey) -> impl Iterator<Item = BatchId> {
        let file = self.files.get(&key);
        file.into_iter()
            .flat_map(|file| file.pending.iter().copied())
    }

    /// Empties the list of a file's waiting batches.
    pub(super) fn take_pending(&mut self, key: FileKey) -> VecDeque<BatchId> {
        let file = self.files.get_mut(&key);
        file.map(|file| std::mem::take(&mut file.pending))
            .unwrap_or_default()
    }

    /// Notes that a batch of a file no longer waits. The file stays.
    pub(super) fn remove_pending(&mut self, key: FileKey, id: BatchId) {
        if let Some(file) = self.files.get_mut(&key) {
            file.pending.retain(|pending| *pending != id);
        }
    }

    /// Notes that a batch is done, and removes its file after the last one.
    pub(super) fn complete(&mut self, key: FileKey, id: BatchId) {
        self.remove_pending(key, id);
        let Some(file) = self.files.get(&key) else {
            return;
        };
        let in_use = self.active == Some(key) && !file.is_full();
        if file.pending.is_empty() && !in_use {
            self.remove(key);
        }
    }

    /// Whether there is a file of this number, of any level.
    pub(super) fn has_number(&self, number: u64) -> bool {
        let mut keys = self.files.keys().chain(&self.without_batches);
        keys.any(|key| key.number == number)
    }

    /// The file that is given up first: the oldest of the finest level.
    pub(super) fn first_to_shrink(&self) -> Option<FileKey> {
        Level::ALL
            .into_iter()
            .find_map(|level| self.files.keys().find(|key| key.level == level).copied())
    }

    /// Appends nothing more to a file.
    pub(super) fn deactivate(&mut self, key: FileKey) {
        if self.active == Some(key) {
            self.active = None;
        }
    }

    pub(super) fn remove(&mut self, key: FileKey) {
        self.files.remove(&key);
        self.deactivate(key);
        let path = key.path(&self.folder);
        if let Err(error) = self.disk.remove(&path) {
            tracing::warn!(file = %path.display(), "cannot remove what was sent: {error}");
        }
    }

    /// Removes the files without waiting batches.
    pub(super) fn close(&mut self) {
        self.active = None;
        let done: Vec<FileKey> = self
            .files
            .keys()
            .copied()
            .filter(|key| self.is_done(*key))
            .collect();
        for key in done {
            self.remove(key);
        }
    }

    /// Size of all files in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.files.values().map(SpoolFile::size).sum()
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    fn is_done(&self, key: FileKey) -> bool {
        self.files
            .get(&key)
            .is_some_and(|file| file.pending.is_empty())
    }
}

/// Locks the folder against other agents.
fn lock(disk: &dyn Disk, folder: &Path) -> Result<Box<dyn Lock>, SpoolError> {
    let path = folder.join("lock");
    match disk.lock(&path) {
        Ok(lock) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(SpoolError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(failed(&path)(error)),
    }
}

fn failed(path: &Path) -> impl FnOnce(io::Error) -> SpoolError + use<> {
    let path = path.to_owned();
    move |source| SpoolError::Io { path, source }
}
