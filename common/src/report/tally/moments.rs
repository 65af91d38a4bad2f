//! Sums by time, in a bounded number of steps of equal length.

use std::collections::BTreeMap;

use crate::segment::cell::{Row, Value as _};
use crate::segment::wait::Waits;

/// Maximum number of steps. Beyond it they become twice as long.
const MAX_MOMENTS: usize = 8_192;

/// Lengths of a step, in seconds. Each is a multiple of the one before, and so are minutes, hours and
/// days.
const STEPS: [u64; 12] = [1, 2, 4, 12, 60, 120, 240, 720, 3_600, 7_200, 21_600, 86_400];

/// One step.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moment {
    /// Seconds of it that are known.
    pub known: u64,
    /// CPU time of all processes, ns.
    pub cpu: u64,
    /// CPU time by the cgroup, ns.
    pub cgroup_cpu: u64,
    /// Highest anonymous memory of the cgroup, bytes; 0 if it was not read.
    pub anon: u64,
    /// Highest memory of the cgroup, bytes; 0 if it was not read.
    pub memory: u64,
    /// Highest resident memory of all processes at one time, bytes.
    pub resident: u64,
    /// Waits of all processes.
    pub waits: Waits,
    /// The part of the waits for a lock that is of threads without work.
    pub idle: u64,
}

/// Sums by time.
#[derive(Debug)]
pub struct Moments {
    step: u64,
    by_start: BTreeMap<u64, Moment>,
}

impl Default for Moments {
    fn default() -> Self {
        Self {
            step: 1,
            by_start: BTreeMap::new(),
        }
    }
}

impl Moment {
    pub(in super::super) fn absorb(&mut self, other: &Self) {
        self.known += other.known;
        self.cpu = self.cpu.saturating_add(other.cpu);
        self.cgroup_cpu = self.cgroup_cpu.saturating_add(other.cgroup_cpu);
        self.anon = self.anon.max(other.anon);
        self.memory = self.memory.max(other.memory);
        self.resident = self.resident.max(other.resident);
        self.waits.absorb(Row(0, 0), &other.waits);
        self.idle = self.idle.saturating_add(other.idle);
    }
}

impl Moments {
    /// Length of a step in seconds.
    pub fn step(&self) -> u64 {
        self.step
    }

    /// The step that the slot of `length` seconds at `start` is in. Steps are at least as long as the
    /// longest slot.
    pub(super) fn at(&mut self, start: u64, length: u64) -> &mut Moment {
        while self.step < length {
            self.lengthen();
        }
        let key = |step: u64| start - start % step;
        while self.by_start.len() >= MAX_MOMENTS && !self.by_start.contains_key(&key(self.step)) {
            self.lengthen();
        }
        self.by_start.entry(key(self.step)).or_default()
    }

    fn lengthen(&mut self) {
        let longer = STEPS.into_iter().find(|step| *step > self.step);
        self.step = longer.unwrap_or_else(|| self.step.saturating_mul(2));
        let former = std::mem::take(&mut self.by_start);
        for (start, moment) in former {
            let start = start - start % self.step;
            self.by_start.entry(start).or_default().absorb(&moment);
        }
    }

    /// The steps with data, in order. The known time of each is at most its length.
    pub fn known(&self) -> impl DoubleEndedIterator<Item = (u64, Moment)> {
        let known = self.by_start.iter().filter(|(_, moment)| moment.known > 0);
        known.map(|(start, moment)| {
            let known = moment.known.min(self.step);
            (*start, Moment { known, ..*moment })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{MAX_MOMENTS, Moments};

    #[test]
    fn steps_are_bounded_and_lose_nothing() {
        let mut moments = Moments::default();
        for second in 0..3 * MAX_MOMENTS as u64 {
            let moment = moments.at(1_000 + second, 1);
            moment.cpu += 7;
            moment.known += 1;
        }
        assert_eq!(moments.step(), 4);
        assert!(moments.known().count() <= MAX_MOMENTS);
        let sum = |of: fn(&super::Moment) -> u64| moments.known().map(|(_, it)| of(&it)).sum();
        let (cpu, known): (u64, u64) = (sum(|it| it.cpu), sum(|it| it.known));
        assert_eq!((cpu, known), (7 * known, 3 * MAX_MOMENTS as u64));
    }

    #[test]
    fn a_step_is_at_least_as_long_as_a_slot() {
        let mut moments = Moments::default();
        moments.at(7, 1).known += 1;
        moments.at(60, 60).known += 60;
        assert_eq!(moments.step(), 60);
        let starts: Vec<(u64, u64)> = moments.known().map(|(at, it)| (at, it.known)).collect();
        assert_eq!(starts, [(0, 1), (60, 60)]);
    }
}
