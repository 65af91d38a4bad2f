//! Cores, disk, nodes and network of a site: a model with parameters that the other benchmarks
//! measure.
//!
//! Each parameter is a flag, and its help names the command that measures it. The defaults are the
//! values in docs/benchmarks.md.

use anyhow::Result;
use clap::Parser;
use serde_json::Map;

use super::example::Report;
use super::row::Row;

const DAY: f64 = 86_400.0;
const HOUR: f64 = 3_600.0;

/// Compute cores, disk, nodes and network of a site from measured parameters
#[derive(Debug, Parser)]
#[command(name = "sizing", bin_name = "cargo xtask bench sizing --")]
struct Flags {
    /// Numbers of hosts
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [100, 1_000, 10_000])]
    hosts: Vec<u32>,
    /// Running containers per host
    #[arg(long, default_value_t = 30.0)]
    containers: f64,
    /// Percent of busy containers (20 processes, 30 files, 10 peers); the others are quiet
    #[arg(long, default_value_t = 20.0)]
    busy: f64,
    /// Replicas of each row
    #[arg(long, default_value_t = 3.0)]
    replication: f64,
    /// Retention of days, in days (the others have their defaults: seconds 1 h, minutes 2 d, hours
    /// 120 d)
    #[arg(long, default_value_t = 365.0)]
    days: f64,
    /// Percent of its cores and of its disk that a healthy machine uses
    #[arg(long, default_value_t = 50.0)]
    load: f64,
    /// Cores of a server or a node
    #[arg(long, default_value_t = 8.0)]
    cores: f64,
    /// Disk of a node, in GB
    #[arg(long, default_value_t = 1_000.0)]
    disk: f64,
    /// Bytes of a posted container-second, busy and quiet: `bench segment`, size-batch
    #[arg(long, num_args = 2, default_values_t = POSTED_BYTES)]
    posted: Vec<f64>,
    /// Bytes of a packed slot of a second, busy and quiet: `bench segment`, size-packed
    #[arg(long, num_args = 2, default_values_t = SECOND_BYTES)]
    second: Vec<f64>,
    /// The same of a minute: `bench rollup -- --percent 1 --slots 1 --case 1h`, 1h-bytes-of-minute
    #[arg(long, num_args = 2, default_values_t = MINUTE_BYTES)]
    minute: Vec<f64>,
    /// The same of an hour, alone in its row, which is an upper bound: 1h-bytes-of-hour
    #[arg(long, num_args = 2, default_values_t = HOUR_BYTES)]
    hour: Vec<f64>,
    /// The same of a day, alone in its row: 1h-bytes-of-day
    #[arg(long, num_args = 2, default_values_t = DAY_BYTES)]
    day: Vec<f64>,
    /// Bytes of Cassandra's files per byte of a packed row: `bench store`, disk-of-1s, by
    /// size-packed
    #[arg(long, default_value_t = STORED_PER_PACKED_BYTE)]
    stored: f64,
    /// A server's µs to ingest a container-second, busy and quiet: `bench store`, in-…,
    /// cassandra-server-cpu
    #[arg(long, num_args = 2, default_values_t = INGEST_US)]
    taken: Vec<f64>,
    /// Cassandra's µs to ingest it, with one replica: in-…, cassandra-node-cpu
    #[arg(long, num_args = 2, default_values_t = NODE_INGEST_US)]
    written: Vec<f64>,
    /// A worker's µs to roll up a container-second, one in ten busy: the same, 1-workers-cpu
    #[arg(long, default_value_t = ROLLUP_US)]
    rolled: f64,
    /// Cassandra's µs to roll it up: 1-workers-node-cpu
    #[arg(long, default_value_t = NODE_ROLLUP_US)]
    replaced: f64,
}

// The measured values of docs/benchmarks.md. Pairs are of busy and quiet containers.
const POSTED_BYTES: [f64; 2] = [1_338.0, 345.0];
const SECOND_BYTES: [f64; 2] = [278.0, 63.0];
const MINUTE_BYTES: [f64; 2] = [627.0, 99.0];
const HOUR_BYTES: [f64; 2] = [2_418.0, 693.0];
const DAY_BYTES: [f64; 2] = [2_410.0, 685.0];
const STORED_PER_PACKED_BYTE: f64 = 1.0;
const INGEST_US: [f64; 2] = [62.0, 49.0];
const NODE_INGEST_US: [f64; 2] = [219.0, 201.0];
const ROLLUP_US: f64 = 60.0;
const NODE_ROLLUP_US: f64 = 233.0;

/// The resources of a site.
#[derive(Debug, PartialEq)]
struct Site {
    /// Container-seconds per second.
    rate: f64,
    /// Cores in use on all servers, and the number of servers.
    server_cores: f64,
    servers: f64,
    /// Cores in use on all nodes, and the number of nodes.
    node_cores: f64,
    nodes: f64,
    /// Bytes of all replicas after a year.
    disk: f64,
    /// Bits per second from all agents.
    posted_bits: f64,
    /// Bits per second from the servers to the nodes, and between the nodes.
    stored_bits: f64,
}

pub(super) fn run(report: &mut Report<'_>, arguments: &[String]) -> Result<()> {
    let flags: Flags = super::example::flags("sizing", arguments);
    for hosts in &flags.hosts {
        let site = flags.site(f64::from(*hosts));
        let rows = [
            ("rate", site.rate, "container-seconds/s"),
            ("server-cores", site.server_cores, "cores in use"),
            ("servers", site.servers, "machines"),
            ("node-cores", site.node_cores, "cores in use"),
            ("nodes", site.nodes, "machines"),
            ("disk", site.disk / 1e9, "GB after a year"),
            (
                "disk-of-node",
                site.disk / site.nodes / 1e9,
                "GB after a year",
            ),
            ("network-in", site.posted_bits / 1e6, "Mbit/s"),
            ("network-of-store", site.stored_bits / 1e6, "Mbit/s"),
        ];
        for (variant, value, unit) in rows {
            report(Row {
                bench: "sizing".to_owned(),
                case: format!("{hosts}-hosts"),
                variant: variant.to_owned(),
                value,
                unit: unit.to_owned(),
                extra: Map::new(),
            })?;
        }
    }
    Ok(())
}

impl Flags {
    /// The mean of a parameter over busy and quiet containers.
    fn mean(&self, busy_and_quiet: &[f64]) -> f64 {
        let busy = self.busy / 100.0;
        busy_and_quiet[0] * busy + busy_and_quiet[1] * (1.0 - busy)
    }

    fn site(&self, hosts: f64) -> Site {
        let containers = hosts * self.containers;
        // Each container makes one container-second per second.
        let rate = containers;
        let load = self.load / 100.0;
        let server_cores = rate * (self.mean(&self.taken) + self.rolled) / 1e6;
        let node_us = self.mean(&self.written) + self.replaced;
        let node_cores = rate * node_us * self.replication / 1e6;
        // Cassandra retains a row longer than asked for: by its span, a margin and a window of
        // compaction.
        let retained = [
            (&self.second, 1.0, 2.0 * HOUR + 660.0),
            (&self.minute, 60.0, 2.0 * DAY + 5.0 * HOUR),
            (&self.hour, HOUR, 126.0 * DAY + HOUR),
            (&self.day, DAY, self.days * DAY),
        ];
        let slots = retained
            .iter()
            .map(|(bytes, length, retained)| self.mean(bytes) * retained / length);
        let disk = containers * slots.sum::<f64>() * self.stored * self.replication;
        let by_cores = node_cores / (self.cores * load);
        let by_disk = disk / (self.disk * 1e9 * load);
        let posted_bits = rate * self.mean(&self.posted) * 8.0;
        // Each posted segment is written, read once to be packed, and written packed.
        let packed_bits = rate * self.mean(&self.second) * 8.0;
        Site {
            rate,
            server_cores,
            // One more, as a server may be down.
            servers: (server_cores / (self.cores * load)).ceil() + 1.0,
            node_cores,
            nodes: by_cores.max(by_disk).ceil().max(self.replication),
            disk,
            posted_bits,
            stored_bits: (posted_bits + packed_bits) * self.replication + posted_bits,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Flags;

    #[test]
    fn a_site_is_computed_from_its_parameters() {
        Flags::command().debug_assert();
        let words = "x --containers 10 --busy 50 --taken 30 10 --rolled 20 --written 60 20 --replaced 10 \
            --second 200 100 --minute 0 0 --hour 0 0 --day 0 0 --stored 2 --posted 400 200";
        let flags = Flags::try_parse_from(words.split_whitespace()).expect("flags");
        let site = flags.site(1_000.0);
        // 10,000 container-seconds per second, at 20 + 20 and (40 + 10) × 3 µs.
        assert!((site.server_cores - 0.4).abs() < 1e-9);
        assert_eq!((site.servers, site.nodes), (2.0, 3.0));
        assert!((site.node_cores - 1.5).abs() < 1e-9);
        // Only seconds: 150 bytes, stored as 300, three replicas, 7,860 s.
        assert!((site.disk - 10_000.0 * 150.0 * 2.0 * 3.0 * 7_860.0).abs() < 1.0);
        assert!((site.posted_bits - 10_000.0 * 300.0 * 8.0).abs() < 1e-3);
    }
}
