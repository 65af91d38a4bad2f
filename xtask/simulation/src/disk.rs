//! The disk of the agent: turmoil's file system, with faults at each operation.

use std::fs::TryLockError;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use bubble_agent::spool::disk::{Disk, DiskFile, Lock, Opening};
use tokio::sync::Notify;
use turmoil::fs::shim::std::fs::{self, File, OpenOptions};

use crate::faults::{Fault, Faults};

/// `errno` of a full disk, of a failing one, and of too many open files.
const ENOSPC: i32 = 28;
const EIO: i32 = 5;
const EMFILE: i32 = 24;

/// One run of the agent, which may be killed at any operation. From then on it changes nothing.
#[derive(Debug)]
pub(crate) struct Process {
    faults: Arc<Faults>,
    is_dead: AtomicBool,
    died: Notify,
}

impl Process {
    pub(crate) fn new(faults: Arc<Faults>) -> Arc<Self> {
        Arc::new(Self {
            faults,
            is_dead: AtomicBool::new(false),
            died: Notify::new(),
        })
    }

    pub(crate) fn is_dead(&self) -> bool {
        self.is_dead.load(Ordering::Relaxed)
    }

    pub(crate) fn kill(&self) {
        self.is_dead.store(true, Ordering::Relaxed);
        self.died.notify_one();
    }

    /// Waits until it is killed.
    pub(crate) async fn death(&self) {
        while !self.is_dead() {
            self.died.notified().await;
        }
    }

    /// An operation begins.
    fn step(&self) -> io::Result<()> {
        if !self.is_dead() && self.faults.happens(Fault::KillAgent, 0.05) {
            self.kill();
        }
        if self.is_dead() {
            return Err(io::Error::other("killed"));
        }
        if self.faults.happens(Fault::DiskError, 0.3) {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    }
}

/// The disk as a run of the agent sees it.
#[derive(Debug)]
pub(crate) struct SimulatedDisk {
    process: Arc<Process>,
    /// All open files.
    open: Mutex<Vec<Weak<Mutex<OpenFile>>>>,
}

/// An open file. One of turmoil's follows its path, so it is opened again when that is renamed.
struct OpenFile {
    path: PathBuf,
    file: File,
}

impl std::fmt::Debug for OpenFile {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.path.fmt(formatter)
    }
}

impl SimulatedDisk {
    pub(crate) fn new(process: &Arc<Process>) -> Self {
        Self {
            process: Arc::clone(process),
            open: Mutex::default(),
        }
    }
}

impl Disk for SimulatedDisk {
    fn make_private(&self, folder: &Path) -> io::Result<()> {
        self.process.step()?;
        fs::create_dir_all(folder)
    }

    fn lock(&self, _path: &Path) -> Result<Box<dyn Lock>, TryLockError> {
        self.process.step().map_err(TryLockError::Error)?;
        Ok(Box::new(Held))
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<(PathBuf, u64)>> {
        self.process.step()?;
        if self.process.faults.happens(Fault::NoDescriptors, 1.0) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        if !fs::exists(folder) {
            return Ok(Vec::new());
        }
        let mut files = Vec::new();
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            if entry.file_type()?.is_file() {
                files.push((entry.path(), entry.metadata()?.len()));
            }
        }
        Ok(files)
    }

    fn open(&self, path: &Path, opening: Opening) -> io::Result<Box<dyn DiskFile>> {
        self.process.step()?;
        if self.process.faults.happens(Fault::NoDescriptors, 1.0) {
            return Err(io::Error::from_raw_os_error(EMFILE));
        }
        let mut options = OpenOptions::new();
        options.read(true).write(true);
        match opening {
            Opening::New => options.create_new(true),
            Opening::Empty => options.create(true).truncate(true),
            Opening::Existing => &mut options,
        };
        let file = options.open(path)?;
        let path = path.to_owned();
        let file = Arc::new(Mutex::new(OpenFile { path, file }));
        let mut open = lock(&self.open);
        open.retain(|file| file.strong_count() > 0);
        open.push(Arc::downgrade(&file));
        let process = Arc::clone(&self.process);
        Ok(Box::new(SimulatedFile { process, file }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.process.step()?;
        fs::rename(from, to)?;
        for file in lock(&self.open).iter().filter_map(Weak::upgrade) {
            let mut file = lock(&file);
            if file.path == from {
                file.file = OpenOptions::new().read(true).write(true).open(to)?;
                file.path = to.to_owned();
            }
        }
        Ok(())
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.process.step()?;
        fs::remove_file(path)
    }

    fn sync_folder(&self, folder: &Path) -> io::Result<()> {
        self.process.step()?;
        fs::sync_dir(folder)
    }
}

/// The system releases locks of a process that is killed, and no two runs overlap.
#[derive(Debug)]
struct Held;

impl Lock for Held {}

#[derive(Debug)]
struct SimulatedFile {
    process: Arc<Process>,
    file: Arc<Mutex<OpenFile>>,
}

/// Locks for an operation that runs only once at a time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SimulatedFile {
    /// Writes the beginning of `bytes`.
    fn write_part(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let length = self.process.faults.below(bytes.len() as u64 + 1) as usize;
        lock(&self.file).file.write_all_at(&bytes[..length], offset)
    }
}

impl DiskFile for SimulatedFile {
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        let was_dead = self.process.is_dead();
        if let Err(error) = self.process.step() {
            if !was_dead {
                self.write_part(bytes, offset)?;
            }
            return Err(error);
        }
        if self.process.faults.happens(Fault::NoSpace, 1.0) {
            self.write_part(bytes, offset)?;
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        lock(&self.file).file.write_all_at(bytes, offset)
    }

    fn sync(&self) -> io::Result<()> {
        self.process.step()?;
        lock(&self.file).file.sync_data()
    }

    /// Fails only when the agent is killed. The spool cuts off what a failed write has left; if that failed
    /// as well, the next run could find a batch twice, and make parts of two minutes of it.
    fn set_len(&self, length: u64) -> io::Result<()> {
        if self.process.is_dead() {
            return Err(io::Error::other("killed"));
        }
        lock(&self.file).file.set_len(length)
    }

    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<()> {
        self.process.step()?;
        lock(&self.file).file.read_exact_at(bytes, offset)
    }

    fn read_all(&self) -> io::Result<Vec<u8>> {
        self.process.step()?;
        let file = lock(&self.file);
        let mut bytes = vec![0; file.file.metadata()?.len() as usize];
        file.file.read_exact_at(&mut bytes, 0)?;
        Ok(bytes)
    }
}
