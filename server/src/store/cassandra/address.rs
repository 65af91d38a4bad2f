//! Addresses of Cassandra: `HOST[:PORT],…/KEYSPACE`.

use std::fmt;
use std::str::FromStr;

/// Default port of CQL.
const DEFAULT_PORT: u16 = 9_042;

/// Longest name of a keyspace that Cassandra allows.
const MAX_KEYSPACE_LEN: usize = 48;

/// Contact points, from which the driver finds the other nodes, and the keyspace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `HOST:PORT` each.
    pub hosts: Vec<String>,
    /// A name of lower-case letters, digits and `_`.
    pub keyspace: String,
}

/// Text that is not an address of Cassandra.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not HOST[:PORT],…/KEYSPACE, as in db1,db2:9042/bubble")]
pub struct InvalidAddress(String);

impl FromStr for Address {
    type Err = InvalidAddress;

    fn from_str(text: &str) -> Result<Self, InvalidAddress> {
        let invalid = || InvalidAddress(text.to_owned());
        let (hosts, keyspace) = text.rsplit_once('/').ok_or_else(invalid)?;
        Self::new(hosts, keyspace).ok_or_else(invalid)
    }
}

impl Address {
    /// Parses a list of hosts and the name of a keyspace; `None` if one of them is invalid.
    pub fn new(hosts: &str, keyspace: &str) -> Option<Self> {
        let hosts: Option<Vec<String>> =
            hosts.split(',').map(|host| host_of(host.trim())).collect();
        let name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
        let first = keyspace.starts_with(|c: char| c.is_ascii_lowercase());
        let good = first && keyspace.len() <= MAX_KEYSPACE_LEN && keyspace.chars().all(name);
        Some(Self {
            hosts: hosts.filter(|_| good)?,
            keyspace: keyspace.to_owned(),
        })
    }
}

fn host_of(text: &str) -> Option<String> {
    let host = |c: char| c.is_ascii_alphanumeric() || "-._:[]".contains(c);
    if text.is_empty() || !text.chars().all(host) {
        return None;
    }
    // An IPv6 address with a port is in brackets; without one it has more than one colon.
    let named = text.rsplit_once(':').filter(|(front, port)| {
        port.parse::<u16>().is_ok() && (!front.contains(':') || front.ends_with(']'))
    });
    match named {
        Some(_) => Some(text.to_owned()),
        None if text.contains(':') && !text.starts_with('[') => {
            text.parse::<std::net::Ipv6Addr>().ok()?;
            Some(format!("[{text}]:{DEFAULT_PORT}"))
        }
        None => Some(format!("{text}:{DEFAULT_PORT}")),
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.hosts.join(","), self.keyspace)
    }
}

#[cfg(test)]
mod tests {
    use super::Address;

    #[test]
    fn hosts_have_ports_and_keyspaces_names() {
        let read = |text: &str| {
            text.parse::<Address>()
                .map(|address| address.to_string())
                .ok()
        };
        assert_eq!(
            read("db1, 10.0.0.2:19042,::1,[::1]:1/bubble").as_deref(),
            Some("db1:9042,10.0.0.2:19042,[::1]:9042,[::1]:1/bubble")
        );
        for wrong in [
            "db1", "/k", "db1/", "db1/K", "db1/k;", "a b/k", "db:x/k", "db1,/k", "db1/1",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
