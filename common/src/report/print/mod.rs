//! The parts of a report as a document.

mod lists;

use super::document::{Block, Text};
use super::form::{Amount, Cpu, FileGroup, Files, Memory, Report, TimeBudget, Weight};
use super::words::{bytes, clean, count, day, ns, number, percent, second, seconds};

/// Cores that are listed one by one.
const MAX_CORES: usize = 16;
/// Share of the CPU time from which on it is told that no process accounts for it.
const UNSEEN_SHARE: f64 = 0.01;
/// Waits for one file or peer below this share are not told, in percent.
const MIN_WAIT_PERCENT: f64 = 1.0;

/// The document of a report.
pub(super) fn blocks(report: &Report) -> Vec<Block> {
    let mut blocks = summary(report);
    blocks.extend(details(report));
    blocks
}

/// The figures of the whole, and what stands out.
pub(super) fn summary(report: &Report) -> Vec<Block> {
    let about = &report.container;
    let title = if about.name.is_empty() {
        &about.id
    } else {
        &about.name
    };
    let mut blocks = vec![Block::Title(Text::name(title)), Block::Facts(facts(report))];
    if !report.advice.is_empty() {
        blocks.push(Block::Heading("What stands out"));
        let items = report.advice.iter().map(|advice| {
            let weight = match advice.weight {
                Weight::Warning => "warning",
                Weight::Note => "note",
            };
            Text::Plain(format!("{weight}: {}", advice.text))
        });
        blocks.push(Block::List(items.collect()));
    }
    blocks
}

/// The lists, and what is not counted.
pub(super) fn details(report: &Report) -> Vec<Block> {
    let mut blocks = lists::lists(report);
    let uncounted = uncounted(report);
    if !uncounted.is_empty() {
        blocks.push(Block::Heading("Not counted, or not exactly"));
        blocks.push(Block::List(uncounted));
    }
    blocks
}

fn facts(report: &Report) -> Vec<(&'static str, Text)> {
    let about = &report.container;
    let mut facts: Vec<(&str, Text)> = Vec::new();
    if !about.name.is_empty() {
        facts.push(("id", Text::name(&about.id)));
    }
    if !about.image.is_empty() {
        facts.push(("image", Text::name(&about.image)));
    }
    if !about.host.is_empty() {
        facts.push(("host", Text::name(&about.host)));
    }
    let time = &report.time;
    let (from, to) = (day(ns(time.from)), day(ns(time.to)));
    let is_same_day = from.split(' ').next() == to.split(' ').next();
    let to = if is_same_day { second(ns(time.to)) } else { to };
    facts.push(("time", format!("{from} to {to} UTC").into()));
    let mut wall = seconds((time.wall_seconds * 1e9).round() as u64);
    if time.is_running {
        wall += ", still running";
    }
    if let Some(code) = about.exit_code {
        wall += &format!(", exit code {code}");
    }
    if let (Some(limit), Some(used)) = (&time.limit, time.limit_used_percent) {
        let limit = seconds((limit.value * 1e9) as u64);
        wall += &format!("; {} of its time limit of {limit} used", percent(used));
    }
    if time.gap_seconds > 0 {
        wall += &format!("; nothing is known of {} s of it", count(time.gap_seconds));
    }
    facts.push(("wall time", wall.into()));
    facts.extend(cpu(&report.cpu, &about.hooks));
    if let Some(of_threads) = &report.budget {
        facts.push(budget(of_threads));
        facts.extend(longest_waits(report, of_threads));
    }
    facts.extend(memory(&report.memory));
    facts.extend(files(&report.files, report.folded.files));
    let network = &report.network.total;
    let peers = match about.hooks.as_str() {
        "procfs" => "not known".to_owned(),
        _ => format!(
            "{} received, {} sent, {} connections, {} failed",
            bytes(network.received_bytes),
            bytes(network.sent_bytes),
            count(network.connects),
            count(network.failures)
        ),
    };
    facts.push(("network", peers.into()));
    let processes = &report.processes;
    let text = match about.hooks.as_str() {
        // Scans of /proc see no ends.
        "procfs" => format!("{} seen", count(processes.started)),
        _ => format!(
            "{} began, {} ended, {}{} of them not with code 0",
            count(processes.started),
            count(processes.ended),
            // How folded processes ended is not known.
            if report.folded.processes {
                "at least "
            } else {
                ""
            },
            count(processes.failed)
        ),
    };
    facts.push(("processes", text.into()));
    facts.extend(waits(report));
    facts
}

fn had(amount: &Amount, text: String) -> String {
    match amount.source.as_str() {
        "asked" => format!("{text} asked for"),
        "slurm" => format!("{text} of Slurm"),
        "limit" => match amount.cgroup.as_deref() {
            None => format!("{text} allowed"),
            Some("") => format!("{text} allowed by a cgroup above it"),
            Some(path) => format!("{text} allowed by {} above it", clean(path)),
        },
        "cpuset" => format!("{text} in its cpuset"),
        "affinity" => format!("{text} of its affinity"),
        _ => format!("{text} of the host"),
    }
}

fn cpu(cpu: &Cpu, hooks: &str) -> Vec<(&'static str, Text)> {
    let mut time = seconds(cpu.time_ns);
    if let (Some(user), Some(system)) = (cpu.user_ns, cpu.system_ns) {
        time += &format!(" ({} user, {} system)", seconds(user), seconds(system));
    }
    let unseen = cpu.in_no_process_ns.unwrap_or(0);
    if unseen as f64 > UNSEEN_SHARE * cpu.time_ns as f64 {
        let unseen = seconds(unseen);
        time += &match hooks {
            "procfs" => format!("; {unseen} of it in processes that no scan of /proc saw"),
            _ => format!("; {unseen} of the cgroup's count in no process"),
        };
    }
    let mut cores = format!(
        "{} on average, {} at most",
        number(cpu.cores_mean),
        number(cpu.cores_peak)
    );
    if let Some(at) = cpu.cores_peak_at {
        cores += &format!(" at {}", second(ns(at)));
    }
    if let (Some(amount), Some(used)) = (&cpu.cores_had, cpu.used_percent) {
        let text = had(amount, number(amount.value));
        cores += &format!("; {} of {text}", percent(used));
    }
    let mut facts = vec![("CPU time", time.into()), ("cores used", cores.into())];
    let mut by_core: Vec<String> = cpu
        .cores
        .iter()
        .take(MAX_CORES)
        .map(|core| format!("{}: {}", core.core, percent(core.percent)))
        .collect();
    if let Some(more) = cpu
        .cores
        .len()
        .checked_sub(MAX_CORES)
        .filter(|more| *more > 0)
    {
        by_core.push(format!("{more} more"));
    }
    if !by_core.is_empty() {
        let mut text = by_core.join(", ");
        if let Some(idle) = cpu.cores_idle.filter(|idle| *idle > 0) {
            text += &format!("; {idle} never used");
        }
        if let Some(imbalance) = cpu.imbalance_percent {
            text += &format!("; imbalance {}", percent(imbalance));
        }
        facts.push(("by core", text.into()));
    }
    let above = cpu.throttled_above_ns.unwrap_or(0);
    let all = cpu.throttled_ns.unwrap_or(0).saturating_add(above);
    if all > 0 {
        let mut text = format!(
            "{} over all cores, {} of the CPU time that it could have used",
            seconds(all),
            percent(cpu.throttled_percent.unwrap_or(0.0))
        );
        if above > 0 {
            text += &format!("; {} of it by limits of cgroups above it", seconds(above));
        }
        facts.push(("throttled", text.into()));
    }
    facts
}

/// The file and the peer that threads waited for longest.
fn longest_waits(report: &Report, budget: &TimeBudget) -> Option<(&'static str, Text)> {
    let file = report.files.longest_wait.as_ref();
    let file = file.map(|row| (row.sums.waited_ns, clean(&row.path)));
    let peer = report.network.longest_wait.as_ref();
    let peer = peer.map(|row| (row.sums.waited_ns, clean(&row.address)));
    let all = budget.busy_ns();
    let share = |ns: u64| 100.0 * ns as f64 / all.max(1) as f64;
    let mut waits: Vec<(u64, String)> = [file, peer].into_iter().flatten().collect();
    waits.retain(|(ns, _)| share(*ns) >= MIN_WAIT_PERCENT);
    waits.sort_by_key(|(ns, _)| std::cmp::Reverse(*ns));
    let waits = waits.iter().map(|(ns, name)| {
        let (share, time) = (percent(share(*ns)), seconds(*ns));
        format!("{share} for {name} ({time})")
    });
    let waits: Vec<String> = waits.collect();
    let text = format!(
        "{} of the {} that threads ran or were held up",
        waits.join(", "),
        seconds(all)
    );
    (!waits.is_empty()).then(|| ("waited", text.into()))
}

/// A state of threads in words.
pub(super) fn state_text(state: &str) -> &str {
    match state {
        "core" => "waiting for a core",
        "disk" => "for a disk",
        "network" => "for the network",
        "lock" => "for a lock or another thread",
        "pipe" => "for a pipe",
        "other" => "for something else",
        "child" => "for a child",
        "events" => "for events",
        "sleep" => "sleeping",
        "idle" => "without work",
        state => state,
    }
}

/// Where the time of all threads went, without what took none.
fn budget(budget: &TimeBudget) -> (&'static str, Text) {
    let states = budget.states().into_iter().filter(|(_, ns)| *ns > 0);
    let states: Vec<String> = states
        .map(|(state, ns)| format!("{} {}", state_text(state), seconds(ns)))
        .collect();
    ("threads", states.join(", ").into())
}

fn memory(memory: &Memory) -> Vec<(&'static str, Text)> {
    let Some(peak) = memory.peak_bytes else {
        return Vec::new();
    };
    let mut text = format!("{} at most", bytes(peak));
    if let Some(at) = memory.peak_at {
        text += &format!(" at {}", second(ns(at)));
    }
    if let (Some(amount), Some(used)) = (&memory.had, memory.used_percent) {
        let limit = had(amount, bytes(amount.value as u64));
        text += &format!("; {} of {limit}", percent(used));
    }
    let mut parts = Vec::new();
    for (what, part) in [
        ("anonymous", memory.anon_bytes),
        ("page cache", memory.file_bytes),
        ("swap", memory.swap_bytes.filter(|bytes| *bytes > 0)),
    ] {
        parts.extend(part.map(|part| format!("{what} {}", bytes(part))));
    }
    if memory.peak_source == "processes" {
        parts
            .push("of the processes together; pages not known as shared count for each".to_owned());
    } else {
        let resident = memory.resident_bytes;
        parts.extend(resident.map(|resident| format!("processes {}", bytes(resident))));
    }
    let mut facts = vec![("memory", text.into())];
    if !parts.is_empty() {
        facts.push(("", parts.join(", ").into()));
    }
    if memory.oom_kills > 0 {
        let text = format!("{} processes killed", count(memory.oom_kills));
        facts.push(("out of memory", text.into()));
    }
    facts
}

fn files(files: &Files, is_folded: bool) -> Vec<(&'static str, Text)> {
    let total = &files.total;
    let text = format!(
        "{} read in {} calls, {} written in {} calls, {} opened",
        bytes(total.read_bytes),
        count(total.reads),
        bytes(total.written_bytes),
        count(total.writes),
        count(total.opens)
    );
    let mut facts = vec![("files", text.into())];
    let group = |group: &FileGroup, what: &str| {
        let least = if is_folded { "at least " } else { "" };
        let (files, bytes) = (count(group.files), bytes(group.bytes));
        (group.files > 0).then(|| format!("{least}{files} {what} ({bytes})"))
    };
    let groups = [
        group(&files.only_read, "read and never written"),
        group(&files.only_written, "written and never read"),
        group(&files.read_and_written, "both"),
    ];
    let groups: Vec<String> = groups.into_iter().flatten().collect();
    if !groups.is_empty() {
        facts.push(("", groups.join(", ").into()));
    }
    if total.mapped_pages > 0 {
        let text = format!(
            "page faults brought in {} pages of mapped files",
            count(total.mapped_pages)
        );
        facts.push(("", text.into()));
    }
    if let (Some(read), Some(written)) = (files.block_read_bytes, files.block_written_bytes) {
        let text = format!("{} read, {} written", bytes(read), bytes(written));
        facts.push(("disk", text.into()));
    }
    facts
}

/// Idle time and pressure.
fn waits(report: &Report) -> Vec<(&'static str, Text)> {
    let mut facts = Vec::new();
    let idle = &report.idle;
    if idle.seconds > 0 {
        let mut text = format!(
            "{} s, {} of the time",
            count(idle.seconds),
            percent(idle.percent)
        );
        let phases: Vec<String> = idle
            .phases
            .iter()
            .map(|phase| format!("{} s at {}", count(phase.seconds), second(ns(phase.from))))
            .collect();
        if !phases.is_empty() {
            text += &format!("; longest {}", phases.join(", "));
        }
        facts.push(("idle", text.into()));
    }
    let pressure = &report.pressure;
    let waited: Vec<String> = [
        ("a core", pressure.cpu_percent),
        ("memory", pressure.memory_percent),
        ("I/O", pressure.io_percent),
    ]
    .into_iter()
    .filter_map(|(what, share)| Some((what, share.filter(|share| *share >= 0.05)?)))
    .map(|(what, share)| format!("for {what} {} of the time", percent(share)))
    .collect();
    if !waited.is_empty() {
        facts.push(("some waited", waited.join(", ").into()));
    }
    facts
}

/// What was lost, folded or cannot be counted: never left out.
fn uncounted(report: &Report) -> Vec<Text> {
    let losses = report.losses.iter().map(|loss| {
        let reason = match loss.reason.as_str() {
            "mapped_file" => "what was read and written in files mapped into memory".to_owned(),
            reason => reason.replace('_', " "),
        };
        let amount = match loss.bytes {
            0 => format!("{} times", count(loss.count)),
            lost => format!("{} times, {}", count(loss.count), bytes(lost)),
        };
        format!("lost: {reason}: {amount}")
    });
    let folded = [
        (report.folded.processes, "processes"),
        (report.folded.files, "files"),
        (report.folded.connections, "peers"),
    ];
    let folded = folded
        .into_iter()
        .filter(|(is_folded, _)| *is_folded)
        .map(|(_, what)| {
            format!("folded: some {what} are one row, with exact sums and without their names")
        });
    let partial = (report.time.partial_seconds > 0).then(|| {
        format!(
            "{} seconds were observed in part: the first and last of a run of the agent, or read late",
            count(report.time.partial_seconds)
        )
    });
    let coarse = (report.time.slot_seconds > 1).then(|| {
        format!(
            "peaks and phases are of slots of up to {} s: finer ones are not stored any more",
            count(report.time.slot_seconds)
        )
    });
    let missing = report.missing.iter().cloned();
    losses
        .chain(folded)
        .chain(partial)
        .chain(coarse)
        .chain(missing)
        .map(Text::Plain)
        .collect()
}
