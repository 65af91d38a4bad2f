//! The database: one connection that writes, several that read, and the lock of its folder.

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use rusqlite::{Connection, OpenFlags};
use tokio::sync::Semaphore;
use tracing::warn;

use super::private::make_private;
use super::schema;
use super::space::can_shrink;
use super::verify::{usage, verify};
use super::versions::Versions;
use super::writer::{Faults, Writer};
use crate::clock;
use crate::store::attention::Watched;
use crate::store::error::{StoreError, failed};
use crate::store::lease::Lease;
use crate::store::{Store, Usage};

/// Name of the database within the data directory.
pub const FILE: &str = "bubble.sqlite";
/// Name of the file by which the data directory is locked.
const LOCK: &str = "lock";
/// Longest wait for another process that holds the database locked.
const BUSY_TIMEOUT: Duration = Duration::from_secs(10);
/// Prepared statements cached by each connection.
const MAX_STATEMENTS: usize = 64;
/// Age of the latest write up to which a check need not write itself.
const WRITE_INTERVAL: Duration = Duration::from_secs(5);
/// Bytes that must be free on the file system.
const MIN_FREE_SPACE: u64 = 1 << 20;
/// Pages in the log from which on SQLite copies them into the database: 8 MiB.
const CHECKPOINT_PAGES: u32 = 1_000;
/// Readers at the same time; further ones wait. Each has a cache of pages.
const MAX_READERS: usize = 12;
/// Of these, readers of segments, so that keys and containers are read beside them.
const MAX_SEGMENT_READERS: usize = 4;

/// What an acknowledged post survives besides the death of the process.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Default,
    serde::Serialize,
    serde::Deserialize,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Durability {
    /// A power failure: each commit waits for the disk.
    #[default]
    Power,
    /// Nothing more: the system writes to the disk later. A power failure loses the
    /// latest seconds, never the database.
    Process,
}

/// A store in one SQLite database.
pub struct Sqlite {
    data: PathBuf,
    pub(super) writer: Writer,
    readers: Arc<Readers>,
    pub(super) versions: Versions,
    /// In memory: no other process serves this directory.
    pub(super) lease: Mutex<Option<Lease>>,
    /// Watched containers, and when each was last noted. In memory as well.
    pub(super) watched: Mutex<HashMap<Watched, Instant>>,
    /// Held while the store is open.
    _lock: Option<DataLock>,
}

struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
    all: Semaphore,
    of_segments: Semaphore,
}

impl Sqlite {
    /// Opens the database in `data` for a server, and creates it if necessary. Only one
    /// server may have it open.
    ///
    /// # Errors
    /// When another server uses the directory, when it or the database cannot be opened,
    /// or when a later version made it.
    pub fn serve(data: &Path, durability: Durability) -> Result<Self, StoreError> {
        let lock = lock(data)?;
        Self::open(data, durability, Some(lock), None)
    }

    /// As [`Self::serve`], for the process alone, with transactions that fail as `faults` says. For
    /// simulations only.
    ///
    /// # Errors
    /// As [`Self::serve`].
    pub fn simulate(data: &Path, faults: Faults) -> Result<Self, StoreError> {
        let lock = lock(data)?;
        Self::open(data, Durability::Process, Some(lock), Some(faults))
    }

    /// Opens the database in `data` while a server may be using it: for keys and for
    /// reading. Must not be used to put or to pack.
    ///
    /// # Errors
    /// As [`Self::serve`], except that the directory may be in use.
    pub fn beside(data: &Path) -> Result<Self, StoreError> {
        make_private(data)?;
        Self::open(data, Durability::Power, None, None)
    }

    fn open(
        data: &Path,
        durability: Durability,
        lock: Option<DataLock>,
        faults: Option<Faults>,
    ) -> Result<Self, StoreError> {
        let path = data.join(FILE);
        let doing = "open the database";
        let mut connection = Connection::open(&path).map_err(failed(doing))?;
        connection
            .busy_timeout(BUSY_TIMEOUT)
            .map_err(failed(doing))?;
        let sync = match durability {
            Durability::Power => "FULL",
            Durability::Process => "NORMAL",
        };
        connection
            .execute_batch(&format!(
                "PRAGMA page_size = {};
                 PRAGMA auto_vacuum = INCREMENTAL;
                 PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = {sync};
                 PRAGMA cache_size = -65536;
                 PRAGMA wal_autocheckpoint = {CHECKPOINT_PAGES};
                 PRAGMA journal_size_limit = {};
                 PRAGMA temp_store = MEMORY;",
                schema::PAGE,
                CHECKPOINT_PAGES * schema::PAGE
            ))
            .map_err(failed(doing))?;
        connection.set_prepared_statement_cache_capacity(MAX_STATEMENTS);
        schema::migrate(&mut connection)?;
        if lock.is_some() && !can_shrink(&connection)? {
            warn!(
                "an earlier version made the database, so its file never shrinks: \
                 stop the server and run `bubble-server db compact` once"
            );
        }
        let versions = Versions::default();
        Ok(Self {
            data: data.to_owned(),
            writer: Writer::start(connection, &path, versions.clone(), faults)?,
            readers: Arc::new(Readers {
                path,
                idle: Mutex::default(),
                all: Semaphore::new(MAX_READERS),
                of_segments: Semaphore::new(MAX_SEGMENT_READERS),
            }),
            versions,
            lease: Mutex::default(),
            watched: Mutex::default(),
            _lock: lock,
        })
    }

    /// As [`Self::read`], for work that reads many segments.
    pub(super) async fn read_segments<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = self.readers.of_segments.acquire().await;
        let _place = place.map_err(|_| StoreError::Closed)?;
        self.read(work).await
    }

    /// Runs `work` with a read-only connection, on a thread that may block.
    pub(super) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = self.readers.all.acquire().await;
        let _place = place.map_err(|_| StoreError::Closed)?;
        let readers = Arc::clone(&self.readers);
        tokio::task::spawn_blocking(move || {
            let mut connection = readers.acquire()?;
            let result = work(&mut connection);
            readers.release(connection);
            result
        })
        .await
        .map_err(|_| StoreError::Closed)?
    }
}

impl Readers {
    fn acquire(&self) -> Result<Connection, StoreError> {
        let idle = self
            .idle
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .pop();
        if let Some(connection) = idle {
            return Ok(connection);
        }
        let doing = "open the database for reading";
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(&self.path, flags).map_err(failed(doing))?;
        connection
            .busy_timeout(BUSY_TIMEOUT)
            .and_then(|()| connection.execute_batch("PRAGMA cache_size = -8192"))
            .map_err(failed(doing))?;
        connection.set_prepared_statement_cache_capacity(MAX_STATEMENTS);
        Ok(connection)
    }

    fn release(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        idle.push(connection);
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn verify(&self) -> Result<Vec<String>, StoreError> {
        self.read(verify).await
    }

    async fn usage(&self) -> Result<Option<Usage>, StoreError> {
        let path = self.readers.path.clone();
        self.read(move |connection| usage(connection, &path).map(Some))
            .await
    }

    async fn check(&self) -> Result<(), StoreError> {
        self.read(|connection| {
            connection
                .query_row("SELECT max(version) FROM migration", [], |_| Ok(()))
                .map_err(failed("ask the database"))
        })
        .await?;
        check_space(&self.data)?;
        if self.writer.has_just_written(WRITE_INTERVAL) {
            return Ok(());
        }
        // A number that nothing else uses. Writing it needs all that a post needs.
        let now = clock::now() as i32;
        self.writer
            .run(move |transaction| {
                transaction
                    .connection
                    .pragma_update(None, "user_version", now)
                    .map_err(failed("write to the database"))
            })
            .await
    }
}

/// The lock of a data directory. The system releases it when the process dies.
pub(super) struct DataLock(File);

impl Drop for DataLock {
    fn drop(&mut self) {
        // Closing the file is not enough while a child that is being started still has it. An error
        // leaves the lock to the end of the last of them.
        let _ = self.0.unlock();
    }
}

/// Locks the data directory against other servers, and makes it private.
pub(super) fn lock(data: &Path) -> Result<DataLock, StoreError> {
    make_private(data)?;
    let lock =
        File::create(data.join(LOCK)).map_err(failed("open the lock of the data directory"))?;
    match lock.try_lock() {
        Ok(()) => Ok(DataLock(lock)),
        Err(TryLockError::WouldBlock) => Err(StoreError::InUse {
            path: data.display().to_string(),
        }),
        Err(TryLockError::Error(error)) => Err(failed("lock the data directory")(error)),
    }
}

/// Whether the file system at `data` has room for posts. SQLite may still write a little where a post
/// would fail.
fn check_space(data: &Path) -> Result<(), StoreError> {
    let space = rustix::fs::statvfs(data).map_err(failed("look for free space"))?;
    match space.f_bavail.saturating_mul(space.f_frsize) < MIN_FREE_SPACE {
        true => Err(StoreError::Full {
            path: data.display().to_string(),
        }),
        false => Ok(()),
    }
}
