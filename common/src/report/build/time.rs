//! The time of a report, and the phases without activity.

use super::super::context::Context;
use super::super::form::{Idle, Phase, Time, TimeBudget};
use super::super::tally::Container;
use super::numbers::{had, rounded};
use crate::segment::facts;
use crate::segment::loss::Reason;
use crate::segment::wait::{UNIT, Waits};

const SECOND: u64 = 1_000_000_000;
/// Share of one core below which a slot is idle. The page has the same threshold (server/ui,
/// account.ts).
const IDLE_SHARE: f64 = 0.01;
/// Phases that are listed.
const MAX_PHASES: usize = 3;
/// Length of a phase that is listed, in seconds: our choice.
const MIN_PHASE: u64 = 5;

/// The time of a report, in ns since the Unix epoch.
pub(super) struct Span {
    pub(super) begin: u64,
    pub(super) end: u64,
    gap_seconds: u64,
    /// Time with data, ns.
    pub(super) known_ns: u64,
}

impl Span {
    /// From the first moment of the container to its last one, as far as they are known; the time that
    /// was asked about, if nothing is.
    pub(super) fn new(sums: &Container, context: &Context) -> Self {
        let asked = &context.span;
        let (first, last) = sums.observed.span().unwrap_or((asked.start, asked.end));
        let fact = |name: &str| sums.facts.get(name)?.parse::<u64>().ok();
        // Start and end count if they are at the ends of the observed time: others are those of
        // another life.
        let slack = sums.longest_slot.max(2);
        let near = |at: u64, second: u64| (at / SECOND).abs_diff(second) <= slack;
        let (first_ns, last_ns) = (first.saturating_mul(SECOND), last.saturating_mul(SECOND));
        let known = context.known.clone().unwrap_or(0..u64::MAX);
        let begin = fact(facts::STARTED).filter(|at| near(*at, first) && at / SECOND >= first);
        let begin = begin.unwrap_or(first_ns.max(known.start).min(last_ns));
        let end = fact(facts::ENDED).filter(|at| near(*at, last) && at / SECOND < last);
        let end = end.unwrap_or(last_ns.min(known.end)).max(begin);
        let gap_seconds = last
            .saturating_sub(first)
            .saturating_sub(sums.observed.count());
        Self {
            begin,
            end,
            gap_seconds,
            known_ns: (end - begin).saturating_sub(gap_seconds * SECOND),
        }
    }

    pub(super) fn time(&self, sums: &Container, context: &Context) -> Time {
        let partial = sums.losses.get(&Reason::PARTIAL.0);
        let [asked, slurm] = [&context.asked, &context.slurm];
        let [of_asked, of_slurm] = [asked, slurm].map(|it| it.time.map(|seconds| seconds as f64));
        let limit = had(of_asked, of_slurm, None);
        let whose = if asked.time.is_some() { asked } else { slurm };
        let begin = whose
            .time_begin
            .map_or(self.begin, |begin| begin.saturating_mul(SECOND));
        let used = self.end.saturating_sub(begin) as f64 / 1e9;
        let used = limit.as_ref().map(|limit| 100.0 * used / limit.value);
        Time {
            from: self.begin as f64 / 1e9,
            to: self.end as f64 / 1e9,
            wall_seconds: (self.end - self.begin) as f64 / 1e9,
            gap_seconds: self.gap_seconds,
            partial_seconds: partial.map_or(0, |loss| loss.count),
            slot_seconds: sums.longest_slot,
            is_running: context.is_running,
            limit,
            limit_used_percent: used.map(rounded),
        }
    }
}

/// Where the time of all threads went.
pub(super) fn budget(sums: &Container) -> Option<TimeBudget> {
    Some(budget_of(
        &sums.waits?,
        sums.cpu_beside_waits_ns(),
        sums.idle,
    ))
}

/// The budget of threads that ran for `running_ns` and waited. `idle` of the waits for a lock are of
/// threads without work.
pub(super) fn budget_of(waits: &Waits, running_ns: u64, idle: u64) -> TimeBudget {
    let [
        core,
        disk,
        network,
        lock,
        events,
        child,
        sleep,
        pipe,
        stopped,
        other,
    ] = waits.columns().map(|wait| wait.saturating_mul(UNIT));
    let idle_ns = idle.saturating_mul(UNIT).min(lock);
    TimeBudget {
        running_ns,
        core_ns: core,
        disk_ns: disk,
        network_ns: network,
        lock_ns: lock - idle_ns,
        events_ns: events,
        child_ns: child,
        sleep_ns: sleep,
        pipe_ns: pipe,
        stopped_ns: stopped,
        other_ns: other,
        idle_ns,
    }
}

impl TimeBudget {
    /// The time of both.
    pub(super) fn plus(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_add)
    }

    /// What is left of this time without `other`.
    pub(super) fn without(&self, other: &Self) -> Self {
        self.with(other, u64::saturating_sub)
    }

    fn with(&self, other: &Self, both: fn(u64, u64) -> u64) -> Self {
        Self {
            running_ns: both(self.running_ns, other.running_ns),
            core_ns: both(self.core_ns, other.core_ns),
            disk_ns: both(self.disk_ns, other.disk_ns),
            network_ns: both(self.network_ns, other.network_ns),
            lock_ns: both(self.lock_ns, other.lock_ns),
            events_ns: both(self.events_ns, other.events_ns),
            child_ns: both(self.child_ns, other.child_ns),
            sleep_ns: both(self.sleep_ns, other.sleep_ns),
            pipe_ns: both(self.pipe_ns, other.pipe_ns),
            stopped_ns: both(self.stopped_ns, other.stopped_ns),
            other_ns: both(self.other_ns, other.other_ns),
            idle_ns: both(self.idle_ns, other.idle_ns),
        }
    }
}

impl TimeBudget {
    /// Time in which threads ran or were held up, ns: they waited for something that they had asked for.
    pub(in crate::report) fn busy_ns(&self) -> u64 {
        let parts = [
            self.running_ns,
            self.core_ns,
            self.disk_ns,
            self.network_ns,
            self.lock_ns,
            self.pipe_ns,
            self.other_ns,
        ];
        parts.into_iter().fold(0, u64::saturating_add)
    }
}

/// The time in which less than 1 % of one core was used.
pub(super) fn idle(sums: &Container) -> Idle {
    let step = sums.moments.step();
    let (mut idle, mut all) = (0, 0);
    let mut phases: Vec<(u64, u64)> = Vec::new();
    // The end of the latest idle slot.
    let mut open_until = None;
    for (start, moment) in sums.moments.known() {
        all += moment.known;
        // Scans of /proc miss short processes, which the cgroup has.
        let cpu = moment.cpu.max(moment.cgroup_cpu);
        if cpu as f64 >= IDLE_SHARE * (moment.known * SECOND) as f64 {
            continue;
        }
        idle += moment.known;
        match phases.last_mut() {
            Some((_, length)) if open_until == Some(start) => *length += moment.known,
            _ => phases.push((start, moment.known)),
        }
        open_until = Some(start + step);
    }
    phases.retain(|(_, seconds)| *seconds >= MIN_PHASE);
    phases.sort_by_key(|(start, seconds)| (std::cmp::Reverse(*seconds), *start));
    phases.truncate(MAX_PHASES);
    let phases = phases.into_iter().map(|(start, seconds)| Phase {
        from: start as f64,
        seconds,
    });
    Idle {
        seconds: idle,
        percent: match all {
            0 => 0.0,
            all => rounded(100.0 * idle as f64 / all as f64),
        },
        phases: phases.collect(),
    }
}
