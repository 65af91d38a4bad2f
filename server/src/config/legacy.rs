//! Environment variables of the Python system: those that still work, and a warning for
//! those that have no effect.

use anyhow::{Context, Result};

use super::store::StoreSetting;
use crate::store::cassandra::address::Address;

/// The secret of the tokens, if BUBBLE_SECRET is not set.
pub(super) const SECRET: &str = "AUTH_SECRET";

/// The keyspace, if CASSANDRA_CLUSTER is not set.
const KEYSPACE: &str = "bubble";

/// Prefixes of variables without effect, and what to know instead.
const UNUSED: [(&str, &str); 4] = [
    (
        "RABBITMQ_",
        "the server takes posts without RabbitMQ, which is for `retention` alone",
    ),
    (
        "INFLUXDB_",
        "this version stores in SQLite or in Cassandra, and nothing in InfluxDB",
    ),
    (
        "BC_",
        "the settings of this version are listed by `bubble-server serve --help`",
    ),
    ("REDIS_", "this version uses no Redis"),
];

/// The store that the variables name, if any: CASSANDRA_HOST has the hosts,
/// CASSANDRA_CLUSTER the keyspace.
///
/// # Errors
/// When the hosts or the keyspace are invalid.
pub(super) fn store(
    variable: impl Fn(&'static str) -> Option<String>,
) -> Result<Option<StoreSetting>> {
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
    Ok(Some(StoreSetting::Cassandra(address)))
}

/// One sentence for each family of variables without effect that occurs in `names`.
pub fn warnings(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort();
    let warnings = UNUSED.iter().filter_map(|(prefix, instead)| {
        let set: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| name.starts_with(prefix))
            .collect();
        (!set.is_empty()).then(|| format!("{} is not used: {instead}", set.join(", ")))
    });
    warnings.collect()
}

#[cfg(test)]
mod tests {
    use super::store;

    #[test]
    fn the_old_variables_name_a_cassandra() {
        let of = |host: &str, cluster: &str| {
            let store = store(|name| {
                let host_asked = name == "CASSANDRA_HOST";
                Some(if host_asked { host } else { cluster }.to_owned())
            });
            store.map(|store| store.map(|store| store.to_string()))
        };
        let named = |store: &str| Some(store.to_owned());
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
