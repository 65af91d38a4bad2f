//! Space on the disk: the database gives free pages back, and its log stays short.

use std::fs::metadata;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::Connection;

use crate::store::column::unsigned;
use crate::store::error::{StoreError, failed};

/// Value of `PRAGMA auto_vacuum` for a database that can shrink in steps.
const INCREMENTAL: u8 = 2;
/// Pages that are moved in one transaction, so that posts wait only shortly: 2 MiB.
const RECLAIM_STEP: u32 = 256;
/// Free pages that stay for new rows, at least: 4 MiB.
const MIN_FREE_PAGES: i64 = 512;
/// The part of all pages that stays free for new rows.
const FREE_SHARE: i64 = 8;
/// Size from which on the log is shortened even if readers must finish first.
const MAX_LOG: u64 = 64 << 20;
/// Longest wait for readers then. The next commit tries again.
const READERS_TIMEOUT: Duration = Duration::from_millis(200);

/// Whether the file of the database can shrink.
pub(super) fn can_shrink(connection: &Connection) -> Result<bool, StoreError> {
    connection
        .pragma_query_value(None, "auto_vacuum", |row| row.get::<_, u8>(0))
        .map(|mode| mode == INCREMENTAL)
        .map_err(failed("look how the database was made"))
}

/// Gives some free pages back; `false` if there are not more than should stay for new rows.
pub(super) fn reclaim_step(connection: &Connection) -> Result<bool, StoreError> {
    if !can_shrink(connection)? {
        return Ok(false);
    }
    let number = |name| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let counted = number("freelist_count").and_then(|free| Ok((free, number("page_count")?)));
    let (free, pages) = counted.map_err(failed("count free pages"))?;
    if free <= MIN_FREE_PAGES.max(pages / FREE_SHARE) {
        return Ok(false);
    }
    // It returns a row for each page, and goes on only while they are read.
    connection
        .prepare(&format!("PRAGMA incremental_vacuum({RECLAIM_STEP})"))
        .and_then(|mut statement| {
            let mut rows = statement.query([])?;
            while rows.next()?.is_some() {}
            Ok(true)
        })
        .map_err(failed("give free pages back"))
}

/// The write-ahead log.
pub(super) struct Log(PathBuf);

impl Log {
    /// The log of the database at `path`.
    pub(super) fn of(path: &Path) -> Self {
        let mut log = path.as_os_str().to_owned();
        log.push("-wal");
        Self(log.into())
    }

    /// Its size in bytes.
    pub(super) fn size(&self) -> u64 {
        metadata(&self.0).map_or(0, |metadata| metadata.len())
    }

    /// Empties the log if it has become long. SQLite itself does not while one reader follows
    /// another.
    pub(super) fn bound(&self, connection: &Connection) -> rusqlite::Result<()> {
        if self.size() <= MAX_LOG {
            return Ok(());
        }
        let usual = connection.pragma_query_value(None, "busy_timeout", |row| row.get(0))?;
        connection.busy_timeout(READERS_TIMEOUT)?;
        // Its row says whether readers were in the way, which is no error.
        let emptied = connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        connection.busy_timeout(Duration::from_millis(unsigned(usual)))?;
        emptied
    }
}
