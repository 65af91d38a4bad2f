//! What can go wrong in a store, in words that no backend owns.

use std::error::Error;

/// Why a store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database refused or could not be reached; trying again may help.
    #[error("cannot {doing}: {source}")]
    Database {
        /// What was being done.
        doing: &'static str,
        /// What the backend's driver said.
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
    /// The store was made by an earlier version of this program, or is not made yet.
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
    /// Another server changed meanwhile what was to be changed; what it was made from is still there.
    #[error("another server changed this at the same time")]
    Conflict,
    /// Something in the store is not what this program writes.
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
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}

/// Says what was being done when a backend, its driver or the system refused.
pub(super) fn failed<E: Error + Send + Sync + 'static>(
    doing: &'static str,
) -> impl Fn(E) -> StoreError {
    move |source| StoreError::Database {
        doing,
        source: Box::new(source),
    }
}
