//! Time that threads do not run, by process and by what they wait for.

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use bubble_common::kernel::cpu_state::CpuState;
use bubble_common::kernel::key::ProcessKey;
use bubble_common::kernel::wait::WaitSum;
use bubble_common::segment::wait::KINDS;

use super::bpf_object::iterate;
use super::context::Context;
use super::load::{LoadError, Loaded};
use super::sums::Sums;
use super::wait_hook::FLUSH;
use crate::sink::Sink;

/// The sums of waits, and the program that charges those who wait.
pub struct Waits {
    sums: Sums<ProcessKey, WaitSum>,
    flush: Option<OwnedFd>,
}

impl Waits {
    /// Opens the maps.
    ///
    /// # Errors
    /// When the kernel side lacks one.
    pub fn open(loaded: &Loaded) -> Result<Self, LoadError> {
        Ok(Self {
            sums: Sums::open(loaded, "WAITS")?,
            flush: loaded
                .has(FLUSH)
                .then(|| loaded.program(FLUSH))
                .transpose()?,
        })
    }

    /// Charges every thread that does not run, up to now.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn flush(&self) -> io::Result<()> {
        self.flush
            .as_ref()
            .map_or(Ok(()), |flush| iterate(flush.as_fd()))
    }

    /// Does not charge them any more.
    pub fn disable_flush(&mut self) {
        self.flush = None;
    }

    /// Removes the sums of a generation that the kernel retains.
    ///
    /// # Errors
    /// When the kernel refuses.
    pub fn clear(&mut self, generation: u64) -> io::Result<()> {
        self.sums.clear(generation)
    }

    /// Passes the sums of a generation to the sink.
    ///
    /// # Errors
    /// When the maps cannot be read.
    pub fn drain<S: Sink>(
        &mut self,
        generation: u64,
        cores: &[CpuState],
        context: &mut Context<'_, '_, S>,
    ) -> io::Result<()> {
        let mut sums: HashMap<ProcessKey, [u64; KINDS]> = HashMap::new();
        let mut add = |key: &ProcessKey, more: &WaitSum| {
            if *more != WaitSum::default() {
                let sum = sums.entry(*key).or_default();
                for (sum, more) in sum.iter_mut().zip(more.ns) {
                    *sum = sum.saturating_add(more);
                }
            }
        };
        let entries = cores.iter().flat_map(|core| &core.cpu);
        for last in entries.filter(|last| last.generation == generation) {
            add(&last.process, &last.waits);
        }
        for (key, more) in self.sums.take(generation)? {
            add(key, more);
        }
        for (key, ns) in sums {
            if let Some(owner) = context.idle_owner(&key) {
                let at = context.at_of(key.cgroup);
                context.sink.waits(at, owner.process, ns);
            }
        }
        Ok(())
    }
}
