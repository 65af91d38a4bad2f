//! What the programs in the kernel cost, by samples: measuring each run would
//! cost more than many a run itself, so one drain in many is measured, and the
//! time between is reckoned at the same rate.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use super::bpf;

/// One drain in so many is measured.
const EVERY: u64 = 32;

/// Samples, and what they add up to.
pub struct CostSampler {
    turns: u64,
    /// While a sample is taken: what keeps the kernel measuring, and the time run before.
    sample: Option<(OwnedFd, u64)>,
    begun: Instant,
    /// Ns in the kernel per ns, by the last sample.
    rate: f64,
    total: f64,
}

impl CostSampler {
    /// Nothing measured yet.
    pub fn new() -> Self {
        Self {
            turns: 0,
            sample: None,
            begun: Instant::now(),
            rate: 0.0,
            total: 0.0,
        }
    }

    /// Time that the programs ran so far, ns; 0 where the kernel does not say.
    pub fn total(&self) -> u64 {
        self.total as u64
    }

    /// A drain is over: ends a sample, begins one, or reckons.
    pub fn turn<'a>(&mut self, programs: impl Iterator<Item = &'a OwnedFd>) {
        let elapsed = self.begun.elapsed().as_nanos() as f64;
        self.begun = Instant::now();
        let begin = self.turns.is_multiple_of(EVERY);
        self.turns += 1;
        if begin || self.sample.is_some() {
            let ran: u64 = programs
                .filter_map(|program| bpf::cost(program.as_fd()).ok())
                .map(|cost| cost.run_ns)
                .sum();
            if let Some((_, before)) = self.sample.take() {
                self.rate = ran.saturating_sub(before) as f64 / elapsed.max(1.0);
            } else if let Ok(measuring) = bpf::measure() {
                self.sample = Some((measuring, ran));
            }
        }
        self.total += self.rate * elapsed;
    }
}

impl Default for CostSampler {
    fn default() -> Self {
        Self::new()
    }
}
