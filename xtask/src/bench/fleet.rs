//! Many hosts against one server: what they cost, and where it bends.
//!
//! The hosts are the agent's own batcher, spool and delivery in one process (`agent/examples/bench_fleet.rs`),
//! with generated containers. Server, store and hosts share this machine.

use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use clap::Parser;
use serde_json::Map;

use super::example::{Example, Report};
use super::row::Row;
use crate::build::{self, Profile, program};
use crate::command::output;
use crate::process::Process;
use crate::project;
use crate::service::{Service, free_port};
use crate::services::cassandra::{self, Schema};

/// A file system in memory, on every Linux.
const MEMORY: &str = "/dev/shm";

/// Play many hosts against a real server
#[derive(Debug, Parser)]
#[command(name = "fleet", bin_name = "cargo xtask bench fleet --")]
struct Flags {
    /// Number of hosts
    #[arg(long, default_value_t = 100)]
    hosts: u64,
    /// Running containers per host
    #[arg(long, default_value_t = 30)]
    containers: u64,
    /// Percent of busy containers (20 processes, 30 files, 10 peers); the others are quiet
    #[arg(long, default_value_t = 20)]
    busy: u64,
    /// Seconds that each host counts
    #[arg(long, default_value_t = 120)]
    seconds: u64,
    /// Store in a small node of Cassandra on this machine instead of SQLite
    #[arg(long)]
    cassandra: bool,
}

pub(super) fn run(report: &mut Report<'_>, arguments: &[String]) -> Result<()> {
    let flags: Flags = super::example::flags("fleet", arguments);
    let cluster = flags
        .cassandra
        .then(|| cassandra::up(1, Schema::Durable))
        .transpose()?;
    let measured = measure(report, &flags, cluster.as_ref());
    if let Some(cluster) = cluster {
        cluster.release()?;
    }
    measured
}

fn measure(
    report: &mut Report<'_>,
    flags: &Flags,
    cluster: Option<&cassandra::Cluster>,
) -> Result<()> {
    let programs = build::programs(Profile::Release)?;
    let folder = project::target().join("bench-fleet");
    if folder.exists() {
        // An old store would change the result.
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    let site = Site {
        program: program(&programs, "bubble-server")?,
        data: folder.join("server"),
        store: cluster.map(|cluster| {
            let hosts = cluster.hosts();
            format!("cassandra:{hosts}/bench_fleet_{}", std::process::id())
        }),
    };
    if cluster.is_some() {
        site.query(&["db", "init", "--replication", "1"])?;
    }
    let address = SocketAddr::from(([127, 0, 0, 1], free_port()?));
    let mut service = Service::start("bubble-server", site.serve(flags, address), &folder)?;
    service.wait(address, "/ping", &mut || Ok(()))?;
    let variables = [
        (
            "BUBBLE_API",
            site.query(&["key", "create", "--owner", "fleet"])?,
        ),
        ("BUBBLE_TOKEN", site.query(&["token", "--admin"])?),
    ];
    let spools = Spools::create()?;
    let mut arguments = flags.of_hosts();
    arguments.extend([
        format!("--url=http://{address}"),
        format!("--spools={}", spools.0.display()),
        format!("--process=server={}", service.id()),
    ]);
    if let Some(cluster) = cluster {
        arguments.push(format!("--process=node={}", cluster.pid()?));
    }
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let example = Example {
        package: "bubble-agent",
        example: "bench_fleet",
    };
    let measured = example.run(&arguments, &variables, report);
    service.check()?;
    measured?;
    match cluster {
        Some(_) => Ok(()),
        None => report(Row {
            bench: "fleet".to_owned(),
            case: "disk".to_owned(),
            variant: "sqlite".to_owned(),
            value: size_of_files(&site.data)? as f64 / 1e6,
            unit: "MB".to_owned(),
            extra: Map::new(),
        }),
    }
}

impl Flags {
    /// The flags of the example that are flags of this benchmark, too.
    fn of_hosts(&self) -> Vec<String> {
        vec![
            format!("--hosts={}", self.hosts),
            format!("--containers={}", self.containers),
            format!("--busy={}", self.busy),
            format!("--seconds={}", self.seconds),
        ]
    }
}

/// The server, and where it stores.
struct Site<'a> {
    program: &'a Path,
    data: PathBuf,
    /// SQLite in `data`, if there is no other.
    store: Option<String>,
}

impl Site<'_> {
    fn command(&self) -> Command {
        let mut command = Process::command(self.program);
        if let Some(store) = &self.store {
            command.env("BUBBLE_STORE", store);
        }
        command.env("BUBBLE_DATA", &self.data);
        command
    }

    fn serve(&self, flags: &Flags, address: SocketAddr) -> Command {
        // Each host has a request that waits and one that posts, and all have one address.
        let connections = (flags.hosts * 4 + 100).to_string();
        let mut command = self.command();
        command
            .args(["serve", "--listen", &address.to_string()])
            .args(["--max-connections", &connections])
            .args(["--max-connections-per-client", &connections]);
        command
    }

    /// The output of one of its commands.
    fn query(&self, arguments: &[&str]) -> Result<String> {
        let mut command = self.command();
        command.args(arguments);
        output(&mut command)
    }
}

/// The folder of all spools, until it is dropped.
struct Spools(PathBuf);

impl Spools {
    fn create() -> Result<Self> {
        let folder = Path::new(MEMORY).join(format!("bubble-fleet-{}", std::process::id()));
        fs::create_dir(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
        Ok(Self(folder))
    }
}

impl Drop for Spools {
    fn drop(&mut self) {
        if let Err(error) = fs::remove_dir_all(&self.0) {
            eprintln!("cannot remove {}: {error}", self.0.display());
        }
    }
}

fn size_of_files(folder: &Path) -> Result<u64> {
    let read = || -> std::io::Result<u64> {
        let mut bytes = 0;
        for file in fs::read_dir(folder)? {
            let data = file?.metadata()?;
            bytes += if data.is_file() { data.len() } else { 0 };
        }
        Ok(bytes)
    };
    read().with_context(|| format!("cannot read {}", folder.display()))
}
