//! Adds up segments into rows and series, without merging their dictionaries first.
//!
//! A page needs sums, not a segment: adding the cells where they belong takes a tenth of the
//! time that merging sixty segments into a canonical one takes. A second pass makes the series
//! of the largest names ([`series`]).

mod cells;
mod census;
mod memory;
mod peers;
mod placed;
mod process;
pub mod series;

use std::borrow::Borrow;
use std::collections::{BTreeMap, HashSet};
use std::ops::Range;

use bubble_common::segment::Segment;
use bubble_common::segment::cell::{Row, Value as _};
use bubble_common::segment::event::Event;
use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::loss::{Loss, Reason};
use bubble_common::segment::network::{Connection, NetworkIo};
use bubble_common::segment::total::Metric;
use bubble_common::segment::wait::Waits;
use peers::Peers;
pub use peers::{Pairs, PeerRow};
use placed::{ABSENT, Placed};
pub use process::ProcessRow;

use super::range::Plan;

/// Cores that get a series of their own. No host has more, but a hostile segment may say so.
const MAX_CORES: usize = 1_024;

/// Which part of the segments is added up.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only this process: (pid, start), all programs that it ran.
    pub process: Option<(u32, u64)>,
    /// Rows are summed over these seconds only; series over all.
    pub window: Option<Range<u64>>,
}

/// Sums of one metric of the container.
#[derive(Debug, Clone)]
pub struct MetricSums {
    /// By slot; `None` where it was not measured.
    pub series: Vec<Option<u64>>,
    /// Over all slots.
    pub total: u64,
}

/// The sums of a range.
pub struct Ledger<'a> {
    plan: &'a Plan,
    segments: Vec<Placed<'a>>,
    /// Known seconds by slot.
    pub covered: Vec<u64>,
    /// Processes, in the order of their first occurrence.
    pub processes: Vec<ProcessRow>,
    /// CPU time by slot, ns.
    pub cpu: Vec<u64>,
    /// Seconds of each slot that were observed in part.
    pub partial: Vec<u64>,
    /// CPU time by core and slot, ns.
    pub cores: BTreeMap<u32, Vec<u64>>,
    /// CPU time within the window by process and core, ns.
    pub cpu_pairs: BTreeMap<(u32, u32), u64>,
    /// Waits by slot. Empty if no source counted any.
    pub waits: Vec<Waits>,
    /// Seconds of each slot that were observed by a source that counts waits.
    pub wait_covered: Vec<u64>,
    /// File I/O by slot.
    pub file_series: Vec<FileIo>,
    /// Network I/O by slot.
    pub network_series: Vec<NetworkIo>,
    /// Files.
    pub files: Vec<PeerRow<'a, File, FileIo>>,
    /// Connections.
    pub connections: Vec<PeerRow<'a, Connection, NetworkIo>>,
    /// The container's own figures, by metric.
    pub totals: BTreeMap<u32, MetricSums>,
    /// Whether it is limited to one process.
    is_scoped: bool,
    /// Events, with the index of the process.
    pub events: Vec<(&'a Event, Option<u32>)>,
    /// Losses by reason.
    pub losses: BTreeMap<u32, Loss>,
}

impl<'a> Ledger<'a> {
    /// Adds up `segments`.
    pub fn new(plan: &'a Plan, segments: &'a [impl Borrow<Segment>], scope: &Scope) -> Self {
        let slots = plan.slots();
        let mut ledger = Self {
            plan,
            segments: Vec::new(),
            covered: vec![0; slots],
            partial: vec![0; slots],
            processes: Vec::new(),
            cpu: vec![0; slots],
            cores: BTreeMap::new(),
            cpu_pairs: BTreeMap::new(),
            waits: Vec::new(),
            wait_covered: vec![0; slots],
            file_series: vec![FileIo::default(); slots],
            network_series: vec![NetworkIo::default(); slots],
            files: Vec::new(),
            connections: Vec::new(),
            totals: BTreeMap::new(),
            is_scoped: scope.process.is_some(),
            events: Vec::new(),
            losses: BTreeMap::new(),
        };
        ledger.place(segments, scope);
        let placed = std::mem::take(&mut ledger.segments);
        let mut files = Peers::default();
        let mut connections = Peers::default();
        for placed in &placed {
            ledger.add_partial(placed);
            ledger.add_cpu(placed);
            ledger.add_memory(placed);
            ledger.add_waits(placed);
            files.add(
                placed,
                &placed.segment.file_io,
                &placed.segment.files,
                &mut ledger.file_series,
                |process, value| {
                    let row = &mut ledger.processes[process as usize];
                    row.files.absorb(Row(0, 0), value);
                    row.present = true;
                },
            );
            connections.add(
                placed,
                &placed.segment.network_io,
                &placed.segment.connections,
                &mut ledger.network_series,
                |process, value| {
                    let row = &mut ledger.processes[process as usize];
                    row.network.absorb(Row(0, 0), value);
                    row.present = true;
                },
            );
            // Of one process only what limits it, too. What was lost may be of any process.
            ledger.add_totals(placed, |metric| {
                scope.process.is_none() || metric == Metric::CPU_LIMIT
            });
            ledger.add_losses(placed);
            ledger.add_events(placed, scope);
        }
        ledger.files = files.rows;
        ledger.connections = connections.rows;
        ledger
            .events
            .sort_by_key(|(event, _)| (event.at, event.kind));
        ledger.segments = placed;
        if scope.process.is_none() {
            ledger.count_folded();
        }
        ledger
    }

    /// Places slots and processes in the answer.
    fn place(&mut self, segments: &'a [impl Borrow<Segment>], scope: &Scope) {
        let span = &self.plan.span;
        let window = match &scope.window {
            Some(window) => window.start.max(span.start)..window.end.min(span.end),
            None => span.clone(),
        };
        let window = self.plan.allowed(window);
        let mut index = process::Index::default();
        // Not by segment: in one second of a process that never waits there are none.
        let with_waits = segments.iter().map(Borrow::borrow);
        let with_waits = with_waits.filter(|segment: &&Segment| !segment.waits.is_empty());
        let with_waits: HashSet<_> = with_waits.map(|segment| segment.key.source).collect();
        for segment in segments {
            let segment: &'a Segment = segment.borrow();
            let Some(mut placed) = Placed::new(segment, self.plan, &window) else {
                continue;
            };
            for (slot, seconds) in placed.covered() {
                if let Some(covered) = self.covered.get_mut(slot as usize) {
                    *covered += seconds;
                    if with_waits.contains(&segment.key.source) {
                        self.wait_covered[slot as usize] += seconds;
                    }
                }
            }
            let active = segment.last_activity();
            for (process, active) in segment.processes.iter().zip(active) {
                let id = (process.id.pid, process.id.start);
                let row = match scope.process {
                    Some(wanted) if wanted != id => ABSENT,
                    _ => index.get_or_insert(&mut self.processes, process, active),
                };
                if let Some(row) = self.processes.get_mut(row as usize) {
                    row.waits_known |= with_waits.contains(&segment.key.source);
                }
                placed.processes.push(row);
            }
            self.segments.push(placed);
        }
        for covered in self.covered.iter_mut().chain(&mut self.wait_covered) {
            *covered = (*covered).min(self.plan.step);
        }
        for row in &mut self.processes {
            row.mark_alive(ns(window.start), ns(window.end));
            if let Some(within) = &self.plan.within {
                row.hide_if_only_before(within.start);
                row.forget_end_after(ns(within.end));
            }
        }
    }

    fn add_cpu(&mut self, placed: &Placed<'_>) {
        for row in placed.segment.cpu.chunk_by(|a, b| a.row == b.row) {
            let Row(process, core) = row[0].row;
            let process = placed.processes[process as usize];
            if process == ABSENT {
                continue;
            }
            if !self.cores.contains_key(&core) && self.cores.len() < MAX_CORES {
                self.cores.insert(core, vec![0; self.cpu.len()]);
            }
            let mut by_core = self.cores.get_mut(&core);
            let (mut all, mut within) = (0_u64, 0_u64);
            for cell in row {
                let slot = placed.slots[cell.slot as usize];
                if slot == ABSENT {
                    continue;
                }
                let ns = cell.value.ns;
                add(&mut self.cpu[slot as usize], ns);
                if let Some(by_core) = &mut by_core {
                    add(&mut by_core[slot as usize], ns);
                }
                add(&mut all, ns);
                if placed.window[cell.slot as usize] {
                    add(&mut within, ns);
                }
            }
            let row = &mut self.processes[process as usize];
            add(&mut row.rank_cpu, all);
            add(&mut row.cpu_ns, within);
            if within > 0 {
                row.present = true;
                add(self.cpu_pairs.entry((process, core)).or_default(), within);
            }
        }
    }

    fn add_memory(&mut self, placed: &Placed<'_>) {
        for cell in &placed.segment.memory {
            let process = placed.processes[cell.row.0 as usize];
            if process == ABSENT || placed.slots[cell.slot as usize] == ABSENT {
                continue;
            }
            let row = &mut self.processes[process as usize];
            row.highest.absorb(cell.row, &cell.value);
            if placed.window[cell.slot as usize] {
                row.memory.absorb(cell.row, &cell.value);
                row.present = true;
            }
        }
    }

    fn add_waits(&mut self, placed: &Placed<'_>) {
        for cell in &placed.segment.waits {
            if self.waits.is_empty() {
                self.waits = vec![Waits::default(); self.cpu.len()];
            }
            let process = placed.processes[cell.row.0 as usize];
            let slot = placed.slots[cell.slot as usize];
            if process == ABSENT || slot == ABSENT {
                continue;
            }
            self.waits[slot as usize].absorb(cell.row, &cell.value);
            if placed.window[cell.slot as usize] {
                let row = &mut self.processes[process as usize];
                row.waits.absorb(cell.row, &cell.value);
                row.present = true;
            }
        }
    }

    fn add_totals(&mut self, placed: &Placed<'_>, is_wanted: impl Fn(Metric) -> bool) {
        for row in placed.segment.totals.chunk_by(|a, b| a.row == b.row) {
            let metric = Metric(row[0].row.0);
            if metric.name().is_empty() || !is_wanted(metric) {
                continue;
            }
            let sums = self.totals.entry(metric.0).or_insert_with(|| MetricSums {
                series: vec![None; self.cpu.len()],
                total: 0,
            });
            let absorb = |sum: &mut u64, number: u64| match metric.adds() {
                true => add(sum, number),
                false => *sum = (*sum).max(number),
            };
            for cell in row {
                let slot = placed.slots[cell.slot as usize];
                if slot != ABSENT {
                    absorb(
                        sums.series[slot as usize].get_or_insert(0),
                        cell.value.value,
                    );
                    absorb(&mut sums.total, cell.value.value);
                }
            }
        }
    }

    fn add_partial(&mut self, placed: &Placed<'_>) {
        let losses = placed.segment.losses.iter();
        for cell in losses.filter(|cell| cell.row.0 == Reason::PARTIAL.0) {
            let slot = placed.slots[cell.slot as usize] as usize;
            if let Some(partial) = self.partial.get_mut(slot) {
                // Two agents may share a second.
                let sum = partial.saturating_add(cell.value.count);
                *partial = sum.min(self.covered[slot]);
            }
        }
    }

    fn add_losses(&mut self, placed: &Placed<'_>) {
        for cell in &placed.segment.losses {
            if placed.slots[cell.slot as usize] != ABSENT {
                let sum = self.losses.entry(cell.row.0).or_default();
                sum.absorb(cell.row, &cell.value);
            }
        }
    }

    fn add_events(&mut self, placed: &Placed<'a>, scope: &Scope) {
        let segment: &'a Segment = placed.segment;
        for event in &segment.events {
            let at = event.at / 1_000_000_000;
            let inside = self.plan.slot_of(at).is_some() && self.plan.allows(&(at..at + 1));
            let process = event
                .process
                .map(|index| placed.processes[index as usize])
                .filter(|process| *process != ABSENT);
            if inside && (scope.process.is_none() || process.is_some()) {
                self.events.push((event, process));
            }
        }
    }

    /// File I/O by process and file within the window.
    pub fn file_pairs(&self) -> Pairs<'a, File, FileIo> {
        peers::pairs(&self.segments, |s| (&s.file_io, &s.files))
    }

    /// Network I/O by process and connection within the window.
    pub fn network_pairs(&self) -> Pairs<'a, Connection, NetworkIo> {
        peers::pairs(&self.segments, |s| (&s.network_io, &s.connections))
    }
}

fn add(sum: &mut u64, n: u64) {
    *sum = sum.saturating_add(n);
}

fn ns(seconds: u64) -> u64 {
    seconds.saturating_mul(1_000_000_000)
}
