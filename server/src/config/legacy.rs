//! Variables of the Python system that mean nothing here. Whoever sets one expects
//! something of it, and is told that it does not happen.

/// Beginnings of names, and what happens instead.
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

/// One sentence for each family of variables of which `names` has some.
pub fn warnings(names: impl IntoIterator<Item = String>) -> Vec<String> {
    let mut names: Vec<String> = names.into_iter().collect();
    names.sort();
    let told = UNUSED.iter().filter_map(|(prefix, instead)| {
        let set: Vec<&str> = names
            .iter()
            .map(String::as_str)
            .filter(|name| name.starts_with(prefix))
            .collect();
        (!set.is_empty()).then(|| format!("{} is not used: {instead}", set.join(", ")))
    });
    told.collect()
}
