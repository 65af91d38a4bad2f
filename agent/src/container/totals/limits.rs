//! Limits of a cgroup.

use std::fs;
use std::io;
use std::path::Path;

use bubble_common::segment::total::Metric;

use super::cgroup::{Cgroup, Figures, number};
use crate::container::error::is_absent;
use crate::container::files::Unread;
use crate::container::hierarchy::Hierarchies;

/// Reads the limits of the cgroups above the one at `path`: the tightest, as pods and jobs set theirs above
/// the container's.
///
/// # Errors
/// When a file that may exist cannot be read: a limit above it may be higher.
pub(super) fn read_limits_above(hierarchies: &Hierarchies, path: &str) -> io::Result<Figures> {
    let mut limits = Figures::new();
    let mut path = above(path);
    while is_below_root(path) {
        let found = limits_of(&mut Level { hierarchies, path })?;
        limits = tightest(limits, &found);
        path = above(path);
    }
    Ok(limits)
}

/// Reads the limits of a container's own cgroup. `None` if a file that may exist cannot be read.
pub(super) fn read_own_limits(cgroup: &mut Cgroup<'_>) -> Option<Figures> {
    if !is_below_root(cgroup.path) {
        return Some(Figures::new());
    }
    limits_of(cgroup).ok()
}

/// The lower one of each limit.
pub(super) fn tightest(mut limits: Figures, others: &Figures) -> Figures {
    for (metric, value) in others {
        match limits.iter_mut().find(|(known, _)| known == metric) {
            Some((_, known)) => *known = (*known).min(*value),
            None => limits.push((*metric, *value)),
        }
    }
    limits
}

fn above(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(above, _)| above)
}

fn is_below_root(path: &str) -> bool {
    !path.is_empty() && path != "/"
}

/// The limits of one cgroup.
fn limits_of<L: ReadLevel>(level: &mut L) -> Result<Figures, L::Error> {
    let mut limits = Figures::new();
    let mut add = |metric: Metric, value: Option<u64>| limits.extend(value.map(|it| (metric, it)));
    let cpu = match level.v2_file("cpu.max")? {
        Some(text) => text
            .trim()
            .split_once(' ')
            .and_then(|(quota, period)| millicores(number(quota)?, number(period)?)),
        None => {
            let quota = level.v1_file("cpu", "cpu.cfs_quota_us")?;
            let period = level.v1_file("cpu", "cpu.cfs_period_us")?;
            let quota = quota.as_deref().and_then(number);
            let period = period.as_deref().and_then(number);
            quota
                .zip(period)
                .and_then(|(quota, period)| millicores(quota, period))
        }
    };
    add(Metric::CPU_LIMIT, cpu);
    let memory = match level.v2_file("memory.max")? {
        Some(text) => Some(text),
        None => level.v1_file("memory", "memory.limit_in_bytes")?,
    };
    // "No limit" of v1 is a number that no host reaches.
    let memory = memory.as_deref().and_then(number);
    add(
        Metric::MEMORY_LIMIT,
        memory.filter(|bytes| *bytes < 1 << 62),
    );
    let tasks = match level.v2_file("pids.max")? {
        Some(text) => Some(text),
        None => level.v1_file("pids", "pids.max")?,
    };
    add(Metric::TASKS_LIMIT, tasks.as_deref().and_then(number));
    Ok(limits)
}

fn millicores(quota: u64, period: u64) -> Option<u64> {
    quota.saturating_mul(1_000).checked_div(period)
}

/// The files of one cgroup. A text is `None` if the file does not exist.
trait ReadLevel {
    /// Why a file that may exist cannot be read.
    type Error;

    /// The text of a cgroup v2 file.
    fn v2_file(&mut self, file: &'static str) -> Result<Option<String>, Self::Error>;
    /// The text of a v1 controller's file.
    fn v1_file(
        &mut self,
        controller: &'static str,
        file: &'static str,
    ) -> Result<Option<String>, Self::Error>;
}

/// The cgroup at a path, whose files are opened each time.
struct Level<'a> {
    hierarchies: &'a Hierarchies,
    path: &'a str,
}

impl ReadLevel for Level<'_> {
    type Error = io::Error;

    fn v2_file(&mut self, file: &'static str) -> io::Result<Option<String>> {
        let unified = self.hierarchies.unified();
        unified.map_or(Ok(None), |tree| read(&tree.folder(self.path), file))
    }

    fn v1_file(
        &mut self,
        controller: &'static str,
        file: &'static str,
    ) -> io::Result<Option<String>> {
        let tree = self.hierarchies.v1(controller);
        tree.map_or(Ok(None), |tree| read(&tree.folder(self.path), file))
    }
}

/// Its files stay open. Why one cannot be read is in [`Cgroup::files`].
impl ReadLevel for Cgroup<'_> {
    type Error = Unread;

    fn v2_file(&mut self, file: &'static str) -> Result<Option<String>, Unread> {
        self.v2(file)
    }

    fn v1_file(
        &mut self,
        controller: &'static str,
        file: &'static str,
    ) -> Result<Option<String>, Unread> {
        self.v1(controller, file)
    }
}

fn read(folder: &Path, file: &str) -> io::Result<Option<String>> {
    match fs::read_to_string(folder.join(file)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}
