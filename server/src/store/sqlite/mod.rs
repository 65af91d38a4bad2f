//! SQLite, the embedded default: one file, nothing to set up.
//!
//! Write-ahead log, one thread that writes, connections of their own for those
//! who read. A post is answered after its commit, so that it survives the death
//! of this process whatever the setting; with [`Durability::Power`] each commit
//! also waits for the disk, so that it survives the loss of power.

mod index;
mod keys;
mod lease;
mod memory;
mod put;
mod read;
mod recording;
mod restore;
mod schema;
mod writer;

use std::fs::{File, TryLockError};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use bubble_common::segment::{ContainerId, Resolution, SourceId};
use rusqlite::{Connection, OpenFlags};

use super::Store;
use super::column::number;
use super::container::{Container, ContainerFilter, ContainerPage};
use super::error::{StoreError, failed};
use super::host::Host;
use super::key::ApiKey;
use super::recording::{Recorder, Recording};
use super::row::{DirtySpan, Outcome, Post, Repack, Row};
use memory::{ContainerRow, Versions};
use writer::Writer;

/// Name of the database within the data directory.
pub const FILE: &str = "bubble.sqlite";
/// Name of the file by which the data directory is locked.
const LOCK: &str = "lock";
/// Readers kept open at most.
const READERS: usize = 8;

/// What an acknowledged post survives, besides the death of the process.
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
    /// Loss of power: each commit waits for the disk.
    #[default]
    Power,
    /// Nothing more: the system writes to the disk in its own time. Loss of
    /// power costs the latest seconds, and never the database.
    Process,
}

/// A store in one SQLite database.
pub struct Sqlite {
    writer: Writer,
    readers: Arc<Readers>,
    versions: Versions,
    /// No other process serves this directory, so that it need not outlive this one.
    lease: lease::Slot,
    /// Held as long as the store is open; the system unlocks it when the process dies.
    _lock: Option<File>,
}

struct Readers {
    path: PathBuf,
    idle: Mutex<Vec<Connection>>,
}

impl Sqlite {
    /// Opens the database in `data`, which is made if it does not exist, for a
    /// server: no other may serve it at the same time.
    ///
    /// # Errors
    /// When the directory is in use, when it or the database can't be opened,
    /// or when it was made by a later version.
    pub fn serve(data: &Path, durability: Durability) -> Result<Self, StoreError> {
        make_directory(data)?;
        let lock =
            File::create(data.join(LOCK)).map_err(failed("open the lock of the data directory"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(StoreError::InUse {
                    path: data.display().to_string(),
                });
            }
            Err(TryLockError::Error(error)) => {
                return Err(failed("lock the data directory")(error));
            }
        }
        Self::open(data, durability, Some(lock))
    }

    /// Opens the database in `data` beside a server that may be serving it: for
    /// keys and for reading. Must not be used to put or to pack.
    ///
    /// # Errors
    /// As [`Self::serve`], but for the directory being in use.
    pub fn beside(data: &Path) -> Result<Self, StoreError> {
        make_directory(data)?;
        Self::open(data, Durability::Power, None)
    }

    fn open(data: &Path, durability: Durability, lock: Option<File>) -> Result<Self, StoreError> {
        let path = data.join(FILE);
        let doing = "open the database";
        let mut connection = Connection::open(&path).map_err(failed(doing))?;
        connection
            .busy_timeout(Duration::from_secs(10))
            .map_err(failed(doing))?;
        let sync = match durability {
            Durability::Power => "FULL",
            Durability::Process => "NORMAL",
        };
        connection
            .execute_batch(&format!(
                "PRAGMA page_size = {};
                 PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = {sync};
                 PRAGMA cache_size = -65536;
                 PRAGMA wal_autocheckpoint = 4000;
                 PRAGMA journal_size_limit = 67108864;
                 PRAGMA temp_store = MEMORY;",
                schema::PAGE
            ))
            .map_err(failed(doing))?;
        connection.set_prepared_statement_cache_capacity(64);
        schema::migrate(&mut connection)?;
        let versions = Versions::default();
        Ok(Self {
            writer: Writer::start(connection, versions.clone())?,
            readers: Arc::new(Readers {
                path,
                idle: Mutex::default(),
            }),
            versions,
            lease: lease::Slot::default(),
            _lock: lock,
        })
    }

    /// Runs `work` on a connection for reading, on a thread that may block.
    async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let readers = Arc::clone(&self.readers);
        tokio::task::spawn_blocking(move || {
            let mut connection = readers.take()?;
            let result = work(&mut connection);
            readers.give_back(connection);
            result
        })
        .await
        .map_err(|_| StoreError::Closed)?
    }
}

impl Readers {
    fn take(&self) -> Result<Connection, StoreError> {
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
            .busy_timeout(Duration::from_secs(10))
            .and_then(|()| connection.execute_batch("PRAGMA cache_size = -16384"))
            .map_err(failed(doing))?;
        connection.set_prepared_statement_cache_capacity(64);
        Ok(connection)
    }

    fn give_back(&self, connection: Connection) {
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        if idle.len() < READERS {
            idle.push(connection);
        }
    }
}

#[async_trait]
impl Store for Sqlite {
    async fn check(&self) -> Result<(), StoreError> {
        self.read(|connection| {
            connection
                .query_row("SELECT max(version) FROM migration", [], |_| Ok(()))
                .map_err(failed("ask the database"))
        })
        .await
    }

    async fn put(&self, posts: Vec<Post>) -> Result<Vec<Outcome>, StoreError> {
        self.writer.run(move |open| put::put(open, &posts)).await
    }

    async fn range(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        span: Range<u64>,
    ) -> Result<Vec<Row>, StoreError> {
        let container = container.clone();
        self.read(move |connection| read::range(connection, &container, resolution, span))
            .await
    }

    async fn dirty_of(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        span: Range<u64>,
    ) -> Result<Vec<u64>, StoreError> {
        let container = container.clone();
        self.read(move |connection| read::dirty_of(connection, &container, resolution, span))
            .await
    }

    async fn dirty(
        &self,
        resolution: Resolution,
        before: u64,
        after: Option<(u64, ContainerId)>,
        limit: usize,
    ) -> Result<Vec<DirtySpan>, StoreError> {
        let versions = self.versions.clone();
        self.read(move |connection| {
            read::dirty(
                connection,
                &versions,
                resolution,
                before,
                after.as_ref(),
                limit,
            )
        })
        .await
    }

    async fn dirty_span(
        &self,
        container: &ContainerId,
        resolution: Resolution,
        start: u64,
    ) -> Result<Option<DirtySpan>, StoreError> {
        let (container, versions) = (container.clone(), self.versions.clone());
        self.read(move |connection| {
            read::dirty_span(connection, &versions, container, resolution, start)
        })
        .await
    }

    async fn repack(&self, change: Repack) -> Result<(), StoreError> {
        self.writer
            .run(move |open| put::repack(open, &change))
            .await
    }

    async fn expire(&self, resolution: Resolution, before: u64) -> Result<u64, StoreError> {
        // First of all: a segment that comes late from now on is not what is deleted below.
        self.writer
            .run(move |open| put::set_horizon(open, resolution, before))
            .await?;
        let containers: Vec<ContainerRow> = self
            .read(move |connection| {
                connection
                    .prepare_cached("SELECT id FROM container WHERE live_since < ?1")
                    .and_then(|mut statement| {
                        statement
                            .query_map([number(before)], |row| row.get(0))?
                            .collect()
                    })
                    .map_err(failed("list containers"))
            })
            .await?;
        let mut deleted = 0;
        // In portions, between which posts are stored.
        for portion in containers.chunks(200) {
            let portion = portion.to_vec();
            deleted += self
                .writer
                .run(move |open| {
                    portion
                        .iter()
                        .map(|container| put::expire(open, *container, resolution, before))
                        .sum::<Result<u64, StoreError>>()
                })
                .await?;
        }
        Ok(deleted)
    }

    async fn expired_before(&self, resolution: Resolution) -> Result<u64, StoreError> {
        self.read(move |connection| put::horizon(connection, resolution))
            .await
    }

    async fn container(&self, id: &ContainerId) -> Result<Option<Container>, StoreError> {
        let id = id.clone();
        self.read(
            move |connection| Ok(index::get(connection, &id)?.map(|(_, container)| container)),
        )
        .await
    }

    async fn containers(&self, filter: &ContainerFilter) -> Result<ContainerPage, StoreError> {
        let filter = filter.clone();
        self.read(move |connection| index::page(connection, &filter))
            .await
    }

    async fn recorded(&self, container: &ContainerId) -> Result<Vec<Recorder>, StoreError> {
        let container = container.clone();
        self.read(move |connection| recording::sources(connection, &container))
            .await
    }

    async fn recordings(&self) -> Result<Vec<Recording>, StoreError> {
        self.read(|connection| recording::list(connection)).await
    }

    async fn delete_recording(&self, id: SourceId) -> Result<bool, StoreError> {
        self.writer
            .run(move |open| recording::delete(open.connection, id))
            .await
    }

    async fn sweep(&self) -> Result<u64, StoreError> {
        let doomed = self
            .read(|connection| recording::doomed(connection))
            .await?;
        if doomed.is_empty() {
            return Ok(0);
        }
        // One at a time: posts are stored in between.
        for part in doomed {
            self.writer
                .run(move |open| recording::remove(open, &part))
                .await?;
        }
        self.writer
            .run(|open| recording::forget(open.connection))
            .await
    }

    async fn put_host(&self, host: Host) -> Result<(), StoreError> {
        self.writer
            .run(move |open| keys::put_host(open.connection, &host))
            .await
    }

    async fn hosts(&self) -> Result<Vec<Host>, StoreError> {
        self.read(|connection| keys::hosts(connection)).await
    }

    async fn create_key(&self, key: ApiKey) -> Result<(), StoreError> {
        self.writer
            .run(move |open| keys::create(open.connection, &key))
            .await
    }

    async fn key(&self, id: &str) -> Result<Option<ApiKey>, StoreError> {
        let id = id.to_owned();
        self.read(move |connection| keys::get(connection, &id))
            .await
    }

    async fn keys(&self) -> Result<Vec<ApiKey>, StoreError> {
        self.read(|connection| keys::list(connection)).await
    }

    async fn delete_key(&self, id: &str) -> Result<bool, StoreError> {
        let id = id.to_owned();
        self.writer
            .run(move |open| keys::delete(open.connection, &id))
            .await
    }

    async fn touch_key(&self, id: &str, at: u64) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.writer
            .run(move |open| keys::touch(open.connection, &id, at))
            .await
    }
}

fn make_directory(data: &Path) -> Result<(), StoreError> {
    std::fs::create_dir_all(data).map_err(failed("make the data directory"))
}
