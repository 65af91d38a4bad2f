//! The live source: programs in the kernel sum up; the sums are read once a second.
//!
//! Each concern has a file, named as on the kernel side: `cpu`, `process`, `cgroup`, `oom`,
//! `file` (with `paths`), `network`. They share `sums` (pairs of maps), `cpu_state` (per-CPU
//! sums), `record` (the ring buffer) and `context` (owners of sums). Above them stand `hooks`
//! (the table) and `load`.
//!
//! A drain has five steps; each needs the one before:
//! 1. charge running tasks up to now;
//! 2. let programs write the other map of each pair;
//! 3. wait until no program writes the old one;
//! 4. take in the records so far, so that every process with sums is known;
//! 5. pass the sums on.

pub mod bpf;
pub mod btf;
pub mod cgroup;
pub mod context;
pub mod cost;
pub mod cpu;
pub mod cpu_state;
pub mod file;
mod file_hooks;
pub mod hook;
pub mod hooks;
pub mod load;
pub mod log;
pub mod loss;
pub mod memory;
pub mod network;
pub mod oom;
mod options;
pub mod paths;
pub mod process;
pub mod record;
pub mod relocate;
pub mod sums;

use std::collections::HashMap;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};

use aya::maps::{Array, MapData, RingBuf};
use aya::programs::{Iter, Program};
use bubble_common::kernel::cpu_state::FIRST_GENERATION;
use bubble_common::segment::loss::{Loss, Reason};

use self::bpf::Barrier;
use self::cgroup::Ignored;
use self::context::Context;
use self::cost::CostSampler;
use self::cpu::Cpu;
use self::cpu_state::CpuStates;
use self::file::Files;
use self::hook::{Attach, Family, Finding, State};
use self::load::{LoadError, Loaded};
use self::log::Messages;
use self::loss::Losses;
use self::network::Network;
pub use self::options::Options;
use self::process::table::Processes;
use self::record::Record;
use super::{Host, Source, SourceError};
use crate::container::hierarchy::Hierarchy;
use crate::sink::Sink;

/// Drains between two checks of what changes rarely: lost processes, swap.
const SLOW_INTERVAL: u64 = 60;

/// Loads every hook to see what this kernel accepts; attaches none.
///
/// # Errors
/// When the kernel refuses to load anything.
pub fn probe(options: &Options, primary: &Hierarchy) -> Result<Vec<Finding>, LoadError> {
    load::load(hooks::table(), options, Family::Syscall, primary).map(|loaded| loaded.findings)
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
    /// The map in which the programs read the generation.
    selector: Array<MapData, u64>,
    cpu_states: CpuStates,
    events: RingBuf<MapData>,
    cpu: Cpu,
    files: Files,
    network: Network,
    processes: Processes,
    ignored: Ignored,
    losses: Losses,
    messages: Messages,
    memory: memory::Reader,
}

impl Ebpf {
    /// Loads and attaches the programs; sums begin to grow at once.
    ///
    /// # Errors
    /// When this kernel refuses a required program, or this user may not load programs.
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
            what: "create the maps of the barrier",
            error,
        })?;
        let cpu_states = CpuStates::open(&mut loaded)?;
        let cpu = Cpu::open(&loaded)?;
        let files = Files::open(&mut loaded)?;
        let network = Network::open(&mut loaded)?;
        let ignored = Ignored::open(&mut loaded)?;
        let losses = Losses::open(&mut loaded)?;
        let messages = Messages::open(&mut loaded.ebpf);
        // The other hooks read which task runs on their core, so this one is attached first.
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
            cpu_states,
            events,
            cpu,
            files,
            network,
            processes: Processes::default(),
            ignored,
            losses,
            messages,
            memory: memory::Reader::new(),
            loaded,
        };
        source.list_processes();
        source.missing = hook::missing(&source.loaded.findings, source.loaded.family);
        Ok(source)
    }

    /// What became of each hook.
    pub fn findings(&self) -> &[Finding] {
        &self.loaded.findings
    }

    /// Makes the kernel send a record of every running process.
    fn list_processes(&mut self) {
        let Some(Program::Iter(program)) = self.loaded.ebpf.program_mut("process_alive") else {
            return;
        };
        let listed = iterate(program);
        self.processes.set_can_list(listed.is_ok());
        if let Err(error) = listed {
            let why = format!("cannot read the iterator: {error}");
            for finding in &mut self.loaded.findings {
                if matches!(finding.hook.attach, Attach::Iterator("task")) {
                    finding.state = State::Refused(why.clone());
                }
            }
        }
    }

    /// Takes in all records of the ring buffer.
    fn absorb<S: Sink>(&mut self, at: u64, host: &mut Host<'_>, sink: &mut S) {
        let mut context = Context {
            at,
            processes: &mut self.processes,
            ignored: &mut self.ignored,
            host,
            sink,
        };
        context.forget();
        self.files.paths.absorb();
        while let Some(item) = self.events.next() {
            match record::decode(&item) {
                Some(Record::Process(record)) => context.process(&record),
                Some(Record::Exec { exec, exe, args }) => context.exec(&exec, exe, args),
                Some(Record::Exit(exit)) => context.exit(&exit),
                Some(Record::Oom(header)) => context.oom(&header),
                Some(Record::Cgroup { cgroup, path }) => {
                    cgroup::record(&cgroup, path, context.host, context.sink);
                }
                Some(Record::Failed(record)) => {
                    context.connection_failed(&record, &mut self.files.paths);
                }
                Some(Record::Other(header, _)) => {
                    tracing::debug!(kind = header.kind.0, "a record of an unknown kind");
                }
                None => tracing::debug!("a record is too short"),
            }
        }
        for cgroup in context.processes.take_exits() {
            context
                .host
                .containers
                .read_totals_of(at, cgroup, context.sink);
        }
    }

    /// Reports how often a program could not run, as it was running already on that core.
    fn report_misses<S: Sink>(&mut self, at: u64, sink: &mut S) {
        let now = self
            .programs
            .values()
            .filter_map(|program| bpf::program_stats(program.as_fd()).ok())
            .map(|stats| stats.misses)
            .sum::<u64>();
        let count = now.saturating_sub(self.misses);
        if count != 0 {
            sink.loss(at, None, Reason::MAP_FULL, Loss { count, bytes: 0 });
            tracing::warn!(count, "programs in the kernel could not run");
        }
        self.misses = now;
    }
}

/// Loads the chosen family, or the best one that this kernel accepts.
fn choose(options: &Options, primary: &Hierarchy) -> Result<Loaded, LoadError> {
    let load = |family| {
        let hooks = hooks::table().filter(|hook| hook.family.suits(family));
        let loaded = load::load(hooks, options, family, primary)?;
        loaded.check().map(|()| loaded)
    };
    match options.family {
        Some(family) => load(family),
        None => match load(Family::Vfs) {
            Err(LoadError::Refused { program, why, .. }) => {
                tracing::info!(program, why, "vfs hooks are refused: using syscall hooks");
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
    // The program writes to the ring buffer, and nothing to this file.
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
        // SAFETY: the descriptor is open as long as the ring buffer, which `self` owns.
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
        let is_slow = self.drains.is_multiple_of(SLOW_INTERVAL);
        let gone = if is_slow {
            self.processes.find_gone()
        } else {
            Vec::new()
        };
        let cores = self
            .cpu_states
            .read()
            .map_err(failed("cannot read the states of the cores"))?;
        self.absorb(at, host, sink);
        let mut context = Context {
            at,
            processes: &mut self.processes,
            ignored: &mut self.ignored,
            host,
            sink,
        };
        self.cpu
            .drain(old, &cores, &mut context)
            .map_err(failed("cannot read the sums of CPU time"))?;
        self.files
            .drain(old, &cores, &mut context)
            .map_err(failed("cannot read the sums of files"))?;
        self.network
            .drain(old, &cores, &mut self.files.paths, &mut context)
            .map_err(failed("cannot read the sums of connections"))?;
        self.losses
            .drain(old, &mut context)
            .map_err(failed("cannot read the losses"))?;
        self.processes.check(at, &mut self.memory, sink);
        if is_slow {
            self.processes.end_gone(&gone, at, sink);
            self.memory.detect_swap();
        }
        self.messages.forward();
        self.report_misses(at, sink);
        self.cost.end_drain(self.programs.values());
        self.drains += 1;
        self.processes.end_drain(sink);
        if self.processes.take_needs_list() {
            self.list_processes();
        }
        Ok(())
    }
}
