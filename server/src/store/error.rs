//! Errors of a store, independent of its backend.

use std::error::Error;

/// Why an operation on a store failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or could not be reached. A retry may help.
    #[error("cannot {doing}: {source}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// Error of the backend's driver.
        source: Box<dyn Error + Send + Sync>,
    },
    /// The store was made by a later version of this program.
    #[error(
        "the store has schema version {found}, this program knows up to {known}: use the newer program"
    )]
    NewerSchema {
        /// Version in the store.
        found: u32,
        /// Latest that this program knows.
        known: u32,
    },
    /// The store was made by an earlier version of this program, or does not exist yet.
    #[error(
        "the store has schema version {found}, this program needs {known}: run `bubble-server db {}` first",
        if *found == 0 { "init" } else { "upgrade" }
    )]
    OlderSchema {
        /// Version in the store; 0 when there are no tables.
        found: u32,
        /// What this program needs.
        known: u32,
    },
    /// The keyspace belongs to another program.
    #[error(
        "the keyspace {keyspace} holds tables of another program{}: choose another one, such as {keyspace}_bubble, \
         with CASSANDRA_CLUSTER or --store, and run `bubble-server db init` for it; the tables in {keyspace} stay as they are",
        if *python { " (the Python system)" } else { "" }
    )]
    ForeignKeyspace {
        /// The keyspace.
        keyspace: String,
        /// Whether its tables are those of the Python system.
        python: bool,
    },
    /// Another server changed the same rows meanwhile. Nothing was replaced.
    #[error("another server changed this at the same time")]
    Conflict,
    /// The store holds something that this program does not write.
    #[error("the store holds {what}, which this program did not write")]
    Corrupt {
        /// What was found.
        what: String,
    },
    /// Another server uses the same data directory.
    #[error(
        "another bubble-server uses {path}: stop it first, or give this one another directory with --data"
    )]
    InUse {
        /// The data directory.
        path: String,
    },
    /// The disk is full.
    #[error("the file system of {path} is full: free some space, or make it larger")]
    Full {
        /// The data directory.
        path: String,
    },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

/// Adds what was being done to an error of the backend, its driver or the system.
pub(super) fn failed<E: Error + Send + Sync + 'static>(
    doing: &'static str,
) -> impl Fn(E) -> StoreError {
    move |source| StoreError::Database {
        doing,
        source: Box::new(source),
    }
}
