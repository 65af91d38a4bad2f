//! A container's own figures, from its cgroup: each from v2 where its controller is there,
//! else from v1.
//!
//! The kernel counts since the cgroup was created; the differences are reported. A missing
//! file (no such controller, a cgroup that was just removed) is a missing figure, never an
//! error. A file that cannot be read is a failure: see [`Totals::take_failure`].

mod above;
mod block;
mod cgroup;
mod limits;
mod surroundings;

use std::io;

use bubble_common::segment::total::Metric;

use self::above::Above;
use self::block::Devices;
use self::cgroup::{Cgroup, Figures, keyed, number};
pub use self::limits::count_cores;
use self::limits::{LimitsAbove, OwnLimits, SLOW_INTERVAL, read_limits_above, read_own_limits};
pub use self::surroundings::Surroundings;
use super::files::{Files, Unread};
use super::hierarchy::Hierarchies;

/// Reads the figures of one container, again and again.
#[derive(Debug)]
pub struct Totals {
    /// The kernel's counters at the last reading.
    counted: Figures,
    /// The container is new: what the first reading of a counter finds is news.
    is_new: bool,
    readings: u32,
    files: Files,
    devices: Devices,
    /// Limits of the container itself, as last read.
    own_limits: OwnLimits,
    /// Limits of the cgroups above it, as last read.
    limits_above: LimitsAbove,
    /// Cgroups above its own that have a CPU limit.
    above: Above,
}

impl Totals {
    /// `is_new`: the container was created while the agent ran, so all that its cgroup has
    /// counted is news.
    pub fn new(is_new: bool) -> Self {
        Self {
            counted: Figures::new(),
            is_new,
            readings: 0,
            files: Files::default(),
            devices: Devices::new(),
            own_limits: OwnLimits::default(),
            limits_above: LimitsAbove::default(),
            above: Above::default(),
        }
    }

    /// Reads the limits above the cgroup at `path`, and what cgroups there that are new have counted so far: the
    /// next reading reports what they count from now on.
    pub fn read_limits(&mut self, hierarchies: &Hierarchies, path: &str) {
        match read_limits_above(hierarchies, path) {
            Ok(limits) => {
                if let Err(error) = self.above.set(hierarchies, &limits.with_cpu_limit) {
                    self.files.note_failure(error);
                }
                self.limits_above = limits;
            }
            // The last known ones stay.
            Err(error) => self.files.note_failure(error),
        }
    }

    /// Why a file that may exist could not be read since the last call.
    pub fn take_failure(&mut self) -> Option<io::Error> {
        self.files.take_failure()
    }

    /// Reads the cgroup at `path`. Passes what was counted since the last reading, and what is
    /// measured now, to `report`. Returns false when the cgroup is removed.
    pub fn read(
        &mut self,
        hierarchies: &Hierarchies,
        path: &str,
        mut report: impl FnMut(Metric, u64),
    ) -> bool {
        let mut counters = Figures::new();
        let mut gauges = Figures::new();
        let is_slow = self.readings.is_multiple_of(SLOW_INTERVAL);
        if is_slow {
            self.files.forget_missing();
            self.devices.forget_stacks();
        }
        let mut cgroup = Cgroup {
            hierarchies,
            path,
            files: &mut self.files,
        };
        if !read_all(&mut cgroup, &mut self.devices, &mut counters, &mut gauges) {
            return false;
        }
        // Of limits that cannot be read the last known ones stay.
        if let Some(limits) = read_own_limits(&mut cgroup) {
            self.own_limits = limits;
        }
        if is_slow {
            self.read_limits(hierarchies, path);
        }
        let (above, above_read) = self.above.growth(hierarchies);
        if let Err(error) = above_read {
            self.files.note_failure(error);
        }
        self.keep_monotonic(&mut counters);
        self.readings = self.readings.wrapping_add(1);
        for (metric, now) in counters {
            let growth = self.growth(metric, now);
            if growth > 0 {
                report(metric, growth);
            }
        }
        if let Some(above) = above {
            report(Metric::CPU_THROTTLED_ABOVE, above);
        }
        let limits = self.limits_above.with_own(&self.own_limits);
        for (metric, value) in gauges.into_iter().chain(limits) {
            report(metric, value);
        }
        true
    }

    /// Notes the value of a counter and returns how much it grew since the last reading.
    fn growth(&mut self, metric: Metric, now: u64) -> u64 {
        let counted = self.counted.iter_mut().find(|(of, _)| *of == metric);
        let Some((_, counted)) = counted else {
            self.counted.push((metric, now));
            return if self.is_new { now } else { 0 };
        };
        let before = std::mem::replace(counted, now);
        // A smaller value is the counter of another cgroup of the same path.
        now.checked_sub(before).unwrap_or(now)
    }

    /// Keeps user and system time from falling. The kernel divides their exact sum by an
    /// estimate, so one may fall while the sum grows.
    fn keep_monotonic(&self, counters: &mut Figures) {
        let of = |figures: &Figures, metric: Metric| {
            let index = figures.iter().position(|(known, _)| *known == metric)?;
            Some((index, figures[index].1))
        };
        let before = of(&self.counted, Metric::CPU_USER).zip(of(&self.counted, Metric::CPU_SYSTEM));
        let now = of(counters, Metric::CPU_USER).zip(of(counters, Metric::CPU_SYSTEM));
        let (
            Some(((_, user_before), (_, system_before))),
            Some(((user_at, user), (system_at, system))),
        ) = (before, now)
        else {
            return;
        };
        let sum = user.saturating_add(system);
        let Some(growth) = sum.checked_sub(user_before.saturating_add(system_before)) else {
            return;
        };
        let user = user.clamp(user_before, user_before.saturating_add(growth));
        counters[user_at].1 = user;
        counters[system_at].1 = sum.saturating_sub(user);
    }
}

/// Reads all figures of a cgroup. Returns false when none of its files exists. Figures whose files cannot
/// be read are missing.
fn read_all(
    cgroup: &mut Cgroup<'_>,
    devices: &mut Devices,
    counters: &mut Figures,
    gauges: &mut Figures,
) -> bool {
    // The failures are in `cgroup.files`.
    let _ = read_cpu(cgroup, counters);
    let _ = read_memory(cgroup, counters, gauges);
    let _ = read_tasks(cgroup, gauges);
    if let Ok(figures) = block::read(cgroup, devices) {
        counters.extend(figures);
    }
    read_pressure(cgroup, counters);
    !counters.is_empty() || !gauges.is_empty()
}

fn read_tasks(cgroup: &mut Cgroup<'_>, gauges: &mut Figures) -> Result<(), Unread> {
    let tasks = match cgroup.v2("pids.current")? {
        None => cgroup.v1("pids", "pids.current")?,
        tasks => tasks,
    };
    push(gauges, Metric::TASKS, tasks.as_deref().and_then(number));
    Ok(())
}

fn push(figures: &mut Figures, metric: Metric, value: Option<u64>) {
    figures.extend(value.map(|value| (metric, value)));
}

fn read_cpu(cgroup: &mut Cgroup<'_>, counters: &mut Figures) -> Result<(), Unread> {
    let stat = cgroup.v2("cpu.stat")?.unwrap_or_default();
    let micro = |key| keyed(&stat, key).map(|us| us.saturating_mul(1_000));
    let times = match micro("user_usec").zip(micro("system_usec")) {
        None => cpuacct(cgroup)?,
        times => times,
    };
    if let Some((user, system)) = times {
        counters.push((Metric::CPU_USER, user));
        counters.push((Metric::CPU_SYSTEM, system));
    }
    let (throttled, periods) = match micro("throttled_usec") {
        Some(ns) => (Some(ns), keyed(&stat, "nr_throttled")),
        None => {
            let stat = cgroup.v1("cpu", "cpu.stat")?.unwrap_or_default();
            (keyed(&stat, "throttled_time"), keyed(&stat, "nr_throttled"))
        }
    };
    push(counters, Metric::CPU_THROTTLED, throttled);
    push(counters, Metric::CPU_THROTTLED_PERIODS, periods);
    Ok(())
}

fn read_memory(
    cgroup: &mut Cgroup<'_>,
    counters: &mut Figures,
    gauges: &mut Figures,
) -> Result<(), Unread> {
    if let Some(current) = cgroup.v2("memory.current")? {
        let stat = cgroup.v2("memory.stat")?.unwrap_or_default();
        let events = cgroup.v2("memory.events")?.unwrap_or_default();
        let peak = cgroup.v2("memory.peak")?;
        push(gauges, Metric::MEMORY_CURRENT, number(&current));
        push(
            gauges,
            Metric::MEMORY_PEAK,
            peak.as_deref().and_then(number),
        );
        push(gauges, Metric::MEMORY_FILE, keyed(&stat, "file"));
        push(gauges, Metric::MEMORY_ANON, keyed(&stat, "anon"));
        let swap = cgroup.v2("memory.swap.current")?;
        let swap = swap.as_deref().and_then(number);
        push(gauges, Metric::MEMORY_SWAP, swap);
        push(counters, Metric::OOM_KILLS, keyed(&events, "oom_kill"));
    } else if let Some(current) = cgroup.v1("memory", "memory.usage_in_bytes")? {
        let stat = cgroup.v1("memory", "memory.stat")?.unwrap_or_default();
        let oom = cgroup.v1("memory", "memory.oom_control")?;
        let oom = oom.unwrap_or_default();
        let peak = cgroup.v1("memory", "memory.max_usage_in_bytes")?;
        push(gauges, Metric::MEMORY_CURRENT, number(&current));
        push(
            gauges,
            Metric::MEMORY_PEAK,
            peak.as_deref().and_then(number),
        );
        push(gauges, Metric::MEMORY_FILE, keyed(&stat, "total_cache"));
        push(gauges, Metric::MEMORY_ANON, keyed(&stat, "total_rss"));
        push(gauges, Metric::MEMORY_SWAP, keyed(&stat, "total_swap"));
        push(counters, Metric::OOM_KILLS, keyed(&oom, "oom_kill"));
    }
    Ok(())
}

fn read_pressure(cgroup: &mut Cgroup<'_>, counters: &mut Figures) {
    for (file, some, full) in [
        ("cpu.pressure", Metric::PRESSURE_CPU_SOME, None),
        (
            "memory.pressure",
            Metric::PRESSURE_MEMORY_SOME,
            Some(Metric::PRESSURE_MEMORY_FULL),
        ),
        (
            "io.pressure",
            Metric::PRESSURE_IO_SOME,
            Some(Metric::PRESSURE_IO_FULL),
        ),
    ] {
        // One that cannot be read counts later.
        let text = cgroup.v2(file).ok().flatten().unwrap_or_default();
        push(counters, some, pressure(&text, "some "));
        if let Some(full) = full {
            push(counters, full, pressure(&text, "full "));
        }
    }
}

/// The total of a line of a pressure file, ns.
fn pressure(text: &str, line: &str) -> Option<u64> {
    let line = text.lines().find_map(|text| text.strip_prefix(line))?;
    let total = line
        .split(' ')
        .find_map(|word| word.strip_prefix("total="))?;
    number(total)?.checked_mul(1_000)
}

/// User and system time of cgroup v1, ns. Their sum is exact; the kernel knows each only by
/// timer ticks, so the sum is divided in the proportion of the ticks.
fn cpuacct(cgroup: &mut Cgroup<'_>) -> Result<Option<(u64, u64)>, Unread> {
    let mut read = |file| cgroup.v1("cpuacct", file);
    let Some(sum) = read("cpuacct.usage")?.as_deref().and_then(number) else {
        return Ok(None);
    };
    let ticks = read("cpuacct.stat")?.unwrap_or_default();
    let user = keyed(&ticks, "user").unwrap_or(0);
    let system = keyed(&ticks, "system").unwrap_or(0);
    let all = user.saturating_add(system);
    let user = match all {
        0 => sum,
        all => (u128::from(sum) * u128::from(user) / u128::from(all)) as u64,
    };
    Ok(Some((user, sum - user)))
}

#[cfg(test)]
mod tests;
