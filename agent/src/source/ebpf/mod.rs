//! The live source: programs in the kernel sum up, and are read once a second.
//!
//! One file a concern, named as on the kernel side (`cpu`, `process`, `cgroup`,
//! `oom`); what they share is `load` (which hooks, which offsets), `sums` (pairs
//! of maps), `record` (the ring buffer) and `turn` (whose a sum is).
//!
//! A drain goes in this order, each step for the sake of the next: charge what
//! runs now; write the other map of each pair from now on; wait until no program
//! writes the old one; take in the records that came until then, so that every
//! process that has sums is known; pass on the sums.

pub mod bpf;
pub mod btf;
pub mod cgroup;
pub mod cost;
pub mod cpu;
pub mod file;
pub mod hooks;
pub mod load;
pub mod loss;
pub mod memory;
pub mod network;
pub mod oom;
pub mod places;
pub mod process;
pub mod recent;
pub mod record;
pub mod sums;
pub mod turn;

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use aya::maps::{Array, MapData, RingBuf};
use aya::programs::{Iter, Program};
use bubble_common::kernel::recent::FIRST_GENERATION;
use bubble_common::segment::loss::{Loss, Reason};

use self::bpf::Barrier;
use self::cgroup::Ignored;
use self::cost::CostSampler;
use self::cpu::Cpu;
use self::file::Files;
use self::hooks::{Attach, Family, Finding};
use self::load::{LoadError, Loaded};
use self::loss::Losses;
use self::network::Network;
use self::process::Processes;
use self::recent::Cores;
use self::record::Record;
use self::turn::Turn;
use super::{Host, Source, SourceError};
use crate::container::hierarchy::Hierarchy;
use crate::sink::Sink;

/// Drains between two looks whether what is known is still so.
const LOOK_AFTER: u64 = 60;

/// What can be chosen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Family of hooks; by probing when not given.
    pub family: Option<Family>,
    /// Most (process, core) pairs that can run in a second.
    pub cpu_sums: u32,
    /// Size of the ring buffer in bytes: a power of two.
    pub ring_bytes: u32,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            family: None,
            cpu_sums: 16_384,
            ring_bytes: 4 * 1024 * 1024,
        }
    }
}

impl Options {
    /// Sizes of maps that differ from what the kernel side says.
    fn map_entries(&self) -> Vec<(&'static str, u32)> {
        vec![
            ("CPU_0", self.cpu_sums),
            ("CPU_1", self.cpu_sums),
            ("EVENTS", self.ring_bytes),
        ]
    }
}

/// What each hook would do on this kernel, with nothing attached.
///
/// # Errors
/// When the kernel lets nothing be loaded at all.
pub fn probe(options: &Options, primary: &Hierarchy) -> Result<Vec<Finding>, LoadError> {
    load::load(options, Family::Syscall, primary, None).map(|loaded| loaded.findings)
}

/// Counts on this host by programs in the kernel.
pub struct Ebpf {
    loaded: Loaded,
    missing: Vec<String>,
    programs: HashMap<&'static str, OwnedFd>,
    misses: u64,
    cost: CostSampler,
    drains: u64,
    barrier: Barrier,
    generation: u64,
    /// Where the programs read the generation.
    selector: Array<MapData, u64>,
    cores: Cores,
    events: RingBuf<MapData>,
    cpu: Cpu,
    files: Files,
    network: Network,
    processes: Processes,
    ignored: Ignored,
    losses: Losses,
    memory: memory::Reader,
}

impl Ebpf {
    /// Loads and attaches the programs; sums begin to grow at once.
    ///
    /// # Errors
    /// When this kernel, or this user, cannot have the programs that nothing can do without.
    pub fn start(options: &Options, primary: &Hierarchy) -> Result<Self, LoadError> {
        let mut loaded = choose(options, primary)?;
        let selector = loaded
            .ebpf
            .take_map(".data")
            .and_then(|map| Array::try_from(map).ok())
            .ok_or_else(|| LoadError::Missing("global GENERATION, alone in .data".into()))?;
        let events = loaded
            .ebpf
            .take_map("EVENTS")
            .and_then(|map| RingBuf::try_from(map).ok())
            .ok_or_else(|| LoadError::Missing("ring buffer EVENTS".into()))?;
        let barrier = Barrier::new().map_err(|error| LoadError::System {
            what: "make the maps to wait with",
            error,
        })?;
        let cores = Cores::open(&mut loaded)?;
        let cpu = Cpu::open(&loaded)?;
        let files = Files::open(&mut loaded)?;
        let network = Network::open(&mut loaded)?;
        let ignored = Ignored::open(&mut loaded)?;
        let losses = Losses::open(&mut loaded)?;
        // Who runs on each core must be known before anything else asks for it.
        loaded.attach(|hook| hook.program == "sched_switch")?;
        cpu.flush();
        loaded.attach(|hook| hook.program != "sched_switch")?;
        let mut source = Self {
            missing: Vec::new(),
            programs: loaded.programs(),
            misses: 0,
            cost: CostSampler::new(),
            drains: 0,
            barrier,
            generation: FIRST_GENERATION,
            selector,
            cores,
            events,
            cpu,
            files,
            network,
            processes: Processes::default(),
            ignored,
            losses,
            memory: memory::Reader::new(),
            loaded,
        };
        source.find_alive();
        source.missing = hooks::missing(&source.loaded.findings, source.loaded.family);
        Ok(source)
    }

    /// What became of each hook.
    pub fn findings(&self) -> &[Finding] {
        &self.loaded.findings
    }

    /// Has the kernel tell of every process there is.
    fn find_alive(&mut self) {
        let Some(Program::Iter(program)) = self.loaded.ebpf.program_mut("process_alive") else {
            return;
        };
        if let Err(error) = iterate(program) {
            let why = format!("the iterator cannot be read: {error}");
            for finding in &mut self.loaded.findings {
                if matches!(finding.hook.attach, Attach::Iterator("task")) {
                    finding.state = hooks::State::Refused(why.clone());
                }
            }
        }
    }

    /// Takes in the records that are there.
    fn absorb<S: Sink>(&mut self, at: u64, host: &mut Host<'_>, sink: &mut S) {
        let mut turn = Turn {
            at,
            processes: &mut self.processes,
            ignored: &mut self.ignored,
            host,
            sink,
        };
        self.files.paths.absorb();
        while let Some(item) = self.events.next() {
            match record::decode(&item) {
                Some(Record::Process(record)) => turn.process(&record),
                Some(Record::Exec { exec, exe, args }) => turn.exec(&exec, exe, args),
                Some(Record::Exit(exit)) => turn.exit(&exit),
                Some(Record::Oom(header)) => turn.oom(&header),
                Some(Record::Cgroup { cgroup, path }) => {
                    turn.ignored.record(&cgroup, path, turn.host, turn.sink);
                }
                Some(Record::Failed(record)) => {
                    turn.connection_failed(&record, &mut self.files.paths);
                }
                Some(Record::Other(header, _)) => {
                    tracing::debug!(kind = header.kind.0, "a record of no known kind");
                }
                None => tracing::debug!("a record that is cut"),
            }
        }
        for container in turn.processes.exits() {
            turn.host
                .containers
                .read_totals_of(at, container, turn.sink);
        }
    }

    /// Says how often a program could not run, as it was running already on that core.
    fn tell_misses<S: Sink>(&mut self, at: u64, sink: &mut S) {
        let now = self
            .programs
            .values()
            .filter_map(|program| bpf::cost(program.as_fd()).ok())
            .map(|cost| cost.misses)
            .sum::<u64>();
        let count = now.saturating_sub(self.misses);
        if count != 0 {
            sink.loss(at, None, Reason::MAP_FULL, Loss { count, bytes: 0 });
            tracing::warn!(count, "programs in the kernel could not run");
        }
        self.misses = now;
    }
}

/// The family asked for, or the best that this kernel takes.
fn choose(options: &Options, primary: &Hierarchy) -> Result<Loaded, LoadError> {
    let load = |family| {
        let loaded = load::load(options, family, primary, Some(family))?;
        loaded.check().map(|()| loaded)
    };
    match options.family {
        Some(family) => load(family),
        None => match load(Family::Vfs) {
            Err(LoadError::Refused { program, why, .. }) => {
                tracing::info!(
                    program,
                    why,
                    "vfs hooks are refused here: using syscall hooks"
                );
                load(Family::Syscall)
            }
            other => other,
        },
    }
}

fn iterate(program: &mut Iter) -> io::Result<()> {
    let link = program.attach().map_err(io::Error::other)?;
    let link = program.take_link(link).map_err(io::Error::other)?;
    let mut file = link.into_file().map_err(io::Error::other)?;
    // The program writes to the ring buffer, and nothing here.
    let mut text = [0; 64];
    while file.read(&mut text)? != 0 {}
    Ok(())
}

impl Source for Ebpf {
    fn hooks(&self) -> &str {
        self.loaded.family.name()
    }

    fn missing(&self) -> &[String] {
        &self.missing
    }

    fn kernel_ns(&self) -> u64 {
        self.cost.total()
    }

    fn wake(&self) -> Option<BorrowedFd<'_>> {
        // SAFETY: the descriptor is open as long as the ring buffer, which we own.
        Some(unsafe { BorrowedFd::borrow_raw(self.events.as_raw_fd()) })
    }

    fn poll<S: Sink>(&mut self, host: &mut Host<'_>, sink: &mut S) {
        let at = host.clock.now();
        self.absorb(at, host, sink);
    }

    fn drain<S: Sink>(
        &mut self,
        at: u64,
        host: &mut Host<'_>,
        sink: &mut S,
    ) -> Result<(), SourceError> {
        let failed = |what: &str| {
            let what = what.to_owned();
            move |source| SourceError { what, source }
        };
        self.cpu.flush();
        let old = self.generation;
        self.generation = old + 1;
        self.selector
            .set(0, self.generation, 0)
            .map_err(|error| failed("cannot change maps")(io::Error::other(error)))?;
        self.barrier
            .wait()
            .map_err(failed("cannot wait for programs"))?;
        let look = self.drains.is_multiple_of(LOOK_AFTER);
        let gone = if look {
            self.processes.gone()
        } else {
            Vec::new()
        };
        let cores = self
            .cores
            .read()
            .map_err(failed("cannot read what each core did last"))?;
        self.absorb(at, host, sink);
        let mut turn = Turn {
            at,
            processes: &mut self.processes,
            ignored: &mut self.ignored,
            host,
            sink,
        };
        self.cpu
            .drain(old, &cores, &mut turn)
            .map_err(failed("cannot read the sums of CPU time"))?;
        self.files
            .drain(old, &cores, &mut turn)
            .map_err(failed("cannot read the sums of files"))?;
        self.network
            .drain(old, &cores, &mut self.files.paths, &mut turn)
            .map_err(failed("cannot read the sums of connections"))?;
        self.processes.read_memory(at, &mut self.memory, sink);
        if look {
            self.processes.end_gone(&gone, at, sink);
            self.memory.look();
        }
        self.losses.drain(at, sink);
        self.tell_misses(at, sink);
        self.cost.turn(self.programs.values());
        self.drains += 1;
        self.processes.turn(sink);
        Ok(())
    }
}
