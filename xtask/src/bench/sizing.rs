//! What a site of so many hosts takes: a model, whose parameters were measured by the other benchmarks.
//!
//! Each parameter is a flag; its help says which command measures it. The defaults are what
//! docs/benchmarks.md has.

use anyhow::Result;
use clap::Parser;
use serde_json::Map;

use super::{Report, row::Row};

const DAY: f64 = 86_400.0;
const HOUR: f64 = 3_600.0;

/// Cores, disk, nodes and network of a site, from what was measured
#[derive(Debug, Parser)]
#[command(name = "sizing", bin_name = "cargo xtask bench sizing --")]
struct Flags {
    /// Sizes of sites
    #[arg(long, value_name = "N,…", value_delimiter = ',', default_values_t = [100, 1_000, 10_000])]
    hosts: Vec<u32>,
    /// Containers that run on a host
    #[arg(long, default_value_t = 30.0)]
    containers: f64,
    /// Percent of them that are busy: 20 processes, 30 files, 10 peers; the others are quiet
    #[arg(long, default_value_t = 20.0)]
    busy: f64,
    /// Copies of everything
    #[arg(long, default_value_t = 3.0)]
    replication: f64,
    /// Days for which days are kept (the rest by default: seconds 1 h, minutes 2 d, hours 120 d)
    #[arg(long, default_value_t = 365.0)]
    days: f64,
    /// Percent of its cores that a machine uses, and of its disk that is filled, when it is well
    #[arg(long, default_value_t = 50.0)]
    load: f64,
    /// Cores of a server or a node
    #[arg(long, default_value_t = 8.0)]
    cores: f64,
    /// Disk of a node, GB
    #[arg(long, default_value_t = 1_000.0)]
    disk: f64,
    /// Bytes of a posted container-second, busy and quiet: `bench segment`, size-batch
    #[arg(long, num_args = 2, default_values_t = POSTED)]
    posted: Vec<f64>,
    /// Bytes of a packed slot of a second, busy and quiet: `bench segment`, size-packed
    #[arg(long, num_args = 2, default_values_t = SECOND)]
    second: Vec<f64>,
    /// Of a minute: `bench rollup -- --percent 1 --slots 1 --case 1h`, 1h-bytes-of-minute
    #[arg(long, num_args = 2, default_values_t = MINUTE)]
    minute: Vec<f64>,
    /// Of an hour, alone in its row, which is an upper bound: 1h-bytes-of-hour
    #[arg(long, num_args = 2, default_values_t = HOURS)]
    hour: Vec<f64>,
    /// Of a day, likewise: 1h-bytes-of-day
    #[arg(long, num_args = 2, default_values_t = DAYS)]
    day: Vec<f64>,
    /// What Cassandra's files take for a byte of a packed row: `bench store`, disk-of-1s, by size-packed
    #[arg(long, default_value_t = STORED)]
    stored: f64,
    /// A server's µs to take in a container-second, busy and quiet: `bench store`, in-…, cassandra-server-cpu
    #[arg(long, num_args = 2, default_values_t = TAKEN)]
    taken: Vec<f64>,
    /// Cassandra's µs for it, all copies in one: in-…, cassandra-node-cpu
    #[arg(long, num_args = 2, default_values_t = WRITTEN)]
    written: Vec<f64>,
    /// A worker's µs to roll up a container-second, one in ten busy: the same, 1-workers-cpu
    #[arg(long, default_value_t = ROLLED)]
    rolled: f64,
    /// Cassandra's µs for it: 1-workers-node-cpu
    #[arg(long, default_value_t = REPLACED)]
    replaced: f64,
}

// Measured: see docs/benchmarks.md.
const POSTED: [f64; 2] = [1_235.0, 314.0];
const SECOND: [f64; 2] = [249.0, 56.0];
const MINUTE: [f64; 2] = [627.0, 99.0];
const HOURS: [f64; 2] = [2_418.0, 693.0];
const DAYS: [f64; 2] = [2_410.0, 685.0];
const STORED: f64 = 1.0;
const TAKEN: [f64; 2] = [62.0, 49.0];
const WRITTEN: [f64; 2] = [219.0, 201.0];
const ROLLED: f64 = 60.0;
const REPLACED: f64 = 233.0;

/// What a site takes.
#[derive(Debug, PartialEq)]
struct Site {
    /// Container-seconds in a second.
    rate: f64,
    /// Cores of all servers, and how many machines.
    server_cores: f64,
    servers: f64,
    /// Cores of all nodes, and how many machines.
    node_cores: f64,
    nodes: f64,
    /// Bytes on the disks after a year, all copies.
    disk: f64,
    /// Bits a second from all agents, and from servers to nodes and between them.
    posted: f64,
    stored: f64,
}

pub(super) fn run(report: &mut Report<'_>, arguments: &[String]) -> Result<()> {
    let flags: Flags = super::flags("sizing", arguments);
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
            ("network-in", site.posted / 1e6, "Mbit/s"),
            ("network-of-store", site.stored / 1e6, "Mbit/s"),
        ];
        for (variant, value, unit) in rows {
            report(Row {
                bench: "sizing".to_owned(),
                case: format!("{hosts}-hosts"),
                variant: variant.to_owned(),
                value,
                unit: unit.to_owned(),
                more: Map::new(),
            })?;
        }
    }
    Ok(())
}

impl Flags {
    /// Of busy and quiet containers, as many as there are.
    fn mixed(&self, both: &[f64]) -> f64 {
        let busy = self.busy / 100.0;
        both[0] * busy + both[1] * (1.0 - busy)
    }

    fn site(&self, hosts: f64) -> Site {
        let containers = hosts * self.containers;
        // A container is one container-second a second.
        let rate = containers;
        let load = self.load / 100.0;
        let server_cores = rate * (self.mixed(&self.taken) + self.rolled) / 1e6;
        let node_us = self.mixed(&self.written) + self.replaced;
        let node_cores = rate * node_us * self.replication / 1e6;
        // As long as Cassandra keeps it: the span, the margin and a window of compaction beyond what is asked for.
        let kept = [
            (&self.second, 1.0, 2.0 * HOUR + 660.0),
            (&self.minute, 60.0, 2.0 * DAY + 5.0 * HOUR),
            (&self.hour, HOUR, 126.0 * DAY + HOUR),
            (&self.day, DAY, self.days * DAY),
        ];
        let slots = kept
            .iter()
            .map(|(bytes, length, kept)| self.mixed(bytes) * kept / length);
        let disk = containers * slots.sum::<f64>() * self.stored * self.replication;
        let by_cores = node_cores / (self.cores * load);
        let by_disk = disk / (self.disk * 1e9 * load);
        let posted = rate * self.mixed(&self.posted) * 8.0;
        // Each posted segment is written, read once to be packed, and written packed.
        let packed = rate * self.mixed(&self.second) * 8.0;
        Site {
            rate,
            server_cores,
            // One may be down.
            servers: (server_cores / (self.cores * load)).ceil() + 1.0,
            node_cores,
            nodes: by_cores.max(by_disk).ceil().max(self.replication),
            disk,
            posted,
            stored: (posted + packed) * self.replication + posted,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory as _, Parser as _};

    use super::Flags;

    #[test]
    fn a_site_is_as_large_as_what_it_is_made_of() {
        Flags::command().debug_assert();
        let words = "x --containers 10 --busy 50 --taken 30 10 --rolled 20 --written 60 20 --replaced 10 \
            --second 200 100 --minute 0 0 --hour 0 0 --day 0 0 --stored 2 --posted 400 200";
        let flags = Flags::try_parse_from(words.split_whitespace()).expect("flags");
        let site = flags.site(1_000.0);
        // 10,000 container-seconds a second, at 20 + 20 and (40 + 10) × 3 µs.
        assert!((site.server_cores - 0.4).abs() < 1e-9);
        assert_eq!((site.servers, site.nodes), (2.0, 3.0));
        assert!((site.node_cores - 1.5).abs() < 1e-9);
        // Seconds alone: 150 bytes, twice, three copies, 7,860 s.
        assert!((site.disk - 10_000.0 * 150.0 * 2.0 * 3.0 * 7_860.0).abs() < 1.0);
        assert!((site.posted - 10_000.0 * 300.0 * 8.0).abs() < 1e-3);
    }
}
