//! Makes the form of a report from the sums of a container.

mod cpu;
mod cut;
mod files;
mod numbers;
mod processes;
mod series;
mod time;
mod tree;

pub(super) use self::cut::cut;
use self::numbers::{at, had, limit_cgroup, network_sums, rounded};
use self::time::Span;
use super::context::Context;
use super::form::{
    About, Amount, EventRow, Events, Folded, Growth, Lost, Memory, Network, PeerRow, Report,
    ReportPressure, SCHEMA,
};
use super::tally::{Container, Moment, Peak, Peer};
use super::words;
use crate::segment::network::{NetworkIo, Role};
use crate::segment::total::Metric;
use crate::segment::{ContainerId, facts, loss};

/// Moments from which on growth of memory can be told.
const MIN_GROWTH_MOMENTS: usize = 8;

/// The report with whole lists, without advice.
pub(super) fn report(id: &ContainerId, sums: &Container, context: &Context) -> Report {
    let span = Span::new(sums, context);
    let budget = time::budget(sums);
    Report {
        schema: SCHEMA.to_owned(),
        container: about(id, sums),
        time: span.time(sums, context),
        advice: Vec::new(),
        cpu: cpu::cpu(sums, &span, context, budget.as_ref()),
        memory: memory(sums, context),
        files: files::files(sums),
        network: network(sums),
        processes: processes::processes(sums),
        budget,
        series: series::series(sums, &span),
        idle: time::idle(sums),
        pressure: ReportPressure {
            cpu_percent: percent_of_time(sums, &span, Metric::PRESSURE_CPU_SOME),
            memory_percent: percent_of_time(sums, &span, Metric::PRESSURE_MEMORY_SOME),
            io_percent: percent_of_time(sums, &span, Metric::PRESSURE_IO_SOME),
        },
        events: events(sums),
        folded: Folded {
            processes: sums.folded.processes,
            files: sums.folded.files,
            connections: sums.folded.connections,
        },
        losses: losses(sums),
        missing: missing(sums, context),
    }
}

fn about(id: &ContainerId, sums: &Container) -> About {
    let fact = |name: &str| sums.facts.get(name).cloned().unwrap_or_default();
    About {
        id: id.to_string(),
        name: fact(facts::NAME),
        image: fact(facts::IMAGE),
        host: fact(facts::HOST),
        hooks: fact(facts::HOOKS),
        exit_code: fact(facts::EXIT_CODE).parse().ok(),
    }
}

fn percent_of_time(sums: &Container, span: &Span, metric: Metric) -> Option<f64> {
    let ns = sums.total(metric)?;
    (span.known_ns > 0).then(|| rounded((100.0 * ns as f64 / span.known_ns as f64).min(100.0)))
}

fn memory(sums: &Container, context: &Context) -> Memory {
    let of_cgroup = cgroup_peak(sums);
    let of_processes = Some(sums.resident_peak).filter(|peak| peak.value > 0);
    let peak = of_cgroup.or(of_processes);
    let source = match (of_cgroup, of_processes) {
        (Some(_), _) => "cgroup",
        (None, Some(_)) => "processes",
        (None, None) => "",
    };
    let host = sums.facts.get(facts::HOST_MEMORY);
    let host = host.and_then(|bytes| bytes.parse::<u64>().ok());
    let limit = sums.total(Metric::MEMORY_LIMIT).filter(|limit| *limit > 0);
    let limit = limit.filter(|limit| host.is_none_or(|host| *limit < host));
    let limit = limit.map(|limit| Amount {
        cgroup: limit_cgroup(sums, Metric::MEMORY_LIMIT_LEVEL),
        ..Amount::of(limit as f64, "limit")
    });
    let [asked, slurm] = [&context.asked, &context.slurm].map(|it| it.memory);
    let [asked, slurm] = [asked, slurm].map(|bytes| bytes.map(|bytes| bytes as f64));
    let had = had(asked, slurm, limit);
    let percent = |peak: Peak| {
        let had = had.as_ref()?.value;
        Some(rounded(100.0 * peak.value as f64 / had))
    };
    Memory {
        peak_bytes: peak.map(|peak| peak.value),
        peak_at: peak.and_then(at),
        peak_source: source.to_owned(),
        resident_bytes: of_processes.map(|peak| peak.value),
        anon_bytes: sums.total(Metric::MEMORY_ANON),
        file_bytes: sums.total(Metric::MEMORY_FILE),
        swap_bytes: sums.total(Metric::MEMORY_SWAP),
        used_percent: peak.and_then(percent),
        had,
        oom_kills: sums.total(Metric::OOM_KILLS).unwrap_or(0),
        growth: growth(sums),
    }
}

/// The highest memory of the cgroup. The kernel's own peak knows what came and went between two
/// readings, but counts from the creation of the cgroup: it counts if it rose, or began here.
fn cgroup_peak(sums: &Container) -> Option<Peak> {
    let read = sums.totals.get(&Metric::MEMORY_CURRENT).copied();
    let kernel = sums.totals.get(&Metric::MEMORY_PEAK).copied();
    let started = sums.facts.get(facts::STARTED);
    let started = started.and_then(|at| at.parse::<u64>().ok());
    let first = sums.observed.span().map_or(0, |(first, _)| first);
    let is_new = started.is_some_and(|at| at / 1_000_000_000 + 1 >= first);
    let kernel = kernel.filter(|kernel| {
        let before = sums.first_memory_peak.map_or(0, |peak| peak.value);
        is_new || kernel.value > before
    });
    match (read, kernel) {
        (Some(read), Some(kernel)) if read.value >= kernel.value => Some(read),
        (read, kernel) => kernel.or(read),
    }
}

/// Memory that grew from each quarter of the time to the next.
fn growth(sums: &Container) -> Option<Growth> {
    let moments: Vec<Moment> = sums.moments.known().map(|(_, moment)| moment).collect();
    let has_anon = moments.iter().any(|moment| moment.anon > 0);
    let value = |moment: &Moment| {
        if has_anon {
            moment.anon
        } else {
            moment.resident
        }
    };
    let values: Vec<u64> = moments
        .iter()
        .map(value)
        .filter(|bytes| *bytes > 0)
        .collect();
    if values.len() < MIN_GROWTH_MOMENTS {
        return None;
    }
    let quarter = values.len() / 4;
    let mean = |part: usize| {
        let end = if part == 3 {
            values.len()
        } else {
            (part + 1) * quarter
        };
        let values = &values[part * quarter..end];
        values.iter().map(|bytes| u128::from(*bytes)).sum::<u128>() / values.len() as u128
    };
    let means = [0, 1, 2, 3].map(mean);
    means.is_sorted_by(|a, b| a < b).then(|| Growth {
        what: if has_anon { "anonymous" } else { "resident" }.to_owned(),
        from_bytes: means[0] as u64,
        to_bytes: means[3] as u64,
    })
}

fn network(sums: &Container) -> Network {
    let total = network_sums(sums.network_io);
    let row = |peer: &Peer, io: NetworkIo| PeerRow {
        protocol: peer.protocol.name().to_owned(),
        role: peer.role.name().to_owned(),
        address: peer.address.clone(),
        sums: network_sums(io),
    };
    let sorted = sums.peers.sorted();
    // A server waits for clients that have nothing to ask.
    let asked = sorted.iter().filter(|(peer, io)| {
        peer.role == Role::Client && !peer.address.is_empty() && io.waited > 0
    });
    let longest_wait = asked.max_by_key(|(_, io)| io.waited);
    let longest_wait = longest_wait.map(|(peer, io)| row(peer, **io));
    let rows: Vec<PeerRow> = sorted.iter().map(|(peer, io)| row(peer, **io)).collect();
    let rest = rows
        .iter()
        .fold(total.clone(), |rest, row| rest.without(&row.sums));
    Network {
        total,
        longest_wait,
        count: sums.peers.count(),
        rows,
        rest,
    }
}

fn events(sums: &Container) -> Events {
    let rows = sums.events.iter();
    let rows = rows.map(|(at, kind, process, detail)| EventRow {
        at: *at as f64 / 1e9,
        kind: kind.name().to_owned(),
        process: process.clone(),
        detail: detail.clone(),
    });
    Events {
        count: sums.events_count,
        rows: rows.collect(),
    }
}

/// All losses. Seconds that were observed in part are in the report's time.
fn losses(sums: &Container) -> Vec<Lost> {
    let losses = sums.losses.iter();
    let lost = losses.filter(|(reason, _)| **reason != loss::Reason::PARTIAL.0);
    lost.map(|(reason, loss)| Lost {
        reason: match loss::Reason(*reason).name() {
            "" => "unknown",
            name => name,
        }
        .to_owned(),
        count: loss.count,
        bytes: loss.bytes,
    })
    .collect()
}

/// What could not be counted, one sentence each.
fn missing(sums: &Container, context: &Context) -> Vec<String> {
    let mut missing = context.missing.clone();
    let (all, beside) = (sums.cpu_ns(), sums.cpu_beside_waits_ns());
    if sums.waits.is_some() && beside < all {
        missing.push(format!(
            "waits of a part of the time, in which processes used {} of {} CPU time",
            words::seconds(beside),
            words::seconds(all)
        ));
    }
    missing
}

#[cfg(test)]
mod tests;
