//! The limits that hold for this process, for what it runs without a cgroup of its own.

use std::io;
use std::path::Path;

use bubble_common::segment::total::Metric;

use super::above::Above;
use super::cgroup::Figures;
use super::limits::{OwnLimits, SLOW_INTERVAL, read_limits_above};
use crate::container::hierarchy::{Hierarchies, HierarchyError};

/// A name below the cgroups of this process, which no cgroup has: all limits are above it.
const BELOW: &str = "bubble-run";

/// The cgroups that this process is in.
#[derive(Debug, Default)]
pub struct Surroundings {
    parts: Vec<Part>,
    readings: u32,
}

/// Its cgroup in one hierarchy.
#[derive(Debug)]
struct Part {
    hierarchies: Hierarchies,
    /// A path below its cgroup.
    path: String,
    limits: Figures,
    above: Above,
}

impl Surroundings {
    /// Finds them by the files in `proc`, and reads what was held back so far.
    ///
    /// # Errors
    /// When it is not known in which cgroups this process is.
    pub fn find(proc: &Path) -> Result<Self, HierarchyError> {
        let visible = Hierarchies::visible(proc)?.into_iter();
        let parts = visible.map(|(hierarchies, path)| Part {
            hierarchies,
            path: format!("{}/{BELOW}", path.trim_end_matches('/')),
            limits: Figures::new(),
            above: Above::default(),
        });
        let mut found = Self {
            parts: parts.collect(),
            readings: 0,
        };
        for part in &mut found.parts {
            // The first reading tells what cannot be read.
            let _ = part.read_limits();
        }
        Ok(found)
    }

    /// Passes the limits, and what was held back since the last reading, to `report`.
    ///
    /// # Errors
    /// When a file that may exist cannot be read. The others are reported.
    pub fn read(&mut self, mut report: impl FnMut(Metric, u64)) -> io::Result<()> {
        let is_slow = self.readings.is_multiple_of(SLOW_INTERVAL);
        self.readings = self.readings.wrapping_add(1);
        let mut result = Ok(());
        for part in &mut self.parts {
            if is_slow {
                result = result.and(part.read_limits());
            }
            let (above, read) = part.above.growth(&part.hierarchies);
            result = result.and(read);
            if let Some(above) = above {
                report(Metric::CPU_THROTTLED_ABOVE, above);
            }
            for (metric, value) in &part.limits {
                report(*metric, *value);
            }
        }
        result
    }
}

impl Part {
    fn read_limits(&mut self) -> io::Result<()> {
        let limits = read_limits_above(&self.hierarchies, &self.path)?;
        self.limits = limits.with_own(&OwnLimits::default());
        self.above.set(&self.hierarchies, &limits.with_cpu_limit)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs;
    use std::path::Path;

    use bubble_common::segment::total::Metric;

    use super::Surroundings;

    /// Files of /proc for a process in the cgroup `own` of a v1 controller, whose part `root` is mounted twice.
    fn proc(folder: &Path, own: &str, root: &str) {
        let own_folder = folder.join("proc/self");
        fs::create_dir_all(&own_folder).unwrap();
        let mounted = folder.join("cpu");
        fs::create_dir_all(&mounted).unwrap();
        let mount = format!(
            "77 76 0:29 {root} {} ro - cgroup cgroup rw,cpu\n",
            mounted.display()
        );
        fs::write(own_folder.join("mountinfo"), mount.repeat(2)).unwrap();
        fs::write(own_folder.join("cgroup"), format!("3:cpu:{own}\n")).unwrap();
    }

    fn read(surroundings: &mut Surroundings) -> BTreeMap<&'static str, u64> {
        let mut found = BTreeMap::new();
        let read = surroundings.read(|metric, value| {
            found.insert(metric.name(), value);
        });
        read.unwrap();
        found
    }

    #[test]
    fn a_run_without_a_cgroup_has_the_limits_around_it() {
        // As in a container of Docker, which sees its own cgroup only; and below it, and on a host.
        for (own, root, place) in [
            ("/docker/a", "/docker/a", ""),
            ("/docker/a/b", "/docker/a", "b"),
            ("/", "/docker/a", ""),
            ("/job", "/", "job"),
        ] {
            let folder = tempfile::tempdir().unwrap();
            proc(folder.path(), own, root);
            let cgroup = folder.path().join("cpu").join(place);
            fs::create_dir_all(&cgroup).unwrap();
            fs::write(cgroup.join("cpu.cfs_quota_us"), "50000").unwrap();
            fs::write(cgroup.join("cpu.cfs_period_us"), "100000").unwrap();
            let throttled = |ns: u64| {
                fs::write(cgroup.join("cpu.stat"), format!("throttled_time {ns}\n")).unwrap();
            };
            throttled(5);
            let mut surroundings = Surroundings::find(&folder.path().join("proc")).unwrap();
            throttled(12);
            let found = read(&mut surroundings);
            let of = |metric: Metric| found.get(metric.name()).copied();
            assert_eq!(of(Metric::CPU_LIMIT), Some(500), "{own} {root}");
            assert_eq!(of(Metric::CPU_LIMIT_LEVEL), Some(1), "{own} {root}");
            assert_eq!(of(Metric::CPU_THROTTLED_ABOVE), Some(7), "{own} {root}");
        }
    }
}
