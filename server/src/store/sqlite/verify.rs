//! Damage that is not within a row: the structure of the file, and rows that no query finds.

use std::path::Path;

use bubble_common::segment::Resolution;
use rusqlite::{Connection, params};

use super::space::Log;
use crate::store::Usage;
use crate::store::column::{number, unsigned};
use crate::store::error::{StoreError, failed};

/// Errors of the structure that are listed.
const MAX_ERRORS: u32 = 100;

/// Counts of what must not be, each with its description.
const COUNTS: [(&str, &str); 4] = [
    (
        "packed rows belong to no container or source, and are in no answer",
        "SELECT count(*) FROM packed WHERE container NOT IN (SELECT id FROM container)
         OR source NOT IN (SELECT id FROM source)",
    ),
    (
        "pieces belong to no container or source, and are in no answer",
        "SELECT count(*) FROM piece WHERE container NOT IN (SELECT id FROM container)
         OR source NOT IN (SELECT id FROM source)",
    ),
    (
        "containers have damaged facts (name, image, labels)",
        "SELECT count(*) FROM container WHERE NOT json_valid(facts)",
    ),
    (
        "reports of hosts are damaged",
        "SELECT count(*) FROM host WHERE NOT json_valid(report)",
    ),
];

/// A sentence for each kind of damage.
pub(super) fn verify(connection: &mut Connection) -> Result<Vec<String>, StoreError> {
    let doing = "check the database";
    let mut found: Vec<String> = connection
        .prepare(&format!("PRAGMA integrity_check({MAX_ERRORS})"))
        .and_then(|mut statement| statement.query_map([], |row| row.get(0))?.collect())
        .map_err(failed(doing))?;
    found.retain(|line| line != "ok");
    for (what, sql) in COUNTS {
        let count: i64 = connection
            .query_row(sql, [], |row| row.get(0))
            .map_err(failed(doing))?;
        if count > 0 {
            found.push(format!("{count} {what}"));
        }
    }
    for resolution in Resolution::ALL {
        let count = unmarked(connection, resolution).map_err(failed(doing))?;
        if count > 0 {
            let name = resolution.name();
            found.push(format!(
                "{count} pieces ({name}) are in no dirty span, and in no answer"
            ));
        }
    }
    Ok(found)
}

/// Pieces of spans without a mark, by which alone they are found.
fn unmarked(connection: &Connection, resolution: Resolution) -> rusqlite::Result<i64> {
    connection.query_row(
        "SELECT count(*) FROM piece WHERE resolution = ?1 AND NOT EXISTS (
             SELECT 1 FROM dirty WHERE dirty.resolution = ?1 AND dirty.container = piece.container
             AND dirty.start = piece.start - piece.start % ?2)",
        params![resolution as u8, number(resolution.packed_seconds())],
        |row| row.get(0),
    )
}

/// What the database at `path` takes on the disk.
pub(super) fn usage(connection: &Connection, path: &Path) -> Result<Usage, StoreError> {
    let pragma = |name| connection.pragma_query_value(None, name, |row| row.get(0).map(unsigned));
    let sizes = || -> rusqlite::Result<(u64, u64, u64, i64)> {
        let rows = connection.query_row(
            "SELECT (SELECT coalesce(sum(length(bytes)), 0) FROM packed)
                  + (SELECT coalesce(sum(length(bytes)), 0) FROM piece)",
            [],
            |row| row.get(0),
        )?;
        let (pages, free) = (pragma("page_count")?, pragma("freelist_count")?);
        Ok((pragma("page_size")?, pages, free, rows))
    };
    let (page, pages, free, rows) = sizes().map_err(failed("measure the database"))?;
    Ok(Usage {
        rows: unsigned(rows),
        database: pages * page,
        free: free * page,
        log: Log::of(path).size(),
    })
}
