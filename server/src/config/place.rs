//! Where segments are kept, as people write it: `sqlite`, or `cassandra:HOST[:PORT],…/KEYSPACE`.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use anyhow::{Context, Result};
use serde::Deserialize;

use crate::store::cassandra::address::{Address, InvalidAddress};

/// The keyspace, where the old variables name none.
const KEYSPACE: &str = "bubble";

/// Where segments are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default, Deserialize)]
#[serde(try_from = "String")]
pub enum Place {
    /// In one file of the data directory.
    #[default]
    Sqlite,
    /// On a cluster.
    Cassandra(Address),
}

/// Text that names no store.
#[derive(Debug, thiserror::Error)]
pub enum InvalidPlace {
    /// Of no kind that there is.
    #[error("{0:?} is no store: write sqlite or cassandra:HOST[:PORT],…/KEYSPACE")]
    Kind(String),
    /// Of no kind that there is, or without where it is.
    #[error("{0:?} is no store: write sqlite:DIRECTORY or cassandra:HOST[:PORT],…/KEYSPACE")]
    Whole(String),
    /// Cassandra, but nowhere.
    #[error(transparent)]
    Address(#[from] InvalidAddress),
}

impl FromStr for Place {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        match text.split_once(':') {
            None if text == "sqlite" => Ok(Self::Sqlite),
            Some(("cassandra", address)) => Ok(Self::Cassandra(address.parse()?)),
            _ => Err(InvalidPlace::Kind(text.to_owned())),
        }
    }
}

impl TryFrom<String> for Place {
    type Error = InvalidPlace;

    fn try_from(text: String) -> Result<Self, InvalidPlace> {
        text.parse()
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite => f.write_str("sqlite"),
            Self::Cassandra(address) => write!(f, "cassandra:{address}"),
        }
    }
}

/// A store with all that it takes to find it, for commands that name two:
/// `sqlite:DIRECTORY`, or `cassandra:HOST[:PORT],…/KEYSPACE`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Whole {
    /// The data directory of a server.
    Sqlite(PathBuf),
    /// On a cluster.
    Cassandra(Address),
}

impl FromStr for Whole {
    type Err = InvalidPlace;

    fn from_str(text: &str) -> Result<Self, InvalidPlace> {
        match text.split_once(':') {
            Some(("sqlite", path)) if !path.is_empty() => Ok(Self::Sqlite(path.into())),
            Some(("cassandra", address)) => Ok(Self::Cassandra(address.parse()?)),
            _ => Err(InvalidPlace::Whole(text.to_owned())),
        }
    }
}

impl fmt::Display for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Cassandra(address) => write!(f, "cassandra:{address}"),
        }
    }
}

impl Place {
    /// That which the Python system's variables name, if they do: CASSANDRA_HOST has
    /// the hosts, CASSANDRA_CLUSTER the keyspace.
    ///
    /// # Errors
    /// When they name no hosts, or no keyspace.
    pub fn of_legacy(variable: impl Fn(&'static str) -> Option<String>) -> Result<Option<Self>> {
        let set = |name| variable(name).filter(|text| !text.is_empty());
        let Some(hosts) = set("CASSANDRA_HOST") else {
            return Ok(None);
        };
        let keyspace = set("CASSANDRA_CLUSTER").unwrap_or_else(|| KEYSPACE.to_owned());
        let address = Address::new(&hosts, &keyspace).with_context(|| {
            format!(
                "CASSANDRA_HOST={hosts:?} and CASSANDRA_CLUSTER={keyspace:?} must be HOST[:PORT],… \
                 and a keyspace in small letters, digits and _; or give --store"
            )
        })?;
        Ok(Some(Self::Cassandra(address)))
    }
}

#[cfg(test)]
mod tests {
    use super::{Place, Whole};

    #[test]
    fn a_store_to_copy_says_where_it_is() {
        let read = |text: &str| text.parse::<Whole>().map(|place| place.to_string()).ok();
        for good in ["sqlite:/var/lib/bubble", "cassandra:db1:1/k"] {
            assert_eq!(read(good).as_deref(), Some(good));
        }
        for wrong in ["", "sqlite", "sqlite:", "cassandra:db1", "/var/lib/bubble"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_store_is_written_as_it_is_read() {
        let read = |text: &str| text.parse::<Place>().map(|place| place.to_string()).ok();
        assert_eq!(read("sqlite").as_deref(), Some("sqlite"));
        assert_eq!(
            read("cassandra:db1,db2:1/k").as_deref(),
            Some("cassandra:db1:9042,db2:1/k")
        );
        for wrong in ["", "sqlite:", "cassandra", "cassandra:db1", "mysql:db1/k"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn the_old_variables_name_a_cassandra() {
        let of = |host: &str, cluster: &str| {
            let of = Place::of_legacy(|name| {
                let value = if name == "CASSANDRA_HOST" {
                    host
                } else {
                    cluster
                };
                Some(value.to_owned())
            });
            of.map(|place| place.map(|place| place.to_string()))
        };
        let named = |place: &str| Some(place.to_owned());
        assert_eq!(of("", "sysdig").ok(), Some(None));
        assert_eq!(
            of("10.0.0.9", "sysdig").ok(),
            Some(named("cassandra:10.0.0.9:9042/sysdig"))
        );
        assert_eq!(
            of("db1,db2", "").ok(),
            Some(named("cassandra:db1:9042,db2:9042/bubble"))
        );
        assert!(of("db1", "Not This").is_err());
    }
}
