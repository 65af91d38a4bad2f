//! The operations of a disk that the spool needs: those of the system, or of a simulation that fails on
//! purpose.

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read as _};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::private::{make_private, private_file};

/// A file system.
pub trait Disk: Debug + Send + Sync {
    /// Creates a folder if it is absent, and makes it and its files private.
    ///
    /// # Errors
    /// When the folder cannot be created or read.
    fn make_private(&self, folder: &Path) -> io::Result<()>;

    /// Locks the file at `path`, which is created if absent, until the result is dropped.
    ///
    /// # Errors
    /// `WouldBlock` if somebody else has locked it, or why it cannot be opened.
    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, TryLockError>;

    /// The files in a folder, each with its size in bytes; none if there is no such folder.
    ///
    /// # Errors
    /// When the folder cannot be read.
    fn list(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>>;

    /// Opens a file.
    ///
    /// # Errors
    /// When it cannot be opened.
    fn open(&self, path: &Path, opening: Opening) -> io::Result<Box<dyn DiskFile>>;

    /// Renames a file.
    ///
    /// # Errors
    /// When it cannot be renamed.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    ///
    /// # Errors
    /// When it cannot be removed.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Waits until the names in a folder are on the disk.
    ///
    /// # Errors
    /// When they may not be.
    fn sync_folder(&self, folder: &Path) -> io::Result<()>;
}

/// How to open a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opening {
    /// It must be absent, and is created.
    New,
    /// It is created, or emptied.
    Empty,
    /// It must exist.
    Existing,
}

/// A lock that is held.
pub trait Lock: Debug + Send {}

/// An open file.
pub trait DiskFile: Debug + Send {
    /// Writes all of `bytes` at an offset.
    ///
    /// # Errors
    /// When they cannot be written. Some of them may be.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()>;

    /// Waits until what was written is on the disk.
    ///
    /// # Errors
    /// When it may not be.
    fn sync(&self) -> io::Result<()>;

    /// Cuts or extends the file.
    ///
    /// # Errors
    /// When its length cannot be set.
    fn set_len(&self, length: u64) -> io::Result<()>;

    /// Fills `bytes` from an offset on.
    ///
    /// # Errors
    /// When the file ends before, or cannot be read.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()>;

    /// Reads the whole file.
    ///
    /// # Errors
    /// When it cannot be read.
    fn read_all(&self) -> io::Result<Vec<u8>>;
}

/// The file system of the host.
#[derive(Debug, Clone, Copy)]
pub(super) struct HostDisk;

impl Disk for HostDisk {
    fn make_private(&self, folder: &Path) -> io::Result<()> {
        make_private(folder)
    }

    fn lock(&self, path: &Path) -> Result<Box<dyn Lock>, TryLockError> {
        let mut options = private_file();
        let lock = options.create(true).truncate(false).write(true).open(path);
        let lock = lock.map_err(TryLockError::Error)?;
        lock.try_lock()?;
        Ok(Box::new(lock))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        let entries = match fs::read_dir(folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut files = Vec::new();
        for entry in entries {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push((entry.path(), entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn open(&self, path: &Path, opening: Opening) -> io::Result<Box<dyn DiskFile>> {
        let mut options = match opening {
            Opening::New | Opening::Empty => private_file(),
            Opening::Existing => OpenOptions::new(),
        };
        options.read(true).write(true);
        match opening {
            Opening::New => options.create_new(true),
            Opening::Empty => options.create(true).truncate(true),
            Opening::Existing => &mut options,
        };
        Ok(Box::new(options.open(path)?))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        File::open(folder)?.sync_all()
    }
}

impl Lock for File {}

impl DiskFile for File {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        Self::set_len(self, length)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.read_exact_at(bytes, offset)
    }

    fn read_all(&self) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let mut file = self;
        file.read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}
