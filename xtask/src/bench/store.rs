//! Both stores side by side, and roll-up by several workers: with a node of Cassandra, which is started
//! for it. The node is small, and shares the machine with what asks it: its figures are lower bounds.

use std::fs;

use anyhow::{Context as _, Result};

use super::{Example, NoFlags, Report};
use crate::{project, services::cassandra};

pub(super) fn run(report: &mut Report<'_>, arguments: &[String]) -> Result<()> {
    let NoFlags {} = super::flags("store", arguments);
    let folder = project::target().join("bench-store");
    if folder.exists() {
        fs::remove_dir_all(&folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    fs::create_dir_all(&folder).with_context(|| format!("cannot make {}", folder.display()))?;
    let cluster = cassandra::up(1)?;
    let measured = measure(report, &cluster, &folder.display().to_string());
    cluster.release()?;
    measured
}

fn measure(report: &mut Report<'_>, cluster: &cassandra::Cluster, folder: &str) -> Result<()> {
    let example = Example {
        package: "bubble-server",
        example: "bench_store",
        features: "",
    };
    let env = variables(cluster)?;
    example.run(&["fill", folder], &env, report)?;
    // What it would have done by itself in time.
    cluster.tool(&["flush"])?;
    cluster.tool(&["compact", "bench_store"])?;
    let node = cluster.data();
    example.run(&["ask", folder, &node.display().to_string()], &env, report)
}

/// What the examples need to know of the nodes.
fn variables(cluster: &cassandra::Cluster) -> Result<[(&'static str, String); 2]> {
    Ok([
        ("BUBBLE_CASSANDRA", cluster.hosts()),
        ("BUBBLE_CASSANDRA_PID", cluster.pid()?.to_string()),
    ])
}

/// Roll-up by 1, 2 and 4 workers, on Cassandra.
pub(super) fn rollup(report: &mut Report<'_>, arguments: &[String]) -> Result<()> {
    let example = Example {
        package: "bubble-server",
        example: "bench_rollup",
        features: "",
    };
    let cluster = cassandra::up(1)?;
    let env = variables(&cluster)?;
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let measured = example.run(&arguments, &env, report);
    cluster.release()?;
    measured
}
