//! CPU time by process and core.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use bubble_common::kernel::cpu::CpuKey;
use bubble_common::kernel::recent::Core;

use super::bpf;
use super::hooks::{Attach, Family, Hook};
use super::load::{LoadError, Loaded};
use super::sums::Sums;
use super::turn::Turn;
use crate::sink::Sink;

/// What sums it.
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
        gives: "CPU time of a task that never yields, each second",
        needs: "BPF_PROG_TEST_RUN on a chosen core",
        fallback: "it is counted when the task is next switched out",
        required: false,
        unless: None,
        instead: None,
    },
];

/// The sums, and what brings them up to date.
pub struct Cpu {
    sums: Sums<CpuKey, u64>,
    flush: Option<OwnedFd>,
    cores: Vec<u32>,
}

impl Cpu {
    /// Takes the maps.
    ///
    /// # Errors
    /// When the kernel side has none.
    pub fn open(loaded: &Loaded) -> Result<Self, LoadError> {
        let cores = aya::util::online_cpus().map_err(|(_, error)| LoadError::System {
            what: "read which cores are online",
            error,
        })?;
        Ok(Self {
            sums: Sums::open(loaded, "CPU")?,
            flush: loaded
                .has("cpu_flush")
                .then(|| loaded.program("cpu_flush"))
                .transpose()?,
            cores,
        })
    }

    /// Charges what runs on each core up to now.
    pub fn flush(&self) {
        if let Some(flush) = &self.flush {
            for core in &self.cores {
                // A core that went offline runs nothing that had to be charged.
                let _ = bpf::run_on(flush.as_fd(), *core);
            }
        }
    }

    /// Passes the sums of a generation on.
    ///
    /// # Errors
    /// When the kernel refuses to give them.
    pub fn drain<S: Sink>(
        &mut self,
        generation: u64,
        cores: &[Core],
        turn: &mut Turn<'_, '_, S>,
    ) -> io::Result<()> {
        for (core, number) in cores.iter().zip(0..) {
            for last in core.cpu.iter().filter(|last| last.generation == generation) {
                if let Some(owner) = turn.owner(&last.process) {
                    turn.sink.cpu(turn.at, owner.process, number, last.ns);
                }
            }
        }
        for (key, ns) in self.sums.take(generation)? {
            if let Some(owner) = turn.owner(&key.process) {
                turn.sink.cpu(turn.at, owner.process, key.core, *ns);
            }
        }
        Ok(())
    }
}
