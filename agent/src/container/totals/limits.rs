//! Limits of a cgroup and of those above it.

use std::fs;
use std::io;
use std::path::Path;

use bubble_common::segment::total::Metric;

use super::cgroup::{Cgroup, Figures, keyed, number};
use crate::container::error::is_absent;
use crate::container::files::Unread;
use crate::container::hierarchy::Hierarchies;

/// Readings between two checks of what rarely changes: limits above the container, missing files, devices.
pub(super) const SLOW_INTERVAL: u32 = 10;
/// "No limit" of v1 is a number from here on, which no host reaches.
const UNLIMITED: u64 = 1 << 62;

/// The limits of the cgroups above one.
#[derive(Debug, Default)]
pub(super) struct LimitsAbove {
    cpu: Lowest,
    memory: Lowest,
    tasks: Lowest,
    /// The memory limit that holds in all for the cgroup above, also beyond what is mounted here.
    whole_memory: Option<u64>,
    /// Number of levels.
    levels: u64,
    /// Cores that the nearest cpuset allows, that of the cgroup itself included.
    cpuset: Option<u64>,
    /// The cgroups that have a CPU limit.
    pub(super) with_cpu_limit: Vec<String>,
}

/// The limits of a cgroup itself.
#[derive(Debug, Default)]
pub(super) struct OwnLimits {
    cpu: Option<u64>,
    memory: Option<u64>,
    whole_memory: Option<u64>,
    tasks: Option<u64>,
}

/// Reads the limits of the cgroups above the one at `path`, as pods and jobs set theirs above the
/// container's. The root of the agent's own namespace may have some, too.
///
/// # Errors
/// When a file that may exist cannot be read: a limit above it may be higher.
pub(super) fn read_limits_above(hierarchies: &Hierarchies, path: &str) -> io::Result<LimitsAbove> {
    let mut limits = LimitsAbove::default();
    for (index, path) in (0..).zip(levels(path)) {
        let mut level = Level { hierarchies, path };
        // The nearest one takes those above it into account.
        if limits.cpuset.is_none() {
            limits.cpuset = level.cpuset()?;
        }
        if index == 0 {
            continue;
        }
        if limits.whole_memory.is_none() {
            limits.whole_memory = level.whole_memory()?;
        }
        let quota = level.cpu()?;
        if quota.is_some() {
            limits.with_cpu_limit.push(path.to_owned());
        }
        limits.cpu.add(quota, index);
        limits.memory.add(level.memory()?, index);
        limits.tasks.add(level.tasks()?, index);
        limits.levels = index + 1;
    }
    Ok(limits)
}

/// Reads the limits of a container's own cgroup. `None` if a file that may exist cannot be read.
pub(super) fn read_own_limits(cgroup: &mut Cgroup<'_>) -> Option<OwnLimits> {
    let mut read = || {
        Ok::<_, Unread>(OwnLimits {
            cpu: cgroup.cpu()?,
            memory: cgroup.memory()?,
            whole_memory: cgroup.whole_memory()?,
            tasks: cgroup.tasks()?,
        })
    };
    read().ok()
}

impl LimitsAbove {
    /// The limits that hold for a cgroup: the lowest of each kind, and where it is.
    pub(super) fn with_own(&self, own: &OwnLimits) -> Figures {
        let (mut cpu, mut memory, mut tasks) = (self.cpu, self.memory, self.tasks);
        cpu.add(own.cpu, 0);
        memory.add(own.memory, 0);
        tasks.add(own.tasks, 0);
        memory.add(own.whole_memory.or(self.whole_memory), self.levels);
        let mut figures = Figures::new();
        let level = Some(Metric::CPU_LIMIT_LEVEL);
        cpu.push(&mut figures, Metric::CPU_LIMIT, level);
        let level = Some(Metric::MEMORY_LIMIT_LEVEL);
        memory.push(&mut figures, Metric::MEMORY_LIMIT, level);
        tasks.push(&mut figures, Metric::TASKS_LIMIT, None);
        figures.extend(self.cpuset.map(|cores| (Metric::CPUSET_CORES, cores)));
        figures
    }
}

/// Time that the CPU limit of the cgroup at `path` held back all in it, ns since it was created. `None` if it
/// has none.
///
/// # Errors
/// When it cannot be read.
pub(super) fn throttled(hierarchies: &Hierarchies, path: &str) -> io::Result<Option<u64>> {
    let mut level = Level { hierarchies, path };
    let stat = level.v2("cpu.stat")?.unwrap_or_default();
    if let Some(us) = keyed(&stat, "throttled_usec") {
        return Ok(us.checked_mul(1_000));
    }
    let stat = level.v1("cpu", "cpu.stat")?.unwrap_or_default();
    Ok(keyed(&stat, "throttled_time"))
}

/// The cgroup at `path` and those above it, its own first, with the root.
fn levels(path: &str) -> Vec<&str> {
    let mut levels = Vec::new();
    let mut path = path.trim_end_matches('/');
    while !path.is_empty() {
        levels.push(path);
        path = path.rsplit_once('/').map_or("", |(above, _)| above);
    }
    levels.push("/");
    levels
}

/// The lowest of some limits, and how many levels above the first it is.
#[derive(Debug, Clone, Copy, Default)]
struct Lowest(Option<(u64, u64)>);

impl Lowest {
    /// Takes a lower value over. Of equal ones the nearer level counts.
    fn add(&mut self, value: Option<u64>, level: u64) {
        let Some(value) = value else { return };
        if self.0.is_none_or(|known| (value, level) < known) {
            self.0 = Some((value, level));
        }
    }

    fn push(self, figures: &mut Figures, metric: Metric, level: Option<Metric>) {
        let Some((value, at)) = self.0 else { return };
        figures.push((metric, value));
        figures.extend(level.filter(|_| at > 0).map(|level| (level, at)));
    }
}

fn millicores(quota: u64, period: u64) -> Option<u64> {
    quota.saturating_mul(1_000).checked_div(period)
}

/// How many cores a list such as `0-3,8` has. `None` if the text is not a list.
pub fn count_cores(list: &str) -> Option<u64> {
    let parts = list.trim().split(',');
    let counts = parts.map(|part| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (number(first)?, number(last)?);
        last.checked_sub(first)?.checked_add(1)
    });
    counts
        .reduce(|sum, count| sum?.checked_add(count?))
        .flatten()
}

/// One cgroup, in each hierarchy.
trait ReadLimits {
    /// Why a file that may exist cannot be read.
    type Error;

    /// The text of a cgroup v2 file. `None` if it does not exist.
    fn v2(&mut self, file: &'static str) -> Result<Option<String>, Self::Error>;

    /// The text of a v1 controller's file. `None` if it does not exist.
    fn v1(
        &mut self,
        controller: &'static str,
        file: &'static str,
    ) -> Result<Option<String>, Self::Error>;

    /// The CPU limit in thousandths of a core.
    fn cpu(&mut self) -> Result<Option<u64>, Self::Error> {
        if let Some(text) = self.v2("cpu.max")? {
            let parts = text.trim().split_once(' ');
            return Ok(
                parts.and_then(|(quota, period)| millicores(number(quota)?, number(period)?))
            );
        }
        let quota = self.v1("cpu", "cpu.cfs_quota_us")?;
        let period = self.v1("cpu", "cpu.cfs_period_us")?;
        let quota = quota.as_deref().and_then(number);
        let period = period.as_deref().and_then(number);
        Ok(quota
            .zip(period)
            .and_then(|(quota, period)| millicores(quota, period)))
    }

    /// The memory limit in bytes. Above `memory.high` the kernel takes memory back until it is below.
    fn memory(&mut self) -> Result<Option<u64>, Self::Error> {
        let limits = match self.v2("memory.max")? {
            Some(max) => [Some(max), self.v2("memory.high")?],
            None => [self.v1("memory", "memory.limit_in_bytes")?, None],
        };
        let limits = limits.iter().flatten().filter_map(|text| number(text));
        Ok(limits.filter(|bytes| *bytes < UNLIMITED).min())
    }

    /// The memory limit that holds in all, also above what is mounted here: only v1 has it.
    fn whole_memory(&mut self) -> Result<Option<u64>, Self::Error> {
        let stat = self.v1("memory", "memory.stat")?.unwrap_or_default();
        let limit = keyed(&stat, "hierarchical_memory_limit");
        Ok(limit.filter(|bytes| *bytes < UNLIMITED))
    }

    fn tasks(&mut self) -> Result<Option<u64>, Self::Error> {
        let text = match self.v2("pids.max")? {
            Some(text) => Some(text),
            None => self.v1("pids", "pids.max")?,
        };
        Ok(text.as_deref().and_then(number))
    }

    /// Cores that the cpuset allows.
    fn cpuset(&mut self) -> Result<Option<u64>, Self::Error> {
        let text = match self.v2("cpuset.cpus.effective")? {
            Some(text) => Some(text),
            None => self.v1("cpuset", "cpuset.effective_cpus")?,
        };
        Ok(text.as_deref().and_then(count_cores))
    }
}

/// The cgroup at a path, whose files are opened each time.
struct Level<'a> {
    hierarchies: &'a Hierarchies,
    path: &'a str,
}

impl ReadLimits for Level<'_> {
    type Error = io::Error;

    fn v2(&mut self, file: &'static str) -> io::Result<Option<String>> {
        let unified = self.hierarchies.unified();
        unified.map_or(Ok(None), |tree| read(&tree.folder(self.path), file))
    }

    fn v1(&mut self, controller: &'static str, file: &'static str) -> io::Result<Option<String>> {
        let tree = self.hierarchies.v1(controller);
        tree.map_or(Ok(None), |tree| read(&tree.folder(self.path), file))
    }
}

/// Its files stay open. Why one cannot be read is in [`Cgroup::files`].
impl ReadLimits for Cgroup<'_> {
    type Error = Unread;

    fn v2(&mut self, file: &'static str) -> Result<Option<String>, Unread> {
        Cgroup::v2(self, file)
    }

    fn v1(
        &mut self,
        controller: &'static str,
        file: &'static str,
    ) -> Result<Option<String>, Unread> {
        Cgroup::v1(self, controller, file)
    }
}

fn read(folder: &Path, file: &str) -> io::Result<Option<String>> {
    match fs::read_to_string(folder.join(file)) {
        Ok(text) => Ok(Some(text)),
        Err(error) if is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::{count_cores, levels};

    #[test]
    fn a_list_of_cores_is_counted() {
        let counts = ["0\n", "0-3", "0-3,8,10-11\n", "", "x", "3-1", "0,"].map(count_cores);
        let some = Some;
        assert_eq!(counts, [some(1), some(4), some(7), None, None, None, None]);
        assert_eq!(count_cores("0-18446744073709551615"), None);
    }

    #[test]
    fn the_root_is_a_level() {
        assert_eq!(levels("/a/b"), ["/a/b", "/a", "/"]);
        assert_eq!(levels("/"), ["/"]);
        assert_eq!(levels(""), ["/"]);
    }
}
