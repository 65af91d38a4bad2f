//! CPU time by process and core.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bubble_common::kernel::cpu::CpuKey;
use bubble_common::kernel::cpu_state::CpuState;

use super::bpf;
use super::context::Context;
use super::hook::{Attach, Family, Hook};
use super::load::{LoadError, Loaded, possible_cores};
use super::sums::Sums;
use crate::sink::Sink;

/// Hooks that count it.
pub const HOOKS: &[Hook] = &[
    Hook {
        program: "sched_switch",
        attach: Attach::Tracepoint("sched_switch"),
        family: Family::Both,
        gives: "CPU time by process and core",
        needs: "BTF tracepoints (CONFIG_DEBUG_INFO_BTF), CAP_BPF and CAP_PERFMON",
        fallback: "nothing can be counted in the kernel: use --source procfs",
        required: true,
        unless: None,
        instead: None,
    },
    Hook {
        program: "cpu_flush",
        attach: Attach::EachCore,
        family: Family::Both,
        gives: "CPU time and I/O of a task that never yields, each second",
        needs: "BPF_PROG_TEST_RUN on a chosen core",
        fallback: "nothing can be counted in the kernel: use --source procfs",
        required: true,
        unless: None,
        instead: None,
    },
];

/// Attempts to flush a core. One fails when it interrupts a program that holds the sums.
const MAX_ATTEMPTS: u32 = 8;

/// The sums of CPU time, and the program that flushes them.
pub struct Cpu {
    sums: Sums<CpuKey, u64>,
    flush: Option<OwnedFd>,
    /// Number of possible cores, online or not.
    cores: u32,
}

impl Cpu {
    /// Opens the maps.
    ///
    /// # Errors
    /// When the kernel side lacks one.
    pub fn open(loaded: &Loaded) -> Result<Self, LoadError> {
        Ok(Self {
            sums: Sums::open(loaded, "CPU")?,
            flush: loaded
                .has("cpu_flush")
                .then(|| loaded.program("cpu_flush"))
                .transpose()?,
            cores: possible_cores()?,
        })
    }

    /// Charges the running task of each core up to now, and moves its sums of files to the maps.
    pub fn flush(&self) {
        if let Some(flush) = &self.flush {
            for core in 0..self.cores {
                self.flush_one(flush.as_fd(), core);
            }
        }
    }

    fn flush_one(&self, flush: BorrowedFd<'_>, core: u32) {
        for _ in 0..MAX_ATTEMPTS {
            let result = match bpf::run_on(flush, Some(core), core.into()) {
                // The core is offline, so the program runs here on its behalf.
                Err(error) if error.raw_os_error() == Some(libc::ENXIO) => {
                    bpf::run_on(flush, None, core.into())
                }
                result => result,
            };
            if result.is_ok_and(|result| result == 0) {
                break;
            }
        }
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
        for (core, number) in cores.iter().zip(0..) {
            for last in core.cpu.iter().filter(|last| last.generation == generation) {
                if let Some(owner) = context.owner(&last.process) {
                    let at = context.at_of(last.process.cgroup);
                    context.sink.cpu(at, owner.process, number, last.ns);
                }
            }
        }
        for (key, ns) in self.sums.take(generation)? {
            if let Some(owner) = context.owner(&key.process) {
                let at = context.at_of(key.process.cgroup);
                context.sink.cpu(at, owner.process, key.core, *ns);
            }
        }
        Ok(())
    }
}
