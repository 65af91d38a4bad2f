//! CPU of a report.

use super::super::context::Context;
use super::super::form::{Amount, Core, Cpu, TimeBudget};
use super::super::tally::Container;
use super::numbers::{at, had, is_sampled, limit_cgroup, rounded, thousandths};
use super::time::Span;
use crate::segment::facts;
use crate::segment::total::Metric;

/// Share of the busiest core from which on a core counts as used.
const MIN_CORE_SHARE: f64 = 0.01;

/// The CPU of a report. `budget` has what its threads waited for a core.
pub(super) fn cpu(
    sums: &Container,
    span: &Span,
    context: &Context,
    budget: Option<&TimeBudget>,
) -> Cpu {
    let in_processes = sums.cpu_ns();
    let of_cgroup = sums
        .total(Metric::CPU_USER)
        .zip(sums.total(Metric::CPU_SYSTEM));
    let of_cgroup = of_cgroup.map(|(user, system)| user.saturating_add(system));
    // Scans of /proc miss short processes, which the cgroup has.
    let time_ns = match of_cgroup {
        Some(cgroup) if is_sampled(sums) => cgroup.max(in_processes),
        _ => in_processes,
    };
    let above = throttled_above(sums, budget);
    let known = span.known_ns as f64;
    let mean = if known > 0.0 {
        time_ns as f64 / known
    } else {
        0.0
    };
    let cores_had = had(context.asked.cores, context.slurm.cores, allowed(sums));
    let value = cores_had.as_ref().map(|had| had.value);
    let used = sums.cores.values().filter(|ns| **ns > 0).count() as f64;
    let percent = |ns: u64| {
        if known > 0.0 {
            100.0 * ns as f64 / known
        } else {
            0.0
        }
    };
    Cpu {
        time_ns,
        in_no_process_ns: of_cgroup.map(|cgroup| cgroup.saturating_sub(in_processes)),
        user_ns: sums.total(Metric::CPU_USER),
        system_ns: sums.total(Metric::CPU_SYSTEM),
        cores_mean: thousandths(mean),
        // What is known of the busiest slot may be a part of it.
        cores_peak: thousandths((sums.cpu_peak.value as f64 / 1e9).max(mean)),
        cores_peak_at: at(sums.cpu_peak),
        used_percent: value.map(|had| rounded(100.0 * mean / had)),
        cores: sums
            .cores
            .iter()
            .map(|(core, ns)| Core {
                core: *core,
                time_ns: *ns,
                percent: rounded(percent(*ns)),
            })
            .collect(),
        cores_idle: value.map(|had| (had.ceil() - used).max(0.0) as u64),
        imbalance_percent: imbalance(sums, cores_had.as_ref()),
        cores_had,
        throttled_ns: sums.total(Metric::CPU_THROTTLED),
        throttled_above_ns: above,
        throttled_percent: throttled_percent(sums, above, of_cgroup.unwrap_or(in_processes)),
    }
}

/// The cores that it could use: the least of its limit, its cpuset, the cores on which its first process
/// may run, and those of the host.
fn allowed(sums: &Container) -> Option<Amount> {
    let fact = |name: &str| sums.facts.get(name)?.parse::<f64>().ok();
    let limit = sums.total(Metric::CPU_LIMIT);
    let limit = limit.map(|limit| limit as f64 / 1e3);
    let cpuset = sums.total(Metric::CPUSET_CORES).map(|cores| cores as f64);
    // One that is not below those before it does not bind.
    let [host, cpuset, affinity, limit] = [
        (fact(facts::CORES), "host"),
        (cpuset, "cpuset"),
        (fact(facts::AFFINITY), "affinity"),
        (limit, "limit"),
    ]
    .map(|(value, source)| {
        let value = value.filter(|value| value.is_finite() && *value > 0.0);
        value.map(|value| Amount::of(value, source))
    });
    let limit = limit.map(|limit| Amount {
        cgroup: limit_cgroup(sums, Metric::CPU_LIMIT_LEVEL),
        ..limit
    });
    let all = [host, cpuset, affinity, limit].into_iter().flatten();
    all.reduce(|least, next| {
        if next.value < least.value {
            next
        } else {
            least
        }
    })
}

/// Time held back by the limits of cgroups above its own. They hold back all that is in them: what of it
/// was its own is at most what its threads waited for a core.
fn throttled_above(sums: &Container, budget: Option<&TimeBudget>) -> Option<u64> {
    let all = sums.total(Metric::CPU_THROTTLED_ABOVE)?;
    // Without waits it is not known whether any of it was its own.
    budget.map(|budget| all.min(budget.core_ns))
}

/// Throttled time in percent of the CPU time that would have been used without the limit: used and
/// throttled. The kernel adds throttled time up over the cores, so it may exceed the time that passed.
fn throttled_percent(sums: &Container, above: Option<u64>, used_ns: u64) -> Option<f64> {
    let own = sums.total(Metric::CPU_THROTTLED);
    let throttled_ns = own.into_iter().chain(above).reduce(u64::saturating_add)?;
    let could = throttled_ns as f64 + used_ns as f64;
    Some(rounded(100.0 * throttled_ns as f64 / could.max(1.0)))
}

/// How far the mean of the cores is below the busiest one, in percent: 1 − load balance efficiency
/// (POP, <https://co-design.pop-coe.eu/metrics/load_balance_efficiency.html>).
fn imbalance(sums: &Container, had: Option<&Amount>) -> Option<f64> {
    let busiest = sums.cores.values().copied().max().filter(|ns| *ns > 0)? as f64;
    let all = sums.cores.values().map(|ns| *ns as f64);
    let used: Vec<f64> = all.filter(|ns| *ns >= MIN_CORE_SHARE * busiest).collect();
    // Of the whole host it is not known which cores were meant to be used.
    let count = match had {
        Some(had) if had.source != "host" => had.value.ceil() as usize,
        _ => used.len(),
    };
    if count < 2 || used.len() > count {
        return None;
    }
    let mean = used.iter().sum::<f64>() / count as f64;
    Some(rounded(100.0 * (1.0 - mean / busiest)))
}
