//! Figures of a report by time.

use super::super::form::{ReportSeries, ReportStateSeries, TimeBudget};
use super::super::tally::{Container, Moment};
use super::numbers::{is_sampled, thousandths};
use super::time::{Span, budget_of};

const SECOND: u64 = 1_000_000_000;
/// Maximum number of steps: a chart of them is a hand wide.
const MAX_STEPS: u64 = 120;

/// A step, with the time of it that is known.
#[derive(Clone, Copy, Default)]
struct Step {
    moment: Moment,
    known_ns: u64,
}

/// The figures by time.
pub(super) fn series(sums: &Container, span: &Span) -> ReportSeries {
    let mut moments = sums.moments.known();
    let Some((first, _)) = moments.next() else {
        return ReportSeries::default();
    };
    let last = moments.next_back().map_or(first, |(start, _)| start);
    let step = sums.moments.step();
    let count = (last - first) / step + 1;
    let length = step.saturating_mul(count.div_ceil(MAX_STEPS));
    let mut steps = vec![Step::default(); ((last - first) / length + 1) as usize];
    for (start, moment) in sums.moments.known() {
        let to = &mut steps[((start - first) / length) as usize];
        to.moment.absorb(&moment);
        to.known_ns += known_ns(start, step, &moment, span);
    }
    let first = first + join_ends(&mut steps, length) * length;
    let cpu = |moment: &Moment| match is_sampled(sums) {
        // Scans of /proc miss short processes, which the cgroup has.
        true => moment.cpu.max(moment.cgroup_cpu),
        false => moment.cpu,
    };
    let memory = steps.iter().map(|step| {
        let moment = &step.moment;
        let bytes = if moment.memory > 0 {
            moment.memory
        } else {
            moment.resident
        };
        (bytes > 0).then_some(bytes)
    });
    ReportSeries {
        from: first as f64,
        step_seconds: length,
        cores: by_step(&steps, |step| {
            cpu(&step.moment) as f64 / step.known_ns as f64
        }),
        memory_bytes: memory.collect(),
        states: if sums.waits.is_some() {
            states(&steps)
        } else {
            Vec::new()
        },
    }
}

/// Joins a first and a last step of which less than half is known with their neighbours: what is read a moment
/// late would be a peak there. Returns how many steps are gone at the beginning.
fn join_ends(steps: &mut Vec<Step>, length: u64) -> u64 {
    let is_short = |step: &Step| {
        let half = length.saturating_mul(SECOND / 2);
        step.known_ns < half
    };
    if let [.., before, last] = steps.as_mut_slice()
        && is_short(last)
        && !is_short(before)
    {
        before.absorb(last);
        steps.pop();
    }
    if let [first, next, ..] = steps.as_mut_slice()
        && is_short(first)
        && !is_short(next)
    {
        next.absorb(first);
        steps.remove(0);
        return 1;
    }
    0
}

impl Step {
    fn absorb(&mut self, other: &Self) {
        self.moment.absorb(&other.moment);
        self.known_ns += other.known_ns;
    }
}

/// The known time of a moment of `step` seconds. What was observed may begin and end within one.
fn known_ns(start: u64, step: u64, moment: &Moment, span: &Span) -> u64 {
    let begin = start.saturating_mul(SECOND);
    let end = start.saturating_add(step).saturating_mul(SECOND);
    let inside = end.min(span.end).saturating_sub(begin.max(span.begin));
    inside.min(moment.known.saturating_mul(SECOND))
}

/// A value of each step; `None` where nothing is known.
fn by_step(steps: &[Step], value: impl Fn(&Step) -> f64) -> Vec<Option<f64>> {
    let known = steps
        .iter()
        .map(|step| (step.known_ns > 0).then(|| value(step)));
    known.map(|value| value.map(thousandths)).collect()
}

/// Threads by state, without states that do not occur.
fn states(steps: &[Step]) -> Vec<ReportStateSeries> {
    let names = TimeBudget::default().states().map(|(state, _)| state);
    let threads = |index: usize| {
        by_step(steps, |step| {
            let moment = &step.moment;
            let states = budget_of(&moment.waits, moment.cpu, moment.idle).states();
            states[index].1 as f64 / step.known_ns as f64
        })
    };
    let all = names
        .into_iter()
        .enumerate()
        .map(|(index, state)| ReportStateSeries {
            state: state.to_owned(),
            threads: threads(index),
        });
    all.filter(|state| state.threads.iter().flatten().any(|threads| *threads > 0.0))
        .collect()
}
