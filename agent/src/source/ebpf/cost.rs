//! Time that the programs take in the kernel, estimated from samples.
//!
//! Measuring a run costs more than many runs take, so only some drains are measured. The time
//! between is estimated at the rate of the last sample.

use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use super::bpf;

/// Drains between two samples.
const SAMPLE_INTERVAL: u64 = 32;

/// Takes samples and sums them up.
pub struct CostSampler {
    drains: u64,
    /// While a sample is taken: the descriptor that enables statistics, and the run time before.
    sample: Option<(OwnedFd, u64)>,
    begun: Instant,
    /// Ns in the kernel per ns, by the last sample.
    rate: f64,
    total: f64,
}

impl CostSampler {
    /// No samples yet.
    pub fn new() -> Self {
        Self {
            drains: 0,
            sample: None,
            begun: Instant::now(),
            rate: 0.0,
            total: 0.0,
        }
    }

    /// Time that the programs ran so far, ns. 0 where the kernel has no statistics.
    pub fn total(&self) -> u64 {
        self.total as u64
    }

    /// Ends or begins a sample, and adds the time of this drain.
    pub fn end_drain<'a>(&mut self, programs: impl Iterator<Item = &'a OwnedFd>) {
        let elapsed = self.begun.elapsed().as_nanos() as f64;
        self.begun = Instant::now();
        let begin = self.drains.is_multiple_of(SAMPLE_INTERVAL);
        self.drains += 1;
        if begin || self.sample.is_some() {
            let ran: u64 = programs
                .filter_map(|program| bpf::program_stats(program.as_fd()).ok())
                .map(|stats| stats.run_ns)
                .sum();
            if let Some((_, before)) = self.sample.take() {
                self.rate = ran.saturating_sub(before) as f64 / elapsed.max(1.0);
            } else if let Ok(measuring) = bpf::enable_stats() {
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
