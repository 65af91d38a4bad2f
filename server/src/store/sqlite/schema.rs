//! Tables, by numbered migrations. A migration that has been released is never edited.

use rusqlite::{Connection, TransactionBehavior};

use crate::store::error::{StoreError, failed};

/// Bytes of a page. SQLite applies it only to a new database.
pub(super) const PAGE: u32 = 8192;

/// Migrations in order; the version of a database is how many were applied.
///
/// - The key of `piece` begins with the time. Pieces are written at the end and deleted at
///   the beginning, so a thousand containers a second touch few pages. A reader asks for
///   each second of a dirty span of its container.
/// - The key of `packed` begins with the container, because a page reads one container's range.
/// - Both tables have rowids. `WITHOUT ROWID`, a row longer than a quarter of a page would get
///   overflow pages of its own, filled or not (SQLite's file format, 1.6: cells of an index
///   are kept short). A quiet container's minute took more than twice as much.
/// - `recorded` lists the sources of a container that belong to a recording, and what they added
///   to its entry.
/// - `deleted_container` lists containers until the server has removed their rows.
/// - `binding` has the owner of each container and source. Its key is a name and not a row number,
///   because a source may be bound before anything of it is stored.
/// - `issued_token` has the tokens that were made or revoked, until they expire. `shared` is the extent
///   of a shared link, and null for other tokens.
/// - `upload` of `recording` has what is known of an uploaded capture, as JSON; it is null for others.
/// - The migration without a table says that rows in `piece` and `packed` begin with a checksum
///   (`span/seal.rs`), which earlier programs cannot read.
const MIGRATIONS: &[&str] = &[
    "
    CREATE TABLE container (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE,
        facts TEXT NOT NULL,
        facts_at INTEGER NOT NULL,
        title TEXT NOT NULL,
        host TEXT NOT NULL,
        ended INTEGER NOT NULL,
        first_seen INTEGER NOT NULL,
        last_seen INTEGER NOT NULL,
        cpu_ns INTEGER NOT NULL,
        memory_now INTEGER NOT NULL,
        memory_peak INTEGER NOT NULL,
        memory_limit INTEGER NOT NULL,
        bytes_in INTEGER NOT NULL,
        bytes_out INTEGER NOT NULL,
        recent BLOB NOT NULL
    );
    CREATE TABLE source (
        id INTEGER PRIMARY KEY,
        uuid BLOB NOT NULL UNIQUE
    );
    CREATE TABLE piece (
        resolution INTEGER NOT NULL,
        start INTEGER NOT NULL,
        container INTEGER NOT NULL,
        source INTEGER NOT NULL,
        form INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (resolution, start, container, source, form)
    );
    CREATE TABLE packed (
        container INTEGER NOT NULL,
        resolution INTEGER NOT NULL,
        start INTEGER NOT NULL,
        source INTEGER NOT NULL,
        slots INTEGER NOT NULL,
        bytes BLOB NOT NULL,
        PRIMARY KEY (container, resolution, start, source)
    );
    CREATE TABLE dirty (
        resolution INTEGER NOT NULL,
        start INTEGER NOT NULL,
        container INTEGER NOT NULL,
        touched INTEGER NOT NULL,
        PRIMARY KEY (resolution, start, container)
    ) WITHOUT ROWID;
    CREATE INDEX dirty_of_container ON dirty (container, resolution, start);
    CREATE TABLE horizon (
        resolution INTEGER PRIMARY KEY,
        before INTEGER NOT NULL
    );
    CREATE TABLE host (
        name TEXT PRIMARY KEY,
        report TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE api_key (
        id TEXT PRIMARY KEY,
        hash BLOB NOT NULL,
        owner TEXT NOT NULL,
        created INTEGER NOT NULL,
        last_used INTEGER NOT NULL
    ) WITHOUT ROWID;
",
    "
    CREATE TABLE recording (
        id INTEGER PRIMARY KEY,
        uuid BLOB NOT NULL UNIQUE,
        name TEXT NOT NULL,
        created INTEGER NOT NULL,
        deleted INTEGER NOT NULL
    );
    CREATE TABLE recorded (
        container INTEGER NOT NULL,
        source INTEGER NOT NULL,
        recording INTEGER NOT NULL,
        first INTEGER NOT NULL,
        last INTEGER NOT NULL,
        cpu_ns INTEGER NOT NULL,
        bytes_in INTEGER NOT NULL,
        bytes_out INTEGER NOT NULL,
        PRIMARY KEY (container, source)
    ) WITHOUT ROWID;
    CREATE INDEX recorded_by_recording ON recorded (recording);
    ALTER TABLE container ADD COLUMN live_since INTEGER NOT NULL DEFAULT 9223372036854775807;
    UPDATE container SET live_since = first_seen WHERE last_seen > 0;
",
    "
    CREATE TABLE deleted_container (container INTEGER PRIMARY KEY);
",
    "
    CREATE TABLE binding (
        name TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        host TEXT NOT NULL,
        identity TEXT NOT NULL,
        key TEXT NOT NULL,
        since INTEGER NOT NULL
    ) WITHOUT ROWID;
",
    "
    CREATE TABLE issued_token (
        id TEXT PRIMARY KEY,
        container TEXT NOT NULL,
        created INTEGER NOT NULL,
        expires INTEGER NOT NULL,
        revoked INTEGER NOT NULL
    ) WITHOUT ROWID;
",
    "
    ALTER TABLE issued_token ADD COLUMN shared TEXT;
",
    "
    -- Rows have checksums.
",
    "
    ALTER TABLE recording ADD COLUMN upload TEXT;
",
];

/// Migrates the database to the latest version. Two processes may do so at once.
pub(super) fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let doing = "bring the database to the latest version";
    let transaction = connection
        .transaction_with_behavior(TransactionBehavior::Immediate)
        .map_err(failed(doing))?;
    transaction
        .execute_batch("CREATE TABLE IF NOT EXISTS migration (version INTEGER PRIMARY KEY, applied INTEGER NOT NULL)")
        .map_err(failed(doing))?;
    let found: u32 = transaction
        .query_row(
            "SELECT coalesce(max(version), 0) FROM migration",
            [],
            |row| row.get(0),
        )
        .map_err(failed(doing))?;
    let known = MIGRATIONS.len() as u32;
    if found > known {
        return Err(StoreError::NewerSchema { found, known });
    }
    for version in found + 1..=known {
        transaction
            .execute_batch(MIGRATIONS[version as usize - 1])
            .map_err(failed(doing))?;
        transaction
            .execute(
                "INSERT INTO migration (version, applied) VALUES (?1, unixepoch())",
                [version],
            )
            .map_err(failed(doing))?;
    }
    transaction.commit().map_err(failed(doing))
}

#[cfg(test)]
mod tests {
    use rusqlite::{Connection, params};
    use sha2::{Digest as _, Sha256};

    use super::{MIGRATIONS, PAGE, migrate};

    /// Databases of released versions had these migrations. When one is added, add the database of
    /// its version to testdata/schema.
    #[test]
    fn released_migrations_are_unchanged() {
        let digest = |text: &&str| hex::encode(&Sha256::digest(text)[..8]);
        let digests: Vec<String> = MIGRATIONS.iter().map(digest).collect();
        let released = [
            "c41d32430e53c5d3",
            "d5ff12c6af1df212",
            "b752892c3cc82ae5",
            "45658f7d8b3a98fe",
            "88da9f928a286a33",
            "de67dd2d00eeb8e5",
            "e27d155c516fbaaf",
            "ae177bd25d208e9f",
        ];
        assert_eq!(digests, released);
    }

    /// Bytes of the database file per byte of rows inserted.
    fn overhead(sql: &str, lengths: &[usize]) -> f64 {
        let mut connection = Connection::open_in_memory().expect("SQLite opens");
        let page = format!("PRAGMA page_size = {PAGE}");
        connection.execute_batch(&page).expect("a page's size");
        migrate(&mut connection).expect("tables");
        let pages = |connection: &Connection| -> i64 {
            let count = connection.query_row("PRAGMA page_count", [], |row| row.get(0));
            count.expect("a count")
        };
        let empty = pages(&connection);
        let mut given = 0;
        for time in 0..40 {
            for (container, length) in (0..).zip(lengths) {
                let values = params![container, time, vec![7_u8; *length]];
                connection.execute(sql, values).expect("a row");
                given += length;
            }
        }
        (pages(&connection) - empty) as f64 * f64::from(PAGE) / given as f64
    }

    #[test]
    fn rows_of_seconds_and_minutes_have_little_overhead() {
        // Lengths of rows of quiet and busy containers.
        let lengths = [
            400, 2_500, 2_600, 3_400, 3_500, 15_000, 400, 2_500, 3_400, 15_400,
        ];
        let piece = "INSERT INTO piece VALUES (0, ?2, ?1, 1, 0, ?3)";
        let packed = "INSERT INTO packed VALUES (?1, 0, ?2, 1, 0, ?3)";
        for sql in [piece, packed] {
            let overhead = overhead(sql, &lengths);
            assert!(overhead < 1.3, "{sql}: {overhead:.2} times as much");
        }
    }
}
