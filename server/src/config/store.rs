//! Which store, as people write it: `sqlite`, or `cassandra:HOST[:PORT],…/KEYSPACE`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use crate::store::cassandra::address::{Address, InvalidAddress};

/// The store of a server.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum StoreSetting {
    /// SQLite: one file in the data directory.
    #[default]
    Sqlite,
    /// A Cassandra cluster.
    Cassandra(Address),
}

/// Text that names no store.
#[derive(Debug, thiserror::Error)]
pub enum InvalidStore {
    /// Of an unknown kind.
    #[error("unknown store {0:?}: expected sqlite or cassandra:HOST[:PORT],…/KEYSPACE")]
    Kind(String),
    /// Of an unknown kind, or SQLite without its directory.
    #[error("unknown store {0:?}: expected sqlite:DIRECTORY or cassandra:HOST[:PORT],…/KEYSPACE")]
    Location(String),
    /// Cassandra at an invalid address.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
}

impl FromStr for StoreSetting {
    type Err = InvalidStore;

    fn from_str(text: &str) -> Result<Self, InvalidStore> {
        match text.split_once(':') {
            None if text == "sqlite" => Ok(Self::Sqlite),
            Some(("cassandra", address)) => Ok(Self::Cassandra(address.parse()?)),
            _ => Err(InvalidStore::Kind(text.to_owned())),
        }
    }
}

impl fmt::Display for StoreSetting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite => f.write_str("sqlite"),
            Self::Cassandra(address) => write!(f, "cassandra:{address}"),
        }
    }
}

/// A store with its location, for commands that name two of them:
/// `sqlite:DIRECTORY`, or `cassandra:HOST[:PORT],…/KEYSPACE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreLocation {
    /// The data directory of a server.
    Sqlite(PathBuf),
    /// A Cassandra cluster.
    Cassandra(Address),
}

impl FromStr for StoreLocation {
    type Err = InvalidStore;

    fn from_str(text: &str) -> Result<Self, InvalidStore> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("cassandra", address)) => Ok(Self::Cassandra(address.parse()?)),
            _ => Err(InvalidStore::Location(text.to_owned())),
        }
    }
}

impl fmt::Display for StoreLocation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Cassandra(address) => write!(f, "cassandra:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{StoreLocation, StoreSetting};

    #[test]
    fn a_store_to_copy_says_where_it_is() {
        let read = |text: &str| text.parse().map(|at: StoreLocation| at.to_string()).ok();
        for good in ["sqlite:/var/lib/bubble", "cassandra:db1:1/k"] {
            assert_eq!(read(good).as_deref(), Some(good));
        }
        for wrong in ["", "sqlite", "sqlite:", "cassandra:db1", "/var/lib/bubble"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_store_is_written_as_it_is_read() {
        let read = |text: &str| text.parse().map(|at: StoreSetting| at.to_string()).ok();
        assert_eq!(read("sqlite").as_deref(), Some("sqlite"));
        assert_eq!(
            read("cassandra:db1,db2:1/k").as_deref(),
            Some("cassandra:db1:9042,db2:1/k")
        );
        for wrong in ["", "sqlite:", "cassandra", "cassandra:db1", "mysql:db1/k"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
