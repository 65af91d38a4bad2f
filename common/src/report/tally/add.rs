//! What one segment adds to the sums of its container.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::busiest::sum;
use super::{Command, Container, Peak, Peer, Program};
use crate::segment::Segment;
use crate::segment::cell::{Cell, Row, Value as _};
use crate::segment::file::FileKind;
use crate::segment::lives::lives;
use crate::segment::memory::memory_bounds;
use crate::segment::process::{Exit, Memory, OTHER, Process, ProcessId};
use crate::segment::total::Metric;
use crate::segment::wait::{UNIT, Waits};

/// Most events (failed connections, OOM kills) that are kept: the first ones.
const MAX_EVENTS: usize = 100;
/// A process that lived for less than this is short, in ns.
const SHORT_LIFE: u64 = 1_000_000_000;

/// Share of the time of its threads below which a process does nothing: our choice.
const IDLE_SHARE: f64 = 0.01;
/// Threads of a process that wait for the whole slot from which on they are several.
const SEVERAL_THREADS: f64 = 1.5;

/// Start of a slot of a segment, seconds since the Unix epoch.
fn start_of(segment: &Segment, slot: u32) -> u64 {
    segment.key.start + u64::from(slot) * segment.key.resolution.seconds()
}

/// The part of a process's waits for a lock in a slot of `length` seconds that is of threads without
/// work: all, if no thread did anything, so none held a lock that others needed. A single thread may wait
/// for what another process holds.
fn idle(waits: &Waits, running_ns: u64, length: u64) -> u64 {
    let busy = [waits.core, waits.disk, waits.network, waits.other];
    let busy = sum(busy).saturating_add(running_ns / UNIT);
    let second = 1_000_000_000 / UNIT;
    let several = SEVERAL_THREADS * (length * second) as f64;
    let is_pool = sum([waits.lock, waits.events]) as f64 >= several;
    if is_pool && (busy as f64) < IDLE_SHARE * waits.sum() as f64 {
        waits.lock
    } else {
        0
    }
}

fn plus(sum: &mut u64, more: u64) {
    *sum = sum.saturating_add(more);
}

impl Container {
    /// Adds a segment. With `carries_memory` a process holds what was last seen of it.
    pub(super) fn add(&mut self, segment: &Segment, carries_memory: bool) {
        self.facts.extend(segment.facts.clone());
        let length = segment.key.resolution.seconds();
        let unit = length / u64::from(segment.key.resolution.sub_slots());
        for (slot, coverage) in (0..).zip(&segment.coverage) {
            if coverage.is_gap() {
                continue;
            }
            self.longest_slot = self.longest_slot.max(length);
            let begin = start_of(segment, slot);
            // An hour may have minutes without data.
            for sub_slot in 0..segment.key.resolution.sub_slots() {
                if coverage.0 >> sub_slot & 1 == 1 {
                    let from = begin + u64::from(sub_slot) * unit;
                    (from..from + unit).for_each(|second| self.observed.insert(second));
                }
            }
            let moment = self.moments.at(begin, length);
            moment.known += u64::from(coverage.count()) * unit;
        }
        self.add_processes(&segment.processes);
        self.add_cpu(segment);
        if carries_memory {
            self.add_carried_memory(segment);
        } else {
            self.add_memory(segment);
        }
        self.add_io(segment);
        self.add_waits(segment);
        let source = self.sources.entry(segment.key.source).or_default();
        source.has_waits |= !segment.waits.is_empty();
        for cell in &segment.cpu {
            plus(&mut source.cpu_ns, cell.value.ns);
        }
        self.add_totals(segment);
        for cell in &segment.losses {
            let known = self.losses.entry(cell.row.0).or_default();
            known.absorb(cell.row, &cell.value);
        }
        self.add_events(segment);
    }

    fn add_cpu(&mut self, segment: &Segment) {
        let length = segment.key.resolution.seconds();
        let mut slots: BTreeMap<u32, u64> = BTreeMap::new();
        for cell in &segment.cpu {
            let ns = cell.value.ns;
            plus(self.cores.entry(cell.row.1).or_default(), ns);
            plus(&mut self.program(segment, cell).cpu, ns);
            plus(&mut self.command(segment, cell).cpu, ns);
            plus(slots.entry(cell.slot).or_default(), ns);
        }
        for (slot, ns) in slots {
            let start = start_of(segment, slot);
            self.cpu_peak.raise(ns / length, start);
            plus(&mut self.moments.at(start, length).cpu, ns);
        }
    }

    fn add_waits(&mut self, segment: &Segment) {
        let length = segment.key.resolution.seconds();
        let mut running: HashMap<(u32, u32), u64> = HashMap::new();
        for cell in &segment.cpu {
            let ns = running.entry((cell.row.0, cell.slot)).or_default();
            plus(ns, cell.value.ns);
        }
        for cell in &segment.waits {
            let running = running.get(&(cell.row.0, cell.slot)).copied();
            let idle = idle(&cell.value, running.unwrap_or(0), length);
            let waits = self.waits.get_or_insert_default();
            waits.absorb(cell.row, &cell.value);
            plus(&mut self.idle, idle);
            let program = self.program(segment, cell);
            program.waits.absorb(cell.row, &cell.value);
            plus(&mut program.idle, idle);
            let command = self.command(segment, cell);
            command.waits.absorb(cell.row, &cell.value);
            plus(&mut command.idle, idle);
            let moment = self.moments.at(start_of(segment, cell.slot), length);
            moment.waits.absorb(cell.row, &cell.value);
            plus(&mut moment.idle, idle);
        }
    }

    /// Adds memory that was read in each slot.
    fn add_memory(&mut self, segment: &Segment) {
        let lives = lives(&segment.processes);
        let mut slots: BTreeMap<u32, Vec<(Range<u64>, Memory)>> = BTreeMap::new();
        for cell in &segment.memory {
            self.raise_memory(segment, cell, cell.value.rss);
            let life = lives[cell.row.0 as usize].clone();
            slots.entry(cell.slot).or_default().push((life, cell.value));
        }
        // A folded row has the bound in it; beside others it may exceed the cgroup.
        let has_folded = segment.processes.first().is_some_and(Process::is_folded);
        let bounds = memory_bounds(segment);
        for (slot, values) in slots {
            let bound = bounds.get(&slot).copied().filter(|_| has_folded);
            let held = Memory::at_one_time(&values, bound);
            self.raise_resident(segment, slot, held.rss);
        }
    }

    /// Adds memory that was reported when it changed.
    fn add_carried_memory(&mut self, segment: &Segment) {
        // A folded row stands for other processes in each segment.
        let mut folded = 0;
        for cell in &segment.memory {
            self.raise_memory(segment, cell, cell.value.rss);
            let process = &segment.processes[cell.row.0 as usize];
            if process.is_folded() {
                plus(&mut folded, cell.value.rss);
                continue;
            }
            let id = process.id;
            self.resident
                .insert(ProcessId { exec: 0, ..id }, cell.value.rss);
        }
        // Processes that ended within the slot may have run one after the other: only the
        // largest counts.
        let mut ended = 0;
        for process in &segment.processes {
            if process.exit.is_some() {
                let id = ProcessId {
                    exec: 0,
                    ..process.id
                };
                ended = ended.max(self.resident.remove(&id).unwrap_or(0));
            }
        }
        let resident = self.resident.values().copied();
        let highest = resident.fold(sum([ended, folded]), u64::saturating_add);
        self.raise_resident(segment, 0, highest);
    }

    fn raise_memory<V>(&mut self, segment: &Segment, cell: &Cell<V>, rss: u64) {
        let program = self.program(segment, cell);
        program.memory = program.memory.max(rss);
        let command = self.command(segment, cell);
        command.memory = command.memory.max(rss);
    }

    fn raise_resident(&mut self, segment: &Segment, slot: u32, bytes: u64) {
        let start = start_of(segment, slot);
        self.resident_peak.raise(bytes, start);
        let moment = self.moments.at(start, segment.key.resolution.seconds());
        moment.resident = moment.resident.max(bytes);
    }

    fn add_io(&mut self, segment: &Segment) {
        for cell in &segment.file_io {
            let file = &segment.files[cell.row.1 as usize];
            self.folded.files |= file.kind == FileKind::Other;
            self.file_io.absorb(cell.row, &cell.value);
            let program = self.program(segment, cell);
            program.file_io.absorb(cell.row, &cell.value);
            let command = self.command(segment, cell);
            command.file_io.absorb(cell.row, &cell.value);
            let entry = self.files.entry(file.clone());
            entry.absorb(cell.row, &cell.value);
        }
        for cell in &segment.network_io {
            let peer = Peer::of(&segment.connections[cell.row.1 as usize]);
            self.folded.connections |= peer.address == OTHER;
            self.network_io.absorb(cell.row, &cell.value);
            let program = self.program(segment, cell);
            program.network_io.absorb(cell.row, &cell.value);
            let command = self.command(segment, cell);
            command.network_io.absorb(cell.row, &cell.value);
            self.peers.entry(peer).absorb(cell.row, &cell.value);
        }
    }

    fn add_totals(&mut self, segment: &Segment) {
        let length = segment.key.resolution.seconds();
        for cell in &segment.totals {
            let (metric, value) = (Metric(cell.row.0), cell.value.value);
            if metric.name().is_empty() {
                continue;
            }
            let start = start_of(segment, cell.slot);
            let total = self.totals.entry(metric).or_insert(Peak {
                value: 0,
                at: start,
            });
            if metric.adds() {
                plus(&mut total.value, value);
            } else {
                total.raise(value, start);
            }
            match metric {
                Metric::PROCESSES_STARTED => plus(&mut self.started, value),
                Metric::CPU_USER | Metric::CPU_SYSTEM => {
                    plus(&mut self.moments.at(start, length).cgroup_cpu, value);
                }
                Metric::MEMORY_CURRENT => {
                    let moment = self.moments.at(start, length);
                    moment.memory = moment.memory.max(value);
                }
                Metric::MEMORY_ANON => {
                    let moment = self.moments.at(start, length);
                    moment.anon = moment.anon.max(value);
                }
                Metric::MEMORY_PEAK => {
                    let first = self.first_memory_peak;
                    if first.is_none_or(|first| start < first.at) {
                        self.first_memory_peak = Some(Peak { value, at: start });
                    }
                }
                _ => {}
            }
        }
    }

    fn add_events(&mut self, segment: &Segment) {
        for event in &segment.events {
            let name = event
                .process
                .map(|index| segment.processes[index as usize].name.clone());
            self.events_count += 1;
            if self.events.len() < MAX_EVENTS {
                let name = name.unwrap_or_default();
                self.events
                    .push((event.at, event.kind, name, event.detail.clone()));
            }
        }
    }

    fn add_processes(&mut self, processes: &[Process]) {
        // A process has a row for each name of its threads, and all end with it.
        let mut ended = HashMap::new();
        for (index, process) in processes.iter().enumerate() {
            let (id, name) = process.identity();
            let program = self.processes.entry((id, name.to_owned()));
            let exit = |known: &Option<Process>| known.as_ref().and_then(|of| of.exit);
            let before = exit(&program.process);
            let name_before = program.process.as_ref().map(|known| known.name.clone());
            match &mut program.process {
                Some(known) => known.absorb(process),
                unknown => *unknown = Some(process.clone()),
            }
            if let (None, Some(exit)) = (before, exit(&program.process)) {
                ended.insert((id.pid, id.start), (exit, index));
            }
            self.count_process(process, name_before.as_deref());
        }
        self.exits += ended.len() as u64;
        for (exit, index) in ended.into_values() {
            let process = &processes[index];
            if process.end > 0 && process.end.saturating_sub(process.id.start) < SHORT_LIFE {
                self.short += 1;
            }
            if exit != Exit::Code(0) {
                self.failed += 1;
                self.failures.entry((process.name.clone(), exit)).0 += 1;
            }
        }
    }

    /// Counts the process of a row under its name. `name_before` is the name that the row had so far.
    fn count_process(&mut self, process: &Process, name_before: Option<&str>) {
        let command = self.commands.entry(process.name.clone());
        if process.is_folded() {
            self.folded.processes = true;
            command.is_folded = true;
            command.processes = command.processes.max(process.count.into());
            return;
        }
        let former = process.id.exec.checked_sub(1).and_then(|exec| {
            let id = ProcessId { exec, ..process.id };
            let former = self.processes.get(&(id, String::new()))?;
            former.process.as_ref().map(|former| former.name.clone())
        });
        // The same program again, after an exec or before a rename.
        let goes_on = former.as_deref() == Some(process.name.as_str());
        if goes_on || name_before == Some(process.name.as_str()) {
            return;
        }
        // What it did before its exec may come after it.
        let next = ProcessId {
            exec: 1,
            ..process.id
        };
        if process.id.exec == 0 && self.processes.get(&(next, String::new())).is_some() {
            return;
        }
        command.processes += 1;
        // Between fork and exec it was not yet a process of its parent's program.
        if name_before.is_none()
            && process.id.exec == 1
            && let Some(former) = former
        {
            let forked = self.commands.entry(former);
            forked.processes = forked.processes.saturating_sub(1);
        }
    }

    fn program<V>(&mut self, segment: &Segment, cell: &Cell<V>) -> &mut Program {
        let (id, name) = segment.processes[cell.row.0 as usize].identity();
        self.processes.entry((id, name.to_owned()))
    }

    fn command<V>(&mut self, segment: &Segment, cell: &Cell<V>) -> &mut Command {
        let Row(process, _) = cell.row;
        let name = &segment.processes[process as usize].name;
        self.commands.entry(name.clone())
    }
}
