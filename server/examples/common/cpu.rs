//! CPU time of a process.

use anyhow::{Context, Result};

/// CPU time of a process, all its threads, in seconds.
pub(crate) fn cpu_of(pid: u32) -> Result<f64> {
    let mut ns = 0_u64;
    for task in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let text = std::fs::read_to_string(task?.path().join("schedstat"))?;
        let run = text
            .split_whitespace()
            .next()
            .context("schedstat is empty")?;
        ns += run.parse::<u64>()?;
    }
    Ok(ns as f64 / 1e9)
}
