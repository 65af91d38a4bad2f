//! Tables, by numbered migrations. A migration that has been released is never edited.

use std::time::Duration;

use bubble_common::segment::SourceId;
use tracing::info;

use super::session::Cql;
use super::value::blob;
use crate::clock;
use crate::store::column::number;
use crate::store::error::StoreError;

/// The table of packed rows of a resolution: how long tombstones stay, and the window of compaction.
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

/// Migrations in order, each a few statements that can be done again.
///
/// - `piece` has one packed span in a partition, which is deleted when it is packed.
/// - `packed_…` have a few: see `table.rs`. Only whole files expire there, so that
///   nothing is compacted again and again: windows are a small part of the time to live.
/// - `mark` and `dirty` are the two ways to find what is dirty. A mark that comes back
///   after its tombstone is gone costs a look, so tombstones need not be kept for long.
/// - `life` and `fact` make the entry of the index: see `life.rs`.
/// - `container` has all containers, `active` those of which something is known on a
///   day; each in shards, so that no partition is hot.
/// - `lease` has one row: who rolls up.
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
];

/// The tables that say which migrations were done, and who is doing some.
const BOOKS: [&str; 2] = [
    "CREATE TABLE IF NOT EXISTS migration (version int PRIMARY KEY, applied bigint)",
    "CREATE TABLE IF NOT EXISTS migrating (id tinyint PRIMARY KEY, holder blob)",
];

/// The first table that is made.
const BEGUN: &str = "migration";

/// After so many seconds the work of one who died is taken over.
const HELD: i32 = 120;

/// How often a table that is listed is asked for, a second apart.
const TRIES: u32 = 5;

/// The version that this program knows.
pub(super) const KNOWN: u32 = MIGRATIONS.len() as u32;

/// How often what is in it is kept, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Replication {
    /// So many copies, whatever the data centre: for one of them.
    Simple(u8),
    /// So many copies in each of these data centres.
    Centres(Vec<(String, u8)>),
}

/// Text that says no replication.
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

/// Makes the keyspace, if there is none, and uses it.
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

/// The version of the schema, of which the keyspace is used from now on; 0 when there are no tables yet.
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

/// The migrations that were done. A table that another process has just made is listed a moment
/// before a node knows it.
async fn versions(cql: &Cql) -> Result<Vec<(i32,)>, StoreError> {
    let mut tries = 0;
    loop {
        let versions = cql
            .rows(
                "read the version of the schema",
                "SELECT version FROM migration",
                (),
            )
            .await;
        tries += 1;
        if versions.is_ok() || tries == TRIES {
            return versions;
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Brings the tables to version `to`; returns the version that they had. When two do it at
/// once, one waits for the other.
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
    for table in BOOKS {
        cql.define(table).await?;
    }
    let me = SourceId(rand::random());
    while !claim(cql, me).await? {
        info!("another process changes the schema: waiting for it");
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    let done = apply(cql, keyspace, to).await;
    let released = cql
        .write_if(
            "release the schema",
            "DELETE FROM migrating WHERE id = 0 IF holder = ?",
            (blob(&me.0),),
        )
        .await;
    done?;
    released?;
    Ok(found)
}

/// Another program's tables may have the names of ours.
async fn refuse_others(cql: &Cql, keyspace: &str) -> Result<(), StoreError> {
    let doing = "look for other tables";
    let query = "SELECT table_name FROM system_schema.tables WHERE keyspace_name = ?";
    let tables: Vec<(String,)> = cql.rows(doing, query, (keyspace,)).await?;
    let begun = tables.iter().any(|(name,)| name == BEGUN);
    if begun || tables.is_empty() {
        return Ok(());
    }
    let what = format!("other tables in the keyspace {keyspace}");
    Err(StoreError::Corrupt { what })
}

async fn claim(cql: &Cql, me: SourceId) -> Result<bool, StoreError> {
    cql.write_if(
        "claim the schema",
        "INSERT INTO migrating (id, holder) VALUES (0, ?) IF NOT EXISTS USING TTL ?",
        (blob(&me.0), HELD),
    )
    .await
}

async fn apply(cql: &Cql, keyspace: &str, to: u32) -> Result<(), StoreError> {
    // Who had it before may have done it.
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
