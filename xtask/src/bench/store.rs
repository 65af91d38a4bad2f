//! Both stores side by side, and roll-up by several workers.
//!
//! Starts a small node of Cassandra on this machine. It shares the machine with its clients, so its
//! rates are lower bounds.

use std::fs;

use anyhow::{Context as _, Result};

use super::example::{Example, NoFlags, Report};
use crate::project;
use crate::services::cassandra::{self, Schema};

pub(super) fn run(report: &mut Report<'_>, arguments: &[String]) -> Result<()> {
    let NoFlags {} = super::example::flags("store", arguments);
    let folder = project::target().join("bench-store");
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let cluster = cassandra::up(1, Schema::Durable)?;
    let measured = measure(report, &cluster, &folder.display().to_string());
    cluster.release()?;
    measured
}

fn measure(report: &mut Report<'_>, cluster: &cassandra::Cluster, folder: &str) -> Result<()> {
    let example = Example {
        package: "bubble-server",
        example: "bench_store",
    };
    let env = variables(cluster)?;
    example.run(&["fill", folder], &env, report)?;
    // Cassandra does both by itself later.
    cluster.nodetool(&["flush"])?;
    cluster.nodetool(&["compact", "bench_store"])?;
    let node = cluster.data();
    example.run(&["ask", folder, &node.display().to_string()], &env, report)
}

/// Tells the examples where the node is.
fn variables(cluster: &cassandra::Cluster) -> Result<[(&'static str, String); 2]> {
    Ok([
        ("BUBBLE_CASSANDRA", cluster.hosts()),
        ("BUBBLE_CASSANDRA_PID", cluster.pid()?.to_string()),
    ])
}

/// Measures roll-up on Cassandra by 1, 2 and 4 workers.
pub(super) fn rollup(report: &mut Report<'_>, arguments: &[String]) -> Result<()> {
    let example = Example {
        package: "bubble-server",
        example: "bench_rollup",
    };
    let cluster = cassandra::up(1, Schema::Durable)?;
    let env = variables(&cluster)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let measured = example.run(&arguments, &env, report);
    cluster.release()?;
    measured
}
