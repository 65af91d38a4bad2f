//! A container's own figures, from its cgroup: v2 where a controller is there,
//! else v1, so that each hybrid host gives what it has.
//!
//! The kernel counts from the cgroup's beginning; what is reported are the
//! differences. A file that is missing (no such controller, a container that is
//! just going) is a figure that is missing, never an error.

use std::collections::HashMap;
use std::fs;
use std::path::Path;

use bubble_common::segment::total::Metric;

use super::files::Files;
use super::hierarchy::Hierarchies;

/// What rarely changes (limits, which files there are) is looked at each so many times.
const RARELY: u32 = 10;

/// Reads the figures of one container, again and again.
#[derive(Debug)]
pub struct Totals {
    /// What the kernel had counted at the last reading.
    counted: Vec<(Metric, u64)>,
    /// Whether what the first reading finds happened under our eyes.
    from_birth: bool,
    readings: u32,
    files: Files,
    /// Whether a device stands on others, as last seen.
    stacked: Stacked,
    /// Limits as last read, and said again each time.
    limits: Vec<(Metric, u64)>,
}

/// What one reading finds; counters from the cgroup's beginning.
type Figures = Vec<(Metric, u64)>;

/// Devices by their numbers (`253:0`), and whether each stands on others.
type Stacked = HashMap<String, bool>;

/// The cgroup that is read.
struct Cgroup<'a> {
    hierarchies: &'a Hierarchies,
    path: &'a str,
    files: &'a mut Files,
}

impl Cgroup<'_> {
    /// A file of the unified tree.
    fn v2(&mut self, file: &'static str) -> Option<String> {
        self.files.v2(self.hierarchies, self.path, file)
    }

    /// A v1 controller's file.
    fn v1(&mut self, controller: &'static str, file: &'static str) -> Option<String> {
        self.files.v1(self.hierarchies, self.path, controller, file)
    }
}

impl Totals {
    /// `from_birth`: the container was not there before we looked, so all that its
    /// cgroup has counted is news.
    pub fn new(from_birth: bool) -> Self {
        Self {
            counted: Vec::new(),
            from_birth,
            readings: 0,
            files: Files::default(),
            stacked: Stacked::new(),
            limits: Vec::new(),
        }
    }

    /// Reads the cgroup at `path`, and gives what was counted since the last
    /// reading and what is measured now. `false` when the cgroup is not there.
    pub fn read(
        &mut self,
        hierarchies: &Hierarchies,
        path: &str,
        mut found: impl FnMut(Metric, u64),
    ) -> bool {
        let mut counters = Figures::new();
        let mut measured = Figures::new();
        let rarely = self.readings.is_multiple_of(RARELY);
        if rarely {
            self.files.forget_missing();
            self.stacked.clear();
        }
        let mut cgroup = Cgroup {
            hierarchies,
            path,
            files: &mut self.files,
        };
        if !read_all(&mut cgroup, &mut self.stacked, &mut counters, &mut measured) {
            return false;
        }
        if rarely {
            self.limits.clear();
            read_limits(hierarchies, path, &mut self.limits);
        }
        self.keep_rising(&mut counters);
        let first = self.readings == 0;
        self.readings = self.readings.wrapping_add(1);
        for (metric, now) in counters {
            let known = self.counted.iter_mut().find(|(known, _)| *known == metric);
            let before = known.as_ref().map(|(_, before)| *before);
            match known {
                Some((_, before)) => *before = now,
                None => self.counted.push((metric, now)),
            }
            let news = match before {
                // Counted from the beginning again: another cgroup of the same path.
                Some(before) if now < before => now,
                Some(before) => now - before,
                None if first && self.from_birth => now,
                None => 0,
            };
            if news > 0 {
                found(metric, news);
            }
        }
        for (metric, value) in measured.iter().chain(&self.limits) {
            found(*metric, *value);
        }
        true
    }

    /// Where the kernel divides an exact sum into user and system by estimate, either
    /// may fall while the sum rises: the division is moved so that neither does.
    fn keep_rising(&self, counters: &mut Figures) {
        let of = |figures: &Figures, metric: Metric| {
            let place = figures.iter().position(|(known, _)| *known == metric)?;
            Some((place, figures[place].1))
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
        let Some(news) = sum.checked_sub(user_before.saturating_add(system_before)) else {
            return;
        };
        let user = user.clamp(user_before, user_before.saturating_add(news));
        counters[user_at].1 = user;
        counters[system_at].1 = sum.saturating_sub(user);
    }
}

/// A v1 controller's file of the container.
fn v1(hierarchies: &Hierarchies, controller: &str, path: &str, file: &str) -> Option<String> {
    read(&hierarchies.v1(controller)?.folder(path), file)
}

fn read(folder: &Path, file: &str) -> Option<String> {
    fs::read_to_string(folder.join(file)).ok()
}

fn number(text: &str) -> Option<u64> {
    text.trim().parse().ok()
}

/// The number behind `key` in a file of `key number` lines.
fn keyed(text: &str, key: &str) -> Option<u64> {
    text.lines()
        .find_map(|line| number(line.strip_prefix(key)?.strip_prefix(' ')?))
}

/// `false` when nothing of it is there.
fn read_all(
    cgroup: &mut Cgroup<'_>,
    stacked: &mut Stacked,
    counters: &mut Figures,
    measured: &mut Figures,
) -> bool {
    let mut there = false;
    let mut add = |figures: &mut Figures, metric, value: Option<u64>| {
        if let Some(value) = value {
            figures.push((metric, value));
            there = true;
        }
    };

    let stat = cgroup.v2("cpu.stat").unwrap_or_default();
    let micro = |key| keyed(&stat, key).map(|us| us.saturating_mul(1_000));
    if let (Some(user), Some(system)) = (micro("user_usec"), micro("system_usec")) {
        add(counters, Metric::CPU_USER, Some(user));
        add(counters, Metric::CPU_SYSTEM, Some(system));
    } else if let Some((user, system)) = cpuacct(cgroup) {
        add(counters, Metric::CPU_USER, Some(user));
        add(counters, Metric::CPU_SYSTEM, Some(system));
    }
    let (throttled, periods) = match micro("throttled_usec") {
        Some(ns) => (Some(ns), keyed(&stat, "nr_throttled")),
        None => {
            let stat = cgroup.v1("cpu", "cpu.stat").unwrap_or_default();
            (keyed(&stat, "throttled_time"), keyed(&stat, "nr_throttled"))
        }
    };
    add(counters, Metric::CPU_THROTTLED, throttled);
    add(counters, Metric::CPU_THROTTLED_PERIODS, periods);

    if let Some(current) = cgroup.v2("memory.current") {
        let stat = cgroup.v2("memory.stat").unwrap_or_default();
        let events = cgroup.v2("memory.events").unwrap_or_default();
        add(measured, Metric::MEMORY_CURRENT, number(&current));
        add(measured, Metric::MEMORY_FILE, keyed(&stat, "file"));
        add(measured, Metric::MEMORY_ANON, keyed(&stat, "anon"));
        let swap = cgroup.v2("memory.swap.current");
        add(
            measured,
            Metric::MEMORY_SWAP,
            swap.as_deref().and_then(number),
        );
        add(counters, Metric::OOM_KILLS, keyed(&events, "oom_kill"));
    } else if let Some(current) = cgroup.v1("memory", "memory.usage_in_bytes") {
        let stat = cgroup.v1("memory", "memory.stat").unwrap_or_default();
        let oom = cgroup
            .v1("memory", "memory.oom_control")
            .unwrap_or_default();
        add(measured, Metric::MEMORY_CURRENT, number(&current));
        add(measured, Metric::MEMORY_FILE, keyed(&stat, "total_cache"));
        add(measured, Metric::MEMORY_ANON, keyed(&stat, "total_rss"));
        add(measured, Metric::MEMORY_SWAP, keyed(&stat, "total_swap"));
        add(counters, Metric::OOM_KILLS, keyed(&oom, "oom_kill"));
    }

    let tasks = cgroup
        .v2("pids.current")
        .or_else(|| cgroup.v1("pids", "pids.current"));
    add(measured, Metric::TASKS, tasks.as_deref().and_then(number));

    let block = match cgroup.v2("io.stat") {
        Some(text) => Some(io_stat(&text, stacked)),
        None => blkio(cgroup, stacked),
    };
    if let Some(block) = block {
        for (metric, value) in block {
            add(counters, metric, Some(value));
        }
    }

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
        let text = cgroup.v2(file).unwrap_or_default();
        add(counters, some, pressure(&text, "some "));
        if let Some(full) = full {
            add(counters, full, pressure(&text, "full "));
        }
    }
    there
}

/// The total of a pressure file's line, in ns.
fn pressure(text: &str, line: &str) -> Option<u64> {
    let line = text.lines().find_map(|text| text.strip_prefix(line))?;
    let total = line
        .split(' ')
        .find_map(|word| word.strip_prefix("total="))?;
    number(total)?.checked_mul(1_000)
}

/// CPU time of v1, ns. The sum is exact, but how it divides into user and system
/// is known by the timer's ticks only: the sum is divided in their proportion.
fn cpuacct(cgroup: &mut Cgroup<'_>) -> Option<(u64, u64)> {
    let mut read = |file| cgroup.v1("cpuacct", file);
    let sum = number(&read("cpuacct.usage")?)?;
    let ticks = read("cpuacct.stat").unwrap_or_default();
    let user = keyed(&ticks, "user").unwrap_or(0);
    let system = keyed(&ticks, "system").unwrap_or(0);
    let all = user.saturating_add(system);
    let user = match all {
        0 => sum,
        all => (u128::from(sum) * u128::from(user) / u128::from(all)) as u64,
    };
    Some((user, sum - user))
}

/// The sums over the devices of an io.stat.
fn io_stat(text: &str, stacked: &mut Stacked) -> [(Metric, u64); 4] {
    let mut sums = [0_u64; 4];
    for line in text.lines() {
        let mut words = line.split(' ');
        if words
            .next()
            .is_none_or(|device| is_stacked(device, stacked))
        {
            continue;
        }
        for word in words {
            let Some((key, value)) = word.split_once('=') else {
                continue;
            };
            let sum = match key {
                "rbytes" => &mut sums[0],
                "wbytes" => &mut sums[1],
                "rios" => &mut sums[2],
                "wios" => &mut sums[3],
                _ => continue,
            };
            *sum = sum.saturating_add(number(value).unwrap_or(0));
        }
    }
    block(sums)
}

fn blkio(cgroup: &mut Cgroup<'_>, stacked: &mut Stacked) -> Option<[(Metric, u64); 4]> {
    let mut read = |recursive, own| match cgroup.v1("blkio", recursive) {
        Some(text) => Some(text),
        None => cgroup.v1("blkio", own),
    };
    let bytes = read(
        "blkio.throttle.io_service_bytes_recursive",
        "blkio.throttle.io_service_bytes",
    )?;
    let operations = read(
        "blkio.throttle.io_serviced_recursive",
        "blkio.throttle.io_serviced",
    )
    .unwrap_or_default();
    let mut sum = |text: &str, kind: &str| {
        text.lines()
            .filter_map(|line| {
                let mut words = line.split(' ');
                let device = words.next()?;
                let mine = words.next()? == kind && !is_stacked(device, stacked);
                mine.then(|| number(words.next()?)).flatten()
            })
            .fold(0, u64::saturating_add)
    };
    Some(block([
        sum(&bytes, "Read"),
        sum(&bytes, "Write"),
        sum(&operations, "Read"),
        sum(&operations, "Write"),
    ]))
}

fn block(sums: [u64; 4]) -> [(Metric, u64); 4] {
    [
        (Metric::BLOCK_IN, sums[0]),
        (Metric::BLOCK_OUT, sums[1]),
        (Metric::BLOCK_IN_OPS, sums[2]),
        (Metric::BLOCK_OUT_OPS, sums[3]),
    ]
}

/// Whether a device (`253:0`) stands on others, which count the same bytes again.
fn is_stacked(device: &str, stacked: &mut Stacked) -> bool {
    if let Some(known) = stacked.get(device) {
        return *known;
    }
    let slaves = Path::new("/sys/dev/block").join(device).join("slaves");
    let found = fs::read_dir(slaves).is_ok_and(|mut entries| entries.next().is_some());
    stacked.insert(device.to_owned(), found);
    found
}

fn read_limits(hierarchies: &Hierarchies, path: &str, limits: &mut Figures) {
    // The tightest on the way to the root holds: pods and jobs set theirs above the container's.
    let mut lowest = |metric: Metric, value: Option<u64>| {
        let Some(value) = value else { return };
        match limits.iter_mut().find(|(known, _)| *known == metric) {
            Some((_, known)) => *known = value.min(*known),
            None => limits.push((metric, value)),
        }
    };
    let mut path = path;
    while !path.is_empty() && path != "/" {
        let unified = hierarchies.unified().map(|tree| tree.folder(path));
        let v2 = |file: &str| read(unified.as_deref()?, file);
        let v1 = |controller, file| v1(hierarchies, controller, path, file);

        let cpu = match v2("cpu.max") {
            Some(text) => text
                .trim()
                .split_once(' ')
                .and_then(|(quota, period)| millicores(number(quota)?, number(period)?)),
            None => v1("cpu", "cpu.cfs_quota_us")
                .as_deref()
                .and_then(number)
                .zip(v1("cpu", "cpu.cfs_period_us").as_deref().and_then(number))
                .and_then(|(quota, period)| millicores(quota, period)),
        };
        lowest(Metric::CPU_LIMIT, cpu);
        let memory = v2("memory.max").or_else(|| v1("memory", "memory.limit_in_bytes"));
        // v1 has no word for "no limit", but a number of pages that no host has.
        let memory = memory.as_deref().and_then(number);
        lowest(
            Metric::MEMORY_LIMIT,
            memory.filter(|bytes| *bytes < 1 << 62),
        );
        let tasks = v2("pids.max").or_else(|| v1("pids", "pids.max"));
        lowest(Metric::TASKS_LIMIT, tasks.as_deref().and_then(number));

        path = path.rsplit_once('/').map_or("", |(above, _)| above);
    }
}

fn millicores(quota: u64, period: u64) -> Option<u64> {
    quota.saturating_mul(1_000).checked_div(period)
}

#[cfg(test)]
#[path = "totals_tests.rs"]
mod tests;
