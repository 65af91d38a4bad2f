//! What stands out in a report, by rules.
//!
//! Each rule is a function, with its threshold and the source of that in [`THRESHOLDS`]. The page has
//! rules of its own (server/ui/src/lib/account.ts), which are about any range. Where both have a rule, the
//! threshold is the same. The page compares memory with the page cache included, and a report without it.

use super::form::{Advice, Amount, Cpu, PeerRow, Report, Weight};
use super::words::{bytes, clean, count, number, percent, seconds};

/// Limits from which on something is said. Shares are in percent.
#[derive(Debug)]
pub struct Thresholds {
    /// CPU below this share of what was asked for is a warning, or a note. Princeton's jobstats
    /// (config.py: `CPU_UTIL_RED`, `CPU_UTIL_BLACK`).
    pub cpu_warning: f64,
    /// See `cpu_warning`.
    pub cpu_note: f64,
    /// Memory below this share of what was asked for. jobstats (config.py: `MIN_MEMORY_USAGE`).
    pub memory_used: f64,
    /// Memory above this share of its limit. The page has the same (`memoryHigh`).
    pub memory_high: f64,
    /// Cores on average between which a run that had several seems to be serial. jobstats
    /// (config.py: `serial_ratio`).
    pub serial: (f64, f64),
    /// Cores in the busiest second below which such a run used one at a time: two cores for half of the time are
    /// one on average, too. Our choice.
    pub serial_peak: f64,
    /// Imbalance of the cores. The one from which a note is worth while is our choice; efficiencies
    /// below 80 % need exploring (POP, <https://co-design.pop-coe.eu/metrics/index.html>).
    pub imbalance_note: f64,
    /// See `imbalance_note`.
    pub imbalance_warning: f64,
    /// Growth of memory from the first to the last quarter, of the limit or the peak. The page has the
    /// same (`growthShare`).
    pub growth: f64,
    /// CPU time held back by the CPU limit, of the CPU time that would have been used without it. The page has the same (`throttled`).
    pub throttled: f64,
    /// Mean bytes of a read below which reads are small: a page, the unit in which Linux caches files.
    pub small_read: f64,
    /// Calls that read from which on their size matters: our choice.
    pub reads: u64,
    /// Processes of less than a second from which on they are many: our choice.
    pub short_processes: u64,
    /// Share of a peer's connections that failed, from which on it is a warning. The page has the same
    /// (`failedPeer`).
    pub failed_peer: f64,
    /// Time that threads waited for a disk, of the time in which they ran or waited for a core or a disk:
    /// more than half is most of it.
    pub waited_for_disk: f64,
    /// Time that threads waited for one file, or for one peer, of the time in which they ran or were held
    /// up: more than half is most of it.
    pub waited_for_one: f64,
    /// Time that threads waited for a core, of the time in which they ran or waited for one: our choice.
    pub waited_for_core: f64,
    /// Idle time from which on it is worth a note. The page has the same (`idleTime`).
    pub idle: f64,
    /// Share of the time limit that was used, from which on the next run may not end in time: our choice.
    pub time_limit: f64,
    /// Wall time in seconds below which use is not compared with what was asked for, as starting
    /// prevails: our choice.
    pub wall_seconds: f64,
}

/// The limits in force.
pub const THRESHOLDS: Thresholds = Thresholds {
    cpu_warning: 65.0,
    cpu_note: 80.0,
    memory_used: 70.0,
    memory_high: 80.0,
    serial: (0.85, 1.1),
    serial_peak: 1.5,
    imbalance_note: 10.0,
    imbalance_warning: 20.0,
    growth: 10.0,
    throttled: 1.0,
    small_read: 4_096.0,
    reads: 10_000,
    short_processes: 1_000,
    failed_peer: 50.0,
    waited_for_disk: 50.0,
    waited_for_one: 50.0,
    waited_for_core: 20.0,
    idle: 50.0,
    time_limit: 90.0,
    wall_seconds: 10.0,
};

type Rule = fn(&Report) -> Option<Advice>;

/// In the order in which they are told, within one weight.
const RULES: &[Rule] = &[
    oom_kills,
    time_limit,
    failed_connections,
    throttled,
    serial,
    cpu_unused,
    waited_for_file,
    waited_for_peer,
    waited_for_disk,
    waited_for_core,
    imbalance,
    memory_high,
    memory_unused,
    memory_grows,
    small_reads,
    short_processes,
    idle,
];

/// What stands out in `report`, warnings first.
pub(super) fn advice(report: &Report) -> Vec<Advice> {
    let mut all: Vec<Advice> = RULES.iter().filter_map(|rule| rule(report)).collect();
    all.sort_by_key(|advice| advice.weight);
    all
}

fn said(rule: &str, weight: Weight, value: f64, threshold: f64, text: String) -> Option<Advice> {
    Some(Advice {
        rule: rule.to_owned(),
        weight,
        text,
        value,
        threshold,
    })
}

/// Whether it ran long enough to compare what it used with what it had.
fn is_long(report: &Report) -> bool {
    report.time.wall_seconds >= THRESHOLDS.wall_seconds
}

/// What was asked for or allowed; the whole host is neither.
fn asked(amount: Option<&Amount>) -> Option<&Amount> {
    amount.filter(|amount| amount.source != "host")
}

fn is_serial(report: &Report) -> bool {
    let cpu = &report.cpu;
    let (least, most) = THRESHOLDS.serial;
    let has_many = cpu.cores_had.as_ref().is_some_and(|had| had.value >= 2.0);
    has_many
        && is_long(report)
        && cpu.cores_mean > least
        && cpu.cores_mean < most
        && cpu.cores_peak < THRESHOLDS.serial_peak
}

fn oom_kills(report: &Report) -> Option<Advice> {
    let kills = report.memory.oom_kills;
    if kills == 0 {
        return None;
    }
    let had = report.memory.had.as_ref();
    let limit = had.map(|had| format!(" of {}", bytes(had.value as u64)));
    let limit = limit.unwrap_or_default();
    let whose = match had.and_then(|had| had.cgroup.as_deref()).map(clean) {
        Some(path) if path.is_empty() => format!("the limit{limit} of a cgroup above it"),
        Some(path) => format!("the limit{limit} of {path}, above it"),
        None => format!("its limit{limit}"),
    };
    let text = format!(
        "the kernel killed {} because memory ran out: it needs more than {whose}",
        things(kills, "process", "processes")
    );
    said("oom_kills", Weight::Warning, kills as f64, 1.0, text)
}

fn time_limit(report: &Report) -> Option<Advice> {
    let limit = report.time.limit.as_ref()?;
    let used = report.time.limit_used_percent?;
    let threshold = THRESHOLDS.time_limit;
    if used < threshold {
        return None;
    }
    let who = match limit.source.as_str() {
        "slurm" => "the job",
        _ => "it",
    };
    let text = format!(
        "{who} used {} of its time limit of {}: it may be ended before it is done",
        percent(used),
        seconds((limit.value * 1e9) as u64)
    );
    said("time_limit", Weight::Warning, used, threshold, text)
}

fn things(number: u64, one: &str, many: &str) -> String {
    format!("{} {}", count(number), if number == 1 { one } else { many })
}

/// Peers that the C library looks for, and does without: a name cache, whose address is not known, and the
/// log of the system.
const OPTIONAL_PEERS: [&str; 2] = ["", "/dev/log"];

fn failed_connections(report: &Report) -> Option<Advice> {
    let is_optional = |peer: &&PeerRow| OPTIONAL_PEERS.contains(&peer.address.as_str());
    let optional = report.network.rows.iter().filter(is_optional);
    let (mut failures, mut connects) =
        (report.network.total.failures, report.network.total.connects);
    for peer in optional {
        failures = failures.saturating_sub(peer.sums.failures);
        connects = connects.saturating_sub(peer.sums.connects);
    }
    if failures == 0 {
        return None;
    }
    let named = report.network.rows.iter().filter(|peer| !is_optional(peer));
    let share = |failures: u64, connects: u64| {
        let tried = failures.saturating_add(connects);
        100.0 * failures as f64 / tried.max(1) as f64
    };
    let most = named.max_by_key(|peer| peer.sums.failures);
    let (value, peer) = match most.filter(|peer| peer.sums.failures > 0) {
        Some(peer) => (
            share(peer.sums.failures, peer.sums.connects),
            match peer.sums.failures {
                all if all == failures => format!(", with {}", clean(&peer.address)),
                most => format!(", {} of them with {}", count(most), clean(&peer.address)),
            },
        ),
        None => (share(failures, connects), String::new()),
    };
    let threshold = THRESHOLDS.failed_peer;
    let weight = if value >= threshold {
        Weight::Warning
    } else {
        Weight::Note
    };
    let tried = failures.saturating_add(connects);
    let text = format!(
        "{} of {} failed{peer}",
        count(failures),
        things(tried, "connection", "connections")
    );
    said("failed_connections", weight, value, threshold, text)
}

fn throttled(report: &Report) -> Option<Advice> {
    let share = report.cpu.throttled_percent?;
    let threshold = THRESHOLDS.throttled;
    if share < threshold {
        return None;
    }
    let had = report.cpu.cores_had.as_ref();
    let had = had.filter(|had| had.source == "limit");
    let limit = had.map(|had| match number(had.value) {
        one if one == "1" => " of 1 core".to_owned(),
        cores => format!(" of {cores} cores"),
    });
    let limit = limit.unwrap_or_default();
    let (own, above) = (report.cpu.throttled_ns, report.cpu.throttled_above_ns);
    let cgroup = had.and_then(|had| had.cgroup.as_deref());
    let whose = match cgroup.map(clean).as_deref() {
        Some("") => format!("the CPU limit{limit} of a cgroup above it"),
        Some(path) => format!("the CPU limit{limit} of {path}, above it,"),
        None if above > own => "the CPU limit of a cgroup above it".to_owned(),
        None => format!("its CPU limit{limit}"),
    };
    let text = format!(
        "{whose} held back {} of the CPU time that it could have used",
        percent(share)
    );
    said("throttled", Weight::Warning, share, threshold, text)
}

fn serial(report: &Report) -> Option<Advice> {
    if !is_serial(report) {
        return None;
    }
    let had = report.cpu.cores_had.as_ref()?;
    let is_asked = had.source != "host";
    let weight = if is_asked {
        Weight::Warning
    } else {
        Weight::Note
    };
    let text = format!(
        "it seems to be serial: {} of {} cores used on average",
        number(report.cpu.cores_mean),
        number(had.value)
    );
    said(
        "serial",
        weight,
        report.cpu.cores_mean,
        THRESHOLDS.serial.1,
        text,
    )
}

fn cpu_unused(report: &Report) -> Option<Advice> {
    let cpu = &report.cpu;
    let had = asked(cpu.cores_had.as_ref())?;
    let used = cpu.used_percent?;
    // One cause, one piece of advice. What it waited for, it would have used.
    let waited = waited_cores(report).filter(|_| is_held_back(cpu, had));
    let wanted = used + waited.map_or(0.0, |cores| 100.0 * cores / had.value);
    if !is_long(report) || is_serial(report) || wanted >= THRESHOLDS.cpu_note {
        return None;
    }
    let (weight, threshold) = match used < THRESHOLDS.cpu_warning {
        true => (Weight::Warning, THRESHOLDS.cpu_warning),
        false => (Weight::Note, THRESHOLDS.cpu_note),
    };
    let text = format!(
        "only {} of {} cores used on average ({}), {} at most",
        number(cpu.cores_mean),
        number(had.value),
        percent(used),
        number(cpu.cores_peak)
    );
    said("cpu_unused", weight, used, threshold, text)
}

/// Whether it never got the cores that it had. If it did at times, its threads waited for each other then.
fn is_held_back(cpu: &Cpu, had: &Amount) -> bool {
    cpu.cores_peak < had.value * THRESHOLDS.cpu_note / 100.0
}

/// How many cores its threads waited for on average.
fn waited_cores(report: &Report) -> Option<f64> {
    let waited = report.budget.as_ref()?.core_ns as f64 / 1e9;
    Some(waited / report.time.wall_seconds.max(1e-9))
}

/// The share of `part` in `all`, in percent.
fn share(part: u64, all: &[u64]) -> f64 {
    let all = all.iter().fold(0, |sum: u64, ns| sum.saturating_add(*ns));
    100.0 * part as f64 / all.max(1) as f64
}

/// Says that threads waited mostly for `name`.
fn waited_for_one(report: &Report, rule: &str, name: &str, waited_ns: u64) -> Option<Advice> {
    let budget = report.budget.as_ref()?;
    let value = share(waited_ns, &[budget.busy_ns()]);
    let threshold = THRESHOLDS.waited_for_one;
    if !is_long(report) || value < threshold {
        return None;
    }
    let text = format!(
        "waited {} for {}: {} in all threads, which ran for {}",
        percent(value),
        clean(name),
        seconds(waited_ns),
        seconds(budget.running_ns)
    );
    said(rule, Weight::Note, value, threshold, text)
}

fn waited_for_file(report: &Report) -> Option<Advice> {
    let row = report.files.longest_wait.as_ref()?;
    waited_for_one(report, "waited_for_file", &row.path, row.sums.waited_ns)
}

fn waited_for_peer(report: &Report) -> Option<Advice> {
    let row = report.network.longest_wait.as_ref()?;
    waited_for_one(report, "waited_for_peer", &row.address, row.sums.waited_ns)
}

fn waited_for_disk(report: &Report) -> Option<Advice> {
    let budget = report.budget.as_ref()?;
    let disk = budget.disk_ns;
    let value = share(disk, &[disk, budget.core_ns, budget.running_ns]);
    let threshold = THRESHOLDS.waited_for_disk;
    // One cause, one piece of advice.
    if !is_long(report) || value < threshold || waited_for_file(report).is_some() {
        return None;
    }
    let text = format!(
        "its threads waited mostly for a disk or a file system: {} while they ran for {}",
        seconds(disk),
        seconds(budget.running_ns)
    );
    said("waited_for_disk", Weight::Note, value, threshold, text)
}

fn waited_for_core(report: &Report) -> Option<Advice> {
    let budget = report.budget.as_ref()?;
    let value = share(budget.core_ns, &[budget.core_ns, budget.running_ns]);
    let threshold = THRESHOLDS.waited_for_core;
    // Who was held back by a limit is told by another rule.
    let is_throttled = report.cpu.throttled_percent >= Some(THRESHOLDS.throttled);
    if !is_long(report) || is_throttled || value < threshold {
        return None;
    }
    let cpu = &report.cpu;
    let used = cpu.used_percent.filter(|used| *used < THRESHOLDS.cpu_note);
    let why = match (&cpu.cores_had, used) {
        (Some(had), Some(_)) if is_held_back(cpu, had) => {
            // Its affinity is known otherwise.
            let is_affinity_known = ["affinity", "cpuset"].contains(&had.source.as_str());
            format!(
                "it got {} of {} cores, others used the rest{}",
                number(cpu.cores_mean),
                number(had.value),
                if is_affinity_known {
                    ""
                } else {
                    ", or its affinity excludes it"
                }
            )
        }
        _ => "there were more of them than free cores".to_owned(),
    };
    let text = format!(
        "its threads waited {} for a core while they ran for {}: {why}",
        seconds(budget.core_ns),
        seconds(budget.running_ns)
    );
    said("waited_for_core", Weight::Note, value, threshold, text)
}

fn imbalance(report: &Report) -> Option<Advice> {
    let value = report.cpu.imbalance_percent?;
    // The cores of a run that uses about one are not meant to be equal.
    if !is_long(report) || report.cpu.cores_mean < 1.5 || value <= THRESHOLDS.imbalance_note {
        return None;
    }
    let (weight, threshold) = match value > THRESHOLDS.imbalance_warning {
        true => (Weight::Warning, THRESHOLDS.imbalance_warning),
        false => (Weight::Note, THRESHOLDS.imbalance_note),
    };
    let text = format!(
        "the cores were not used evenly: the mean is {} below the busiest one",
        percent(value)
    );
    said("imbalance", weight, value, threshold, text)
}

/// Memory in percent of what it had. `needed` is a part that the kernel cannot take back, if that is
/// known: the page cache fills any limit.
fn memory_share(report: &Report, needed: Option<u64>) -> Option<f64> {
    let memory = &report.memory;
    let had = memory.had.as_ref()?;
    match needed {
        Some(needed) => Some(100.0 * needed as f64 / had.value.max(1.0)),
        None => memory.used_percent,
    }
}

fn memory_high(report: &Report) -> Option<Advice> {
    let memory = &report.memory;
    let had = asked(memory.had.as_ref())?;
    let used = memory_share(report, memory.anon_bytes)?;
    if used < THRESHOLDS.memory_high || memory.oom_kills > 0 {
        return None;
    }
    let text = format!(
        "memory was close to its limit: {} of {}",
        percent(used),
        bytes(had.value as u64)
    );
    said(
        "memory_high",
        Weight::Note,
        used,
        THRESHOLDS.memory_high,
        text,
    )
}

fn memory_unused(report: &Report) -> Option<Advice> {
    let memory = &report.memory;
    let had = asked(memory.had.as_ref())?;
    // Shared memory is resident in processes, and not anonymous.
    let needed = memory.anon_bytes.max(memory.resident_bytes);
    let (used, peak) = (memory_share(report, needed)?, needed.or(memory.peak_bytes)?);
    if !is_long(report) || used >= THRESHOLDS.memory_used {
        return None;
    }
    let text = format!(
        "only {} of {} memory used at most ({})",
        bytes(peak),
        bytes(had.value as u64),
        percent(used)
    );
    said(
        "memory_unused",
        Weight::Note,
        used,
        THRESHOLDS.memory_used,
        text,
    )
}

fn memory_grows(report: &Report) -> Option<Advice> {
    let memory = &report.memory;
    let growth = memory.growth.as_ref()?;
    let limit = memory.had.as_ref().map(|had| had.value);
    let whole = limit.unwrap_or(memory.peak_bytes? as f64);
    let grown = growth.to_bytes.saturating_sub(growth.from_bytes) as f64;
    let value = 100.0 * grown / whole.max(1.0);
    if !is_long(report) || value < THRESHOLDS.growth {
        return None;
    }
    let text = format!(
        "memory grew to the end, from {} to {}: a longer run may need more",
        bytes(growth.from_bytes),
        bytes(growth.to_bytes)
    );
    said("memory_grows", Weight::Note, value, THRESHOLDS.growth, text)
}

fn small_reads(report: &Report) -> Option<Advice> {
    // Pipes and terminals have messages of any size.
    let files = report.files.by_file.rows.iter();
    let small = files.filter(|row| row.kind == "file" && row.sums.reads >= THRESHOLDS.reads);
    let mean = |row: &super::form::FileRow| row.sums.read_bytes as f64 / row.sums.reads as f64;
    let small = small.filter(|row| mean(row) < THRESHOLDS.small_read);
    let worst = small.max_by_key(|row| row.sums.reads)?;
    let text = format!(
        "small reads: {} of {} on average, from {}",
        count(worst.sums.reads),
        bytes(mean(worst) as u64),
        clean(&worst.path)
    );
    said(
        "small_reads",
        Weight::Note,
        mean(worst),
        THRESHOLDS.small_read,
        text,
    )
}

fn short_processes(report: &Report) -> Option<Advice> {
    let processes = &report.processes;
    let short = processes.short;
    if short < THRESHOLDS.short_processes {
        return None;
    }
    let most = processes.commands.iter().max_by_key(|row| row.processes);
    // So many of its processes were short, even if all others that were not short are its own.
    let others = processes.started.saturating_sub(short);
    let most = most.filter(|row| row.processes.saturating_sub(others) > short / 2);
    let most = most.map(|row| format!(", most of them {}", clean(&row.name)));
    let text = format!(
        "{} processes of {} lived for less than a second{}",
        count(short),
        count(processes.started.max(short)),
        most.unwrap_or_default()
    );
    let threshold = THRESHOLDS.short_processes as f64;
    said(
        "short_processes",
        Weight::Note,
        short as f64,
        threshold,
        text,
    )
}

fn idle(report: &Report) -> Option<Advice> {
    let idle = &report.idle;
    if !is_long(report) || idle.percent < THRESHOLDS.idle {
        return None;
    }
    let text = format!(
        "idle {} of the time: {} with less than 1 % of a core",
        percent(idle.percent),
        seconds(idle.seconds.saturating_mul(1_000_000_000))
    );
    said("idle", Weight::Note, idle.percent, THRESHOLDS.idle, text)
}

#[cfg(test)]
mod tests;
