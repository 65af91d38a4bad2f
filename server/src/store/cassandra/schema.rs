//! Tables, by numbered migrations. A migration that has been released is never edited.

use std::time::Duration;

use bubble_common::segment::SourceId;
use tracing::info;

use super::session::Cql;
use super::value::blob;
use crate::clock;
use crate::store::column::number;
use crate::store::error::StoreError;

/// The table of packed rows of a resolution, with the lifetime of tombstones and the compaction window.
macro_rules! packed {
    ($resolution:literal, $grace:literal, $unit:literal, $size:literal) => {
        concat!(
            "CREATE TABLE IF NOT EXISTS packed_",
            $resolution,
            " (container text, bucket bigint, start bigint, source blob,
                slots bigint, digest bigint, bytes blob,
                PRIMARY KEY ((container, bucket), start, source)
            ) WITH gc_grace_seconds = ",
            $grace,
            " AND compression = {'enabled': 'false'}
              AND compaction = {'class': 'TimeWindowCompactionStrategy', 'compaction_window_unit': '",
            $unit,
            "', 'compaction_window_size': '",
            $size,
            "'}"
        )
    };
}

/// Migrations in order. Each is a few statements that can be repeated.
///
/// - `piece` has one packed span in a partition, which is deleted when it is packed.
/// - `packed_…` have a few spans in a partition: see `table.rs`. Windows are a small part of the
///   time to live, so whole files expire and nothing is compacted repeatedly.
/// - `mark` and `dirty` are two ways to find dirty spans. A mark that returns after its tombstone
///   is gone costs one useless look, so tombstones are short-lived.
/// - `life` and `fact` make the entry of the index: see `life_row.rs` and `life.rs`.
/// - `container` lists all containers, `active` those with data on a day. Both are in shards, so
///   that no partition is hot.
/// - `lease` has one row: the holder of the lease of roll-up.
/// - `binding` has the owner of each container and source.
/// - `issued_token` has the tokens that were made or revoked, until they expire.
/// - `watched` has one partition: the containers that somebody looks at, each for some seconds.
/// - `issued_token` has the tokens that were made or revoked, until they expire. `shared` is the extent
///   of a shared link, and null for other tokens.
/// - `upload` of `recording` has what is known of an uploaded capture, as JSON; it is null for others.
/// - The migration without a statement says that rows in `piece` and `packed_…` begin with a checksum
///   (`span/seal.rs`), which earlier programs cannot read.
const MIGRATIONS: &[&[&str]] = &[
    &[
        "CREATE TABLE IF NOT EXISTS piece (
        container text, resolution tinyint, span bigint, start bigint, source blob, form tinyint,
        bytes blob,
        PRIMARY KEY ((container, resolution, span), start, source, form)
    ) WITH gc_grace_seconds = 86400
        AND compaction = {'class': 'UnifiedCompactionStrategy'}",
        packed!("second", "10800", "MINUTES", "10"),
        packed!("minute", "86400", "HOURS", "3"),
        packed!("hour", "864000", "DAYS", "5"),
        packed!("day", "864000", "DAYS", "64"),
        "CREATE TABLE IF NOT EXISTS mark (
        container text, resolution tinyint, start bigint, writer bigint, touched bigint,
        PRIMARY KEY ((container), resolution, start, writer)
    ) WITH gc_grace_seconds = 3600",
        "CREATE TABLE IF NOT EXISTS dirty (
        resolution tinyint, shard tinyint, start bigint, container text, writer bigint,
        touched bigint,
        PRIMARY KEY ((resolution, shard), start, container, writer)
    ) WITH gc_grace_seconds = 600",
        "CREATE TABLE IF NOT EXISTS life (
        container text, resolution tinyint, kind tinyint, start bigint, source blob,
        slots bigint, recording blob, first bigint, last bigint,
        cpu_ns bigint, bytes_in bigint, bytes_out bigint,
        memory_peak bigint, memory_now bigint, memory_limit bigint, cpu blob,
        PRIMARY KEY ((container), resolution, kind, start, source)
    ) WITH gc_grace_seconds = 86400",
        "CREATE TABLE IF NOT EXISTS fact (
        container text, source blob, at bigint, recorded boolean, facts text,
        PRIMARY KEY ((container), source, at)
    )",
        "CREATE TABLE IF NOT EXISTS container (
        shard tinyint, container text,
        PRIMARY KEY ((shard), container)
    )",
        "CREATE TABLE IF NOT EXISTS active (
        day bigint, shard tinyint, container text,
        PRIMARY KEY ((day, shard), container)
    )",
        "CREATE TABLE IF NOT EXISTS horizon (resolution tinyint PRIMARY KEY, before bigint)",
        "CREATE TABLE IF NOT EXISTS recording (
        id blob PRIMARY KEY, name text, created bigint, deleted boolean
    )",
        "CREATE TABLE IF NOT EXISTS recorded (
        recording blob, container text, source blob,
        PRIMARY KEY ((recording), container, source)
    )",
        "CREATE TABLE IF NOT EXISTS host (name text PRIMARY KEY, report text)",
        "CREATE TABLE IF NOT EXISTS api_key (
        id text PRIMARY KEY, hash blob, owner text, created bigint, last_used bigint
    )",
    ],
    &["CREATE TABLE IF NOT EXISTS lease (
        id tinyint PRIMARY KEY, holder blob, fence bigint, beat bigint
    )"],
    &["CREATE TABLE IF NOT EXISTS binding (
        name text PRIMARY KEY, owner text, host text, identity text, key text, since bigint
    )"],
    &["CREATE TABLE IF NOT EXISTS issued_token (
        id text PRIMARY KEY, container text, created bigint, expires bigint, revoked boolean
    )"],
    &["CREATE TABLE IF NOT EXISTS watched (
        id tinyint, container text, owner text, host text,
        PRIMARY KEY ((id), container, owner, host)
    ) WITH gc_grace_seconds = 60"],
    &["ALTER TABLE issued_token ADD IF NOT EXISTS shared text"],
    &[],
    &["ALTER TABLE recording ADD IF NOT EXISTS upload text"],
];

/// Tables of migrations: those applied, and the process that is applying some.
const MIGRATION_TABLES: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS migration (version int PRIMARY KEY, applied bigint)",
    "CREATE TABLE IF NOT EXISTS migrating (id tinyint PRIMARY KEY, holder blob)",
];

/// The first table that is created.
const FIRST_TABLE: &str = "migration";

/// Time to live of a claim to migrate, in seconds as CQL takes it. Then another process takes over.
const CLAIM_TTL: i32 = 120;

/// Attempts to read a table that is listed already.
const MAX_ATTEMPTS: u32 = 5;
/// Delay between attempts, and between looks at the claim of another process.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// Latest version that this program knows.
pub(super) const KNOWN: u32 = MIGRATIONS.len() as u32;

/// Number of copies of each row, and where they are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replication {
    /// So many copies in one data centre.
    Simple(u8),
    /// So many copies in each of these data centres.
    Centres(Vec<(String, u8)>),
}

/// Text that is not a replication.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is neither a number of copies, as in 3, nor one for each data centre, as in east=3,west=3"
)]
pub struct InvalidReplication(String);

impl std::str::FromStr for Replication {
    type Err = InvalidReplication;

    fn from_str(text: &str) -> Result<Self, InvalidReplication> {
        let invalid = || InvalidReplication(text.to_owned());
        let count = |text: &str| text.parse().ok().filter(|n: &u8| (1..=9).contains(n));
        if let Some(copies) = count(text) {
            return Ok(Self::Simple(copies));
        }
        let plain = |name: &str| {
            let good = |c: char| c.is_ascii_alphanumeric() || "-_".contains(c);
            !name.is_empty() && name.chars().all(good)
        };
        let centres = text.split(',').map(|part| {
            let (name, copies) = part.split_once('=')?;
            Some((name.to_owned(), count(copies)?)).filter(|_| plain(name))
        });
        let centres: Option<Vec<_>> = centres.collect();
        centres.map(Self::Centres).ok_or_else(invalid)
    }
}

impl Replication {
    fn cql(&self) -> String {
        match self {
            Self::Simple(copies) => {
                format!("{{'class': 'SimpleStrategy', 'replication_factor': '{copies}'}}")
            }
            Self::Centres(centres) => {
                let each = |(name, copies): &(String, u8)| format!(", '{name}': '{copies}'");
                let all: String = centres.iter().map(each).collect();
                format!("{{'class': 'NetworkTopologyStrategy'{all}}}")
            }
        }
    }
}

/// Creates the keyspace if it does not exist, and uses it.
pub(super) async fn create(
    cql: &Cql,
    keyspace: &str,
    replication: &Replication,
) -> Result<(), StoreError> {
    let replication = replication.cql();
    cql.define(&format!(
        "CREATE KEYSPACE IF NOT EXISTS {keyspace} WITH replication = {replication}"
    ))
    .await?;
    cql.enter_keyspace(keyspace).await
}

/// The version of the schema; 0 if there are no tables yet. Uses the keyspace from now on.
pub(super) async fn version(cql: &Cql, keyspace: &str) -> Result<u32, StoreError> {
    let tables: Vec<(String,)> = cql
        .rows(
            "look for the schema",
            "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ? AND table_name = 'migration'",
            (keyspace,),
        )
        .await?;
    if tables.is_empty() {
        return Ok(0);
    }
    cql.enter_keyspace(keyspace).await?;
    let versions = versions(cql).await?;
    let latest = versions.into_iter().map(|(version,)| version).max();
    Ok(latest.and_then(|n| u32::try_from(n).ok()).unwrap_or(0))
}

/// The migrations that were applied. A table that another process has just created is listed a
/// moment before every node knows it, hence the retries.
async fn versions(cql: &Cql) -> Result<Vec<(i32,)>, StoreError> {
    let mut attempts = 0;
    loop {
        let versions = cql
            .rows(
                "read the version of the schema",
                "SELECT version FROM migration",
                (),
            )
            .await;
        attempts += 1;
        if versions.is_ok() || attempts == MAX_ATTEMPTS {
            return versions;
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}

/// Migrates the tables to version `to`, and returns the version that they had. Of two processes
/// one waits for the other.
pub(super) async fn migrate(cql: &Cql, keyspace: &str, to: u32) -> Result<u32, StoreError> {
    let found = version(cql, keyspace).await?;
    if found > KNOWN {
        return Err(StoreError::NewerSchema {
            found,
            known: KNOWN,
        });
    }
    if found >= to {
        return Ok(found);
    }
    if found == 0 {
        refuse_others(cql, keyspace).await?;
    }
    for table in MIGRATION_TABLES {
        cql.define(table).await?;
    }
    let me = SourceId(rand::random());
    while !claim(cql, me).await? {
        info!("another process changes the schema: waiting for it");
        tokio::time::sleep(RETRY_DELAY).await;
    }
    let applied = apply(cql, keyspace, to).await;
    let released = cql
        .write_if(
            "release the schema",
            "DELETE FROM migrating WHERE id = 0 IF holder = ?",
            (blob(&me.0),),
        )
        .await;
    applied?;
    released?;
    Ok(found)
}

/// Refuses a keyspace with other tables: another program's may have the names of ours.
pub(super) async fn refuse_others(cql: &Cql, keyspace: &str) -> Result<(), StoreError> {
    let doing = "look for other tables";
    let query = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
    let tables: Vec<(String,)> = cql.rows(doing, query, (keyspace,)).await?;
    let begun = tables.iter().any(|(name,)| name == FIRST_TABLE);
    if begun || tables.is_empty() {
        return Ok(());
    }
    let has = |table: &str| tables.iter().any(|(name,)| name == table);
    Err(StoreError::ForeignKeyspace {
        keyspace: keyspace.to_owned(),
        // Its `bc_db.py init` makes these among others.
        python: has("dbschema") || (has("cpu_all") && has("io_all")),
    })
}

/// Claims the right to migrate; `false` if another process has it.
async fn claim(cql: &Cql, me: SourceId) -> Result<bool, StoreError> {
    cql.write_if(
        "claim the schema",
        "INSERT INTO migrating (id, holder) VALUES (0, ?) IF NOT EXISTS USING TTL ?",
        (blob(&me.0), CLAIM_TTL),
    )
    .await
}

async fn apply(cql: &Cql, keyspace: &str, to: u32) -> Result<(), StoreError> {
    // A process that held the claim before may have applied some.
    let found = version(cql, keyspace).await?;
    for version in found + 1..=to {
        for statement in MIGRATIONS[version as usize - 1] {
            cql.define(statement).await?;
        }
        cql.write(
            "note the version of the schema",
            "INSERT INTO migration (version, applied) VALUES (?, ?)",
            (version.cast_signed(), number(clock::now())),
        )
        .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use sha2::{Digest as _, Sha256};

    use super::MIGRATIONS;

    #[test]
    fn released_migrations_are_unchanged() {
        let digest = |statements: &&[&str]| {
            let text = statements.join(";");
            hex::encode(&Sha256::digest(text)[..8])
        };
        let digests: Vec<String> = MIGRATIONS.iter().map(digest).collect();
        let released = [
            "668429b3159f343c",
            "2ee2a74519ffe42e",
            "2bd3212e0b60705f",
            "f1c8379805df3ccc",
            "bccdb8c13d181035",
            "10c338c108dc6a96",
            "e3b0c44298fc1c14",
            "1d706c7fe39ed455",
        ];
        assert_eq!(digests, released);
    }
}
