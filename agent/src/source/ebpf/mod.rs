//! The live source: programs in the kernel sum up; the sums are read once a second.
//!
//! Each concern has a file, named as on the kernel side: `cpu`, `process`, `cgroup`, `oom`,
//! `file` (with `paths`), `network`, `wait`. They share `sums` (pairs of maps), `cpu_state` (per-CPU
//! sums), `record` (the ring buffer) and `context` (owners of sums). Above them stand `hooks`
//! (the table) and `load`.
//!
//! A drain has five steps; each needs the one before:
//! 1. charge waiting and running tasks up to now;
//! 2. let programs write the other map of each pair;
//! 3. wait until no program writes the old one;
//! 4. take in the records so far, so that every process with sums is known;
//! 5. pass the sums on.
//!
//! If the programs are pinned (`pins`), the kernel counts on without the agent, and retains the sums of a
//! drain until they are spooled: see [`crate::journal`]. `start` loads the programs, or takes over those
//! of an earlier run.

pub mod bpf;
pub mod bpf_object;
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
mod loaded;
pub mod log;
pub mod loss;
pub mod memory;
pub mod network;
pub mod oom;
mod options;
pub mod paths;
pub mod pins;
pub mod process;
pub mod record;
pub mod relocate;
mod start;
pub mod sums;
pub mod wait;
pub mod wait_hook;

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};

use aya::maps::{Array, MapData, RingBuf};
use bubble_common::kernel::Plain as _;
use bubble_common::kernel::cpu_state::CpuState;
use bubble_common::kernel::record::{Header, Kind};
use bubble_common::segment::loss::{Loss, Reason};

use self::bpf::Barrier;
use self::cgroup::Ignored;
use self::context::Context;
use self::cost::CostSampler;
use self::cpu::Cpu;
use self::cpu_state::CpuStates;
use self::file::Files;
use self::hook::{Family, Finding, State};
use self::load::{LoadError, Loaded, Prepared};
use self::log::Messages;
use self::loss::Losses;
use self::network::Network;
pub use self::options::{Options, USUAL_PINS};
use self::paths::Paths;
use self::pins::{PinError, Pins};
use self::process::table::Processes;
use self::record::Record;
use self::wait::Waits;
use super::{Host, Source, SourceError};
use crate::clock::SECOND;
use crate::container::hierarchy::Hierarchy;
use crate::journal::Journal;
use crate::sink::Sink;

/// Drains between two checks of what changes rarely: lost processes, swap.
const SLOW_INTERVAL: u64 = 60;

/// Loads every hook to see what this kernel accepts; attaches none.
///
/// # Errors
/// When the kernel refuses to load anything.
pub fn probe(options: &Options, primary: &Hierarchy) -> Result<Vec<Finding>, LoadError> {
    let prepared = Prepared::new(options, Family::Syscall, primary)?;
    prepared.load(hooks::table()).map(|loaded| loaded.findings)
}

/// Counts on this host by programs in the kernel.
pub struct Ebpf {
    loaded: Loaded,
    missing: Vec<String>,
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
    waits: Waits,
    files: Files,
    network: Network,
    processes: Processes,
    ignored: Ignored,
    losses: Losses,
    messages: Messages,
    memory: memory::Reader,
    /// Where the programs are pinned, if they are.
    pins: Option<Pins>,
    /// If they are pinned: what the next run has to know.
    journal: Option<Journal>,
    /// Records of an earlier run that are to be taken in again, with their generation.
    waiting: Vec<(u64, Vec<u8>)>,
    /// Records of this generation that an earlier run read and did not keep.
    unkept: u64,
    /// The next sums are of a time without an agent.
    is_late: bool,
}

impl Ebpf {
    /// What became of each hook.
    pub fn findings(&self) -> &[Finding] {
        &self.loaded.findings
    }

    /// Makes the kernel send a record of every running process.
    fn list_processes(&mut self) {
        let Some(program) = self.loaded.programs().get("process_alive") else {
            return;
        };
        // The program writes to the ring buffer, and nothing to the iterator's file.
        let listed = bpf_object::iterate(program.as_fd());
        self.processes.set_can_list(listed.is_ok());
        if let Err(error) = listed {
            self.refuse_iterator("process_alive", &error);
        }
    }

    /// Charges all threads that do not run. If the kernel refuses, waits that last are charged at their end.
    fn flush_waits(&mut self) {
        if let Err(error) = self.waits.flush() {
            tracing::warn!(%error, "waits are counted when they end: cannot read the iterator over tasks");
            self.waits.disable_flush();
            self.refuse_iterator(wait_hook::FLUSH, &error);
        }
    }

    fn refuse_iterator(&mut self, program: &str, error: &io::Error) {
        let findings = self.loaded.findings.iter_mut();
        for finding in findings.filter(|finding| finding.hook.program == program) {
            finding.state = State::Refused(format!("cannot read the iterator: {error}"));
        }
    }

    /// Takes in all records of the ring buffer, after those that an earlier run left.
    fn absorb<S: Sink>(&mut self, at: u64, host: &mut Host<'_>, sink: &mut S) {
        let mut context = Context {
            at,
            is_late: false,
            processes: &mut self.processes,
            ignored: &mut self.ignored,
            host,
            sink,
        };
        context.forget();
        self.files.paths.absorb();
        for (_, record) in std::mem::take(&mut self.waiting) {
            context.take_in(&record, &mut self.files.paths);
        }
        while let Some(item) = self.events.next() {
            // Before the ring buffer forgets it.
            if let Some(journal) = &mut self.journal {
                journal.keep_record(&item);
            }
            context.take_in(&item, &mut self.files.paths);
        }
        for cgroup in context.processes.take_exits() {
            context
                .host
                .containers
                .read_totals_of(at, cgroup, context.sink);
        }
    }

    /// Passes the sums of a generation on, which no program writes any more, and the losses.
    fn report_sums<S: Sink>(
        &mut self,
        generation: u64,
        at: u64,
        cores: &[CpuState],
        host: &mut Host<'_>,
        sink: &mut S,
    ) -> Result<(), SourceError> {
        let context = &mut Context {
            at,
            is_late: std::mem::take(&mut self.is_late),
            processes: &mut self.processes,
            ignored: &mut self.ignored,
            host,
            sink,
        };
        self.cpu
            .drain(generation, cores, context)
            .map_err(failed("cannot read the sums of CPU time"))?;
        self.waits
            .drain(generation, cores, context)
            .map_err(failed("cannot read the sums of waits"))?;
        self.files
            .drain(generation, cores, context)
            .map_err(failed("cannot read the sums of files"))?;
        self.network
            .drain(generation, cores, &mut self.files.paths, context)
            .map_err(failed("cannot read the sums of connections"))?;
        self.losses
            .drain(generation, context)
            .map_err(failed("cannot read the losses"))?;
        self.report_losses(generation, at, sink);
        Ok(())
    }

    /// Removes the sums of a generation that the kernel retains.
    fn clear(&mut self, generation: u64) -> io::Result<()> {
        self.cpu.clear(generation)?;
        self.waits.clear(generation)?;
        self.files.clear(generation)?;
        self.network.clear(generation)?;
        self.losses.clear(generation)
    }

    /// How often a program could not run so far, as it was running already on that core.
    fn count_misses(&self) -> u64 {
        let programs = self.loaded.programs().values();
        let misses = programs.map(|program| Ok(bpf::program_stats(program.as_fd())?.misses));
        // What cannot be read counts later.
        misses.sum::<io::Result<u64>>().unwrap_or(self.misses)
    }

    /// Reports what the kernel side has lost up to the drain of `generation`.
    fn report_losses<S: Sink>(&mut self, generation: u64, at: u64, sink: &mut S) {
        let noted = self
            .journal
            .as_ref()
            .and_then(|journal| journal.totals(generation));
        let totals =
            noted.unwrap_or_else(|| loss::encode(&self.losses.totals(), self.count_misses()));
        if let Some(journal) = &self.journal {
            journal.set_totals(generation, &totals);
        }
        let (causes, misses) = loss::decode(&totals);
        self.losses.report(at, &causes, sink);
        let count = misses.saturating_sub(self.misses);
        if count != 0 {
            sink.loss(at, None, Reason::MAP_FULL, Loss { count, bytes: 0 });
            tracing::warn!(count, "programs in the kernel could not run");
        }
        self.misses = misses;
    }

    /// Ends the source. The kernel goes on counting if `keep` is set and the programs are pinned.
    ///
    /// # Errors
    /// When the pins cannot be removed.
    pub fn end(self, keep: bool) -> Result<(), PinError> {
        match self.pins {
            Some(_) if keep => {
                tracing::info!("the kernel goes on counting; the next run posts it");
                Ok(())
            }
            Some(pins) => pins.remove().map(drop),
            None => Ok(()),
        }
    }
}

/// Reports records that an earlier run read, which were lost with it.
fn report_unkept<S: Sink>(count: u64, at: u64, sink: &mut S) {
    if count > 0 {
        tracing::warn!(
            count,
            "the last run was killed with records that did not fit its journal"
        );
        sink.loss(at, None, Reason::RING_FULL, Loss { count, bytes: 0 });
    }
}

fn failed(what: &str) -> impl FnOnce(io::Error) -> SourceError + use<> {
    let what = what.to_owned();
    move |source| SourceError { what, source }
}

impl<S: Sink> Context<'_, '_, S> {
    /// Takes in a record of the kernel.
    fn take_in(&mut self, record: &[u8], paths: &mut Paths) {
        match record::decode(record) {
            Some(Record::Process(record)) => self.process(&record),
            Some(Record::Exec { exec, exe, args }) => self.exec(&exec, exe, args),
            Some(Record::Exit(exit)) => self.exit(&exit),
            Some(Record::Oom(header)) => self.oom(&header),
            Some(Record::Cgroup { cgroup, path }) => {
                cgroup::record(&cgroup, path, self.host, self.sink);
            }
            Some(Record::Failed(record)) => self.connection_failed(&record, paths),
            Some(Record::Other(header, _)) => {
                tracing::debug!(kind = header.kind.0, "a record of an unknown kind");
            }
            None => tracing::debug!("a record is too short"),
        }
    }
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
        let old = self.generation;
        if let Some(journal) = &self.journal {
            if !journal.is_ready() {
                journal.give_up();
            }
            self.clear(old - 1)
                .map_err(failed("cannot remove the sums of the last second"))?;
        }
        if let Some(journal) = &self.journal {
            journal.begin_drain(old, at / SECOND);
        }
        self.flush_waits();
        self.cpu.flush();
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
        if let Some(journal) = &mut self.journal {
            journal.end_records(old);
        }
        report_unkept(std::mem::take(&mut self.unkept), at, sink);
        self.report_sums(old, at, &cores, host, sink)?;
        self.processes.check(at, &mut self.memory, sink);
        if is_slow {
            self.processes.end_gone(&gone, at, sink);
            self.memory.detect_swap();
        }
        self.messages.forward();
        self.cost.end_drain(self.loaded.programs().values());
        self.drains += 1;
        self.processes.end_drain(sink);
        if self.processes.take_needs_list() {
            self.list_processes();
        }
        Ok(())
    }

    fn journal(&mut self) -> Option<&mut Journal> {
        self.journal.as_mut()
    }

    fn drain_again<S: Sink>(
        &mut self,
        at: u64,
        host: &mut Host<'_>,
        sink: &mut S,
    ) -> Result<(), SourceError> {
        let Some(unspooled) = self.journal.as_ref().and_then(Journal::unspooled) else {
            return Ok(());
        };
        // The run may have been killed before it had waited.
        self.barrier
            .wait()
            .map_err(failed("cannot wait for programs"))?;
        let cores = self
            .cpu_states
            .read()
            .map_err(failed("cannot read the states of the cores"))?;
        let clock = host.clock;
        let is_due = |record: &[u8]| {
            Header::read(record)
                .is_some_and(|header| header.kind == Kind::ALIVE || clock.of_boot(header.at) <= at)
        };
        let waiting = std::mem::take(&mut self.waiting);
        let (due, waiting): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(_, record)| is_due(record));
        let mut context = Context {
            at,
            is_late: false,
            processes: &mut self.processes,
            ignored: &mut self.ignored,
            host,
            sink,
        };
        for (_, record) in due {
            context.take_in(&record, &mut self.files.paths);
        }
        let journal = self.journal.as_ref();
        let unkept = journal.map(|journal| journal.dropped_records(unspooled.generation));
        report_unkept(unkept.unwrap_or(0), at, sink);
        self.report_sums(unspooled.generation, at, &cores, host, sink)?;
        self.processes.end_drain(sink);
        if let Some(journal) = &mut self.journal {
            journal.end_records(unspooled.generation);
            // Those of the next second wait with it.
            for (_, record) in waiting
                .iter()
                .filter(|(generation, _)| *generation == unspooled.generation)
            {
                journal.keep_record(record);
            }
        }
        self.waiting = waiting;
        self.is_late = true;
        Ok(())
    }
}
