//! Rewriting the database without free space.

use std::fs::{File, metadata, remove_file, rename};
use std::path::Path;

use rusqlite::Connection;

use super::database::{FILE, lock};
use super::schema;
use crate::store::error::{StoreError, failed};

/// The new database while it is written.
const PART: &str = "bubble.sqlite.part";

/// Sizes of the database before and after it was rewritten, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compacted {
    /// Before.
    pub before: u64,
    /// After.
    pub after: u64,
}

/// Writes the database in `data` anew, without free space. From then on its file can shrink. Needs
/// as much free space as the result. If it is interrupted, the former database stays.
///
/// # Errors
/// When a server or a command uses the directory, or the database cannot be written.
pub fn compact(data: &Path) -> Result<Compacted, StoreError> {
    let doing = "rewrite the database";
    let _lock = lock(data)?;
    let (path, part) = (data.join(FILE), data.join(PART));
    let size = |path: &Path| metadata(path).map(|metadata| metadata.len());
    let before = size(&path).map_err(failed(doing))?;
    remove_file(&part)
        .or_else(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Ok(()),
            _ => Err(error),
        })
        .map_err(failed(doing))?;
    let mut connection = Connection::open(&path).map_err(failed(doing))?;
    schema::migrate(&mut connection)?;
    let target = part.to_string_lossy();
    // Without a log: one that is left behind would be applied to the new database.
    connection
        .query_row("PRAGMA journal_mode = DELETE", [], |row| {
            row.get::<_, String>(0)
        })
        .and_then(|_| connection.execute_batch("PRAGMA auto_vacuum = INCREMENTAL"))
        .and_then(|()| connection.execute("VACUUM INTO ?1", [&*target]))
        .map_err(failed(doing))?;
    connection
        .close()
        .map_err(|(_, error)| failed(doing)(error))?;
    let after = size(&part).map_err(failed(doing))?;
    File::open(&part)
        .and_then(|file| file.sync_all())
        .and_then(|()| rename(&part, &path))
        .and_then(|()| File::open(data)?.sync_all())
        .map_err(failed(doing))?;
    Ok(Compacted { before, after })
}
