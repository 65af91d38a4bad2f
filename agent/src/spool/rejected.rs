//! Batches that the server refused for good. They are stored for a person who looks for the reason,
//! for as long as the spool has room.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::batch_id::BatchId;
use super::disk::{Disk, DiskFile, HostDisk, Opening};

/// Maximum number of rejected batches on disk.
pub(super) const MAX_REJECTED: usize = 32;

/// The folder of rejected batches in a spool.
pub fn folder(spool: &Path) -> PathBuf {
    spool.join("rejected")
}

/// The files of rejected batches with their sizes, oldest first.
#[derive(Debug)]
pub(super) struct Rejected {
    disk: Arc<dyn Disk>,
    folder: PathBuf,
    files: VecDeque<(PathBuf, u64)>,
}

impl Rejected {
    /// Those that earlier runs left in the spool.
    pub(super) fn open(disk: Arc<dyn Disk>, spool: &Path) -> io::Result<Self> {
        let folder = folder(spool);
        let mut files = disk.list(&folder)?;
        if !files.is_empty() {
            disk.make_private(&folder)?;
        }
        files.sort();
        Ok(Self {
            disk,
            folder,
            files: files.into(),
        })
    }

    /// Writes a batch, and removes the oldest beyond the maximum.
    pub(super) fn add(&mut self, id: BatchId, payload: &[u8]) -> io::Result<()> {
        self.disk.make_private(&self.folder)?;
        while self.files.len() >= MAX_REJECTED {
            self.remove_oldest();
        }
        let now = SystemTime::now()
            .duration_since(UNIX_EPOCH)
            .map_or(0, |since| since.as_secs());
        let (path, file) = self.create(now, id)?;
        let write = || {
            file.write_at(payload, 0)?;
            file.sync()?;
            self.disk.sync_folder(&self.folder)
        };
        if let Err(error) = write() {
            // A part of a batch helps nobody.
            let _ = self.disk.remove(&path);
            return Err(error);
        }
        self.files.push_back((path, payload.len() as u64));
        Ok(())
    }

    /// Creates a file with a name of its own: parts of one batch may be refused in one second.
    fn create(&self, now: u64, id: BatchId) -> io::Result<(PathBuf, Box<dyn DiskFile>)> {
        let mut result = Err(io::ErrorKind::AlreadyExists.into());
        // There are fewer files.
        for n in 0..=MAX_REJECTED {
            let name = format!("{now:012}-{:08}-{n:02}.batch", id.sequence);
            let path = self.folder.join(name);
            result = self.disk.open(&path, Opening::New).map(|file| (path, file));
            match &result {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                _ => break,
            }
        }
        result
    }

    /// Removes the oldest file. Returns false if there is none.
    pub(super) fn remove_oldest(&mut self) -> bool {
        let Some((path, _)) = self.files.pop_front() else {
            return false;
        };
        if let Err(error) = self.disk.remove(&path) {
            tracing::warn!(file = %path.display(), "cannot remove a rejected batch: {error}");
        }
        true
    }

    /// Size of all files in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }
}

/// Number of rejected batches in the spool at `spool`, for `doctor`.
///
/// # Errors
/// When the folder exists and cannot be read.
pub fn count(spool: &Path) -> io::Result<usize> {
    HostDisk.list(&folder(spool)).map(|files| files.len())
}
