//! Limits of a cgroup.

use std::fs;
use std::io;
use std::path::Path;

use bubble_common::segment::total::Metric;

use super::cgroup::{Figures, number};
use crate::container::error::is_absent;
use crate::container::hierarchy::Hierarchies;

/// Reads the limits of the cgroup at `path`: the tightest on the way to the root, as pods and
/// jobs set theirs above the container's.
///
/// # Errors
/// When a file that may exist cannot be read: a limit above it may be higher.
pub(super) fn read_limits(hierarchies: &Hierarchies, path: &str) -> io::Result<Figures> {
    let mut limits = Figures::new();
    let mut lowest = |metric: Metric, value: Option<u64>| {
        let Some(value) = value else { return };
        match limits.iter_mut().find(|(known, _)| *known == metric) {
            Some((_, known)) => *known = value.min(*known),
            None => limits.push((metric, value)),
        }
    };
    let mut path = path;
    while !path.is_empty() && path != "/" {
        let level = Level { hierarchies, path };
        let cpu = match level.v2("cpu.max")? {
            Some(text) => text
                .trim()
                .split_once(' ')
                .and_then(|(quota, period)| millicores(number(quota)?, number(period)?)),
            None => {
                let quota = level.v1("cpu", "cpu.cfs_quota_us")?;
                let period = level.v1("cpu", "cpu.cfs_period_us")?;
                let quota = quota.as_deref().and_then(number);
                let period = period.as_deref().and_then(number);
                quota
                    .zip(period)
                    .and_then(|(quota, period)| millicores(quota, period))
            }
        };
        lowest(Metric::CPU_LIMIT, cpu);
        let memory = match level.v2("memory.max")? {
            Some(text) => Some(text),
            None => level.v1("memory", "memory.limit_in_bytes")?,
        };
        // "No limit" of v1 is a number that no host reaches.
        let memory = memory.as_deref().and_then(number);
        lowest(
            Metric::MEMORY_LIMIT,
            memory.filter(|bytes| *bytes < 1 << 62),
        );
        let tasks = match level.v2("pids.max")? {
            Some(text) => Some(text),
            None => level.v1("pids", "pids.max")?,
        };
        lowest(Metric::TASKS_LIMIT, tasks.as_deref().and_then(number));

        path = path.rsplit_once('/').map_or("", |(above, _)| above);
    }
    Ok(limits)
}

fn millicores(quota: u64, period: u64) -> Option<u64> {
    quota.saturating_mul(1_000).checked_div(period)
}

/// The cgroup at a path, in each hierarchy.
struct Level<'a> {
    hierarchies: &'a Hierarchies,
    path: &'a str,
}

impl Level<'_> {
    /// The text of a cgroup v2 file. `None` if it does not exist.
    fn v2(&self, file: &str) -> io::Result<Option<String>> {
        let unified = self.hierarchies.unified();
        unified.map_or(Ok(None), |tree| read(&tree.folder(self.path), file))
    }

    /// The text of a v1 controller's file. `None` if it does not exist.
    fn v1(&self, controller: &str, file: &str) -> io::Result<Option<String>> {
        let tree = self.hierarchies.v1(controller);
        tree.map_or(Ok(None), |tree| read(&tree.folder(self.path), file))
    }
}

fn read(folder: &Path, file: &str) -> io::Result<Option<String>> {
    match fs::read_to_string(folder.join(file)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
