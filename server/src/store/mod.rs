//! The store: a few small traits, one for each thing that is stored, and a folder for each backend.
//!
//! | trait | what it stores | its users |
//! |---|---|---|
//! | [`Segments`] | posted segments, rows by span | ingest, query |
//! | [`Packing`] | dirty spans, packed rows | roll-up |
//! | [`Index`] | the index of containers | query |
//! | [`Recordings`] | which recordings there are, what is deleted | query, roll-up |
//! | [`Hosts`], [`Keys`] | agents' reports, API keys | ingest, HTTP |
//! | [`Bindings`] | the owner that a container or a source belongs to | ingest, HTTP |
//! | [`Tokens`] | tokens that were made or revoked | HTTP |
//! | [`Leases`] | who rolls up | roll-up |
//! | [`Attention`] | which containers somebody looks at | HTTP |
//! | [`Restore`] | what another store had | copy |
//!
//! A store knows keys, spans and bytes. It never decodes a segment: how pieces are united
//! and what a slot holds is in `span`, so a backend is little more than its statements.
//!
//! For each container and resolution there are two kinds of rows. *Packed* rows hold one
//! whole span (`Resolution::packed_seconds`) of one source. *Pieces* are what is not packed
//! yet: posted by an agent, or rolled up from the finer resolution. A span that has pieces
//! is marked *dirty* before the post is answered; packing clears the mark. So a crash at
//! any point leaves either the mark, and the work is done again, or the result.
//!
//! Architecture invariant: only the folders of backends name a database.

pub mod attention;
pub mod binding;
pub mod cassandra;
mod column;
pub mod container;
pub mod deletion;
pub mod error;
pub mod host;
pub mod index;
pub mod key;
pub mod lease;
pub mod packing;
pub mod recent;
pub mod recording;
pub mod resolve;
pub mod restore;
pub mod retained;
pub mod segments;
pub mod sqlite;
pub mod token;

use async_trait::async_trait;

use self::attention::Attention;
use self::binding::Bindings;
use self::error::StoreError;
use self::host::Hosts;
use self::index::Index;
use self::key::Keys;
use self::lease::Leases;
use self::packing::Packing;
use self::recording::Recordings;
use self::restore::Restore;
use self::segments::Segments;
use self::token::Tokens;

/// All that a backend implements. A method is atomic unless it says otherwise.
#[async_trait]
pub trait Store:
    Segments
    + Packing
    + Index
    + Recordings
    + Hosts
    + Keys
    + Bindings
    + Tokens
    + Leases
    + Attention
    + Restore
{
    /// Whether the store answers.
    async fn check(&self) -> Result<(), StoreError>;

    /// Looks for damage that is not within a row: a sentence for each.
    async fn verify(&self) -> Result<Vec<String>, StoreError> {
        Ok(Vec::new())
    }

    /// What the store takes on the disk of this machine, if it is there.
    async fn usage(&self) -> Result<Option<Usage>, StoreError> {
        Ok(None)
    }
}

/// What a store takes on the disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Usage {
    /// Stored segments.
    pub rows: u64,
    /// The database, with indices and free space.
    pub database: u64,
    /// The part of the database that is free for new rows.
    pub free: u64,
    /// The log of what is not in the database yet.
    pub log: u64,
}
