//! CPU time by process and core.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

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
        gives: "CPU time of a task that never yields, and what it reads and writes, each second",
        needs: "BPF_PROG_TEST_RUN on a chosen core",
        fallback: "nothing can be counted in the kernel: use --source procfs",
        required: true,
        unless: None,
        instead: None,
    },
];

/// How often a core is interrupted again that was just adding to what is asked for.
const TRIES: u32 = 8;

/// The sums, and what brings them up to date.
pub struct Cpu {
    sums: Sums<CpuKey, u64>,
    flush: Option<OwnedFd>,
    /// How many there may be, online or not.
    cores: u32,
}

impl Cpu {
    /// Takes the maps.
    ///
    /// # Errors
    /// When the kernel side has none.
    pub fn open(loaded: &Loaded) -> Result<Self, LoadError> {
        let cores = aya::util::nr_cpus().map_err(|(_, error)| LoadError::System {
            what: "read how many cores there may be",
            error,
        })? as u32;
        Ok(Self {
            sums: Sums::open(loaded, "CPU")?,
            flush: loaded
                .has("cpu_flush")
                .then(|| loaded.program("cpu_flush"))
                .transpose()?,
            cores,
        })
    }

    /// Charges what runs on each core up to now, and has its lines of files moved to the maps.
    pub fn flush(&self) {
        if let Some(flush) = &self.flush {
            for core in 0..self.cores {
                self.flush_one(flush.as_fd(), core);
            }
        }
    }

    fn flush_one(&self, flush: BorrowedFd<'_>, core: u32) {
        for _ in 0..TRIES {
            let result = match bpf::run_on(flush, Some(core), core.into()) {
                // Nothing runs there that had to be charged, or could be interrupted.
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
