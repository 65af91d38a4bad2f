//! Adds up segments into rows and series, without uniting their dictionaries first.
//!
//! A page needs sums, not a segment: going over the cells once and adding them
//! where they belong costs a tenth of making one canonical segment of sixty. A
//! second pass makes the series of the few processes that turned out busiest.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use bubble_common::segment::Segment;
use bubble_common::segment::cell::{Cell, Row, Value};
use bubble_common::segment::event::Event;
use bubble_common::segment::file::{File, FileIo};
use bubble_common::segment::loss::Loss;
use bubble_common::segment::network::{Connection, NetworkIo};
use bubble_common::segment::process::{Memory, Process, ProcessId};
use bubble_common::segment::total::Metric;

use super::range::Plan;

/// Not in the answer.
const NONE: u32 = u32::MAX;
/// Cores that get a series of their own; no host has more, but a hostile segment may say so.
const MAX_CORES: usize = 1_024;

/// What of the segments is wanted.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// Only this process: (pid, start), all programs that it ran.
    pub process: Option<(u32, u64)>,
    /// Rows are summed over these seconds only; series over all.
    pub window: Option<Range<u64>>,
}

/// A process and what it did.
#[derive(Debug)]
pub struct ProcessRow {
    /// All that is known of it.
    pub process: Process,
    /// CPU time within the window, ns.
    pub cpu_ns: u64,
    /// Highest memory within the window.
    pub memory: Memory,
    /// Files, within the window.
    pub files: FileIo,
    /// Network, within the window.
    pub network: NetworkIo,
    /// Whether it lived or did something within the window.
    pub present: bool,
    /// CPU time over all slots, ns.
    rank_cpu: u64,
    /// Highest rss over all slots.
    rank_rss: u64,
}

/// A file or a connection, what went through it, and who did it.
#[derive(Debug)]
pub struct PeerRow<'a, T, V> {
    /// Which.
    pub entry: &'a T,
    /// Over all processes.
    pub sum: V,
    /// Indices of processes.
    pub processes: Vec<u32>,
}

/// Sums of one metric of the container.
#[derive(Debug, Clone)]
pub struct MetricSums {
    /// By slot; none where it was not measured.
    pub series: Vec<Option<u64>>,
    /// Over all slots.
    pub total: u64,
}

/// A process (none: all others together) and its values by slot.
pub type ProcessValues = (Option<u32>, Vec<u64>);

/// Rows of a table of (process, file) or (process, connection).
pub type Pairs<'a, T, V> = Vec<(u32, &'a T, V)>;

/// The sums of a range.
pub struct Ledger<'a> {
    plan: &'a Plan,
    segments: Vec<Placed<'a>>,
    /// Known seconds by slot.
    pub covered: Vec<u64>,
    /// Processes, in the order in which they were met.
    pub processes: Vec<ProcessRow>,
    /// CPU time by slot, ns.
    pub cpu: Vec<u64>,
    /// CPU time by core and slot, ns.
    pub cores: BTreeMap<u32, Vec<u64>>,
    /// CPU time by core within the window, of each process.
    pub cpu_pairs: BTreeMap<(u32, u32), u64>,
    /// Bytes and operations with files by slot.
    pub file_series: Vec<FileIo>,
    /// Bytes and operations with connections by slot.
    pub network_series: Vec<NetworkIo>,
    /// Files.
    pub files: Vec<PeerRow<'a, File, FileIo>>,
    /// Connections.
    pub connections: Vec<PeerRow<'a, Connection, NetworkIo>>,
    /// The container's own figures, by metric.
    pub totals: BTreeMap<u32, MetricSums>,
    /// Events, with the index of the process.
    pub events: Vec<(&'a Event, Option<u32>)>,
    /// Losses by reason.
    pub losses: BTreeMap<u32, Loss>,
}

/// A segment, and where its slots and processes are in the answer.
struct Placed<'a> {
    segment: &'a Segment,
    /// Slot of the answer for each slot.
    slots: Vec<u32>,
    /// Whether a slot is within the window.
    window: Vec<bool>,
    /// Index of the process for each of the dictionary.
    processes: Vec<u32>,
}

impl<'a> Ledger<'a> {
    /// Adds up `segments`.
    pub fn new(plan: &'a Plan, segments: &'a [Segment], scope: &Scope) -> Self {
        let slots = plan.slots();
        let mut ledger = Self {
            plan,
            segments: Vec::new(),
            covered: vec![0; slots],
            processes: Vec::new(),
            cpu: vec![0; slots],
            cores: BTreeMap::new(),
            cpu_pairs: BTreeMap::new(),
            file_series: vec![FileIo::default(); slots],
            network_series: vec![NetworkIo::default(); slots],
            files: Vec::new(),
            connections: Vec::new(),
            totals: BTreeMap::new(),
            events: Vec::new(),
            losses: BTreeMap::new(),
        };
        ledger.place(segments, scope);
        let placed = std::mem::take(&mut ledger.segments);
        let mut files = Peers::default();
        let mut connections = Peers::default();
        for placed in &placed {
            ledger.add_cpu(placed);
            ledger.add_memory(placed);
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
            if scope.process.is_none() {
                ledger.add_totals(placed);
                ledger.add_losses(placed);
            }
            ledger.add_events(placed, scope);
        }
        ledger.files = files.rows;
        ledger.connections = connections.rows;
        ledger
            .events
            .sort_by_key(|(event, _)| (event.at, event.kind));
        ledger.segments = placed;
        ledger
    }

    /// Finds where slots and processes go.
    fn place(&mut self, segments: &'a [Segment], scope: &Scope) {
        let mut known: HashMap<(ProcessId, &str), u32> = HashMap::new();
        let window = scope.window.clone().unwrap_or(0..u64::MAX);
        for segment in segments {
            let length = segment.key.resolution.seconds();
            let start_of = |slot: usize| segment.key.start + slot as u64 * length;
            let slots: Vec<u32> = (0..segment.coverage.len())
                .map(|slot| {
                    self.plan
                        .slot_of(start_of(slot))
                        .map_or(NONE, |at| at as u32)
                })
                .collect();
            if slots.iter().all(|slot| *slot == NONE) {
                continue;
            }
            let unit = length / u64::from(segment.key.resolution.sub_slots());
            for (slot, coverage) in slots.iter().zip(&segment.coverage) {
                if let Some(covered) = self.covered.get_mut(*slot as usize) {
                    *covered += u64::from(coverage.count()) * unit;
                }
            }
            let span = window.start.max(self.plan.span.start)..window.end.min(self.plan.span.end);
            let mut processes = Vec::with_capacity(segment.processes.len());
            for process in &segment.processes {
                let id = process.id;
                if scope
                    .process
                    .is_some_and(|scope| scope != (id.pid, id.start))
                {
                    processes.push(NONE);
                    continue;
                }
                let index = *known.entry(process.identity()).or_insert_with(|| {
                    self.processes.push(ProcessRow::new(process.clone()));
                    self.processes.len() as u32 - 1
                });
                self.processes[index as usize].process.absorb(process);
                processes.push(index);
            }
            self.segments.push(Placed {
                segment,
                window: (0..slots.len())
                    .map(|slot| span.contains(&start_of(slot)))
                    .collect(),
                slots,
                processes,
            });
        }
        let seconds = self.plan.step;
        for covered in &mut self.covered {
            *covered = (*covered).min(seconds);
        }
        let span = window.start.max(self.plan.span.start)..window.end.min(self.plan.span.end);
        let (start, end) = (ns(span.start), ns(span.end));
        for row in &mut self.processes {
            let process = &row.process;
            row.present = !process.is_folded()
                && process.id.start < end
                && (process.end == 0 || process.end >= start);
        }
    }

    fn add_cpu(&mut self, placed: &Placed<'_>) {
        for row in placed.segment.cpu.chunk_by(|a, b| a.row == b.row) {
            let Row(process, core) = row[0].row;
            let process = placed.processes[process as usize];
            if process == NONE {
                continue;
            }
            if !self.cores.contains_key(&core) && self.cores.len() < MAX_CORES {
                self.cores.insert(core, vec![0; self.cpu.len()]);
            }
            let mut by_core = self.cores.get_mut(&core);
            let (mut all, mut within) = (0_u64, 0_u64);
            for cell in row {
                let slot = placed.slots[cell.slot as usize];
                if slot == NONE {
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
            if process == NONE || placed.slots[cell.slot as usize] == NONE {
                continue;
            }
            let row = &mut self.processes[process as usize];
            row.rank_rss = row.rank_rss.max(cell.value.rss);
            if placed.window[cell.slot as usize] {
                row.memory.absorb(cell.row, &cell.value);
                row.present = true;
            }
        }
    }

    fn add_totals(&mut self, placed: &Placed<'_>) {
        for row in placed.segment.totals.chunk_by(|a, b| a.row == b.row) {
            let metric = Metric(row[0].row.0);
            if metric.name().is_empty() {
                continue;
            }
            let sums = self.totals.entry(metric.0).or_insert_with(|| MetricSums {
                series: vec![None; self.cpu.len()],
                total: 0,
            });
            let absorb = |kept: &mut u64, number: u64| match metric.adds() {
                true => add(kept, number),
                false => *kept = (*kept).max(number),
            };
            for cell in row {
                let slot = placed.slots[cell.slot as usize];
                if slot != NONE {
                    absorb(
                        sums.series[slot as usize].get_or_insert(0),
                        cell.value.value,
                    );
                    absorb(&mut sums.total, cell.value.value);
                }
            }
        }
    }

    fn add_losses(&mut self, placed: &Placed<'_>) {
        for cell in &placed.segment.losses {
            if placed.slots[cell.slot as usize] != NONE {
                let sum = self.losses.entry(cell.row.0).or_default();
                sum.absorb(cell.row, &cell.value);
            }
        }
    }

    fn add_events(&mut self, placed: &Placed<'a>, scope: &Scope) {
        let segment: &'a Segment = placed.segment;
        for event in &segment.events {
            let inside = self.plan.slot_of(event.at / 1_000_000_000).is_some();
            let process = event
                .process
                .map(|index| placed.processes[index as usize])
                .filter(|process| *process != NONE);
            if inside && (scope.process.is_none() || process.is_some()) {
                self.events.push((event, process));
            }
        }
    }

    /// Series of the `top` processes by CPU time, and of all others together
    /// (last, when there are any): (index of the process, ns by slot).
    pub fn cpu_by_process(&self, top: usize) -> Vec<ProcessValues> {
        let (mut series, places) = self.top_series(top, |row| row.rank_cpu);
        for placed in &self.segments {
            for row in placed.segment.cpu.chunk_by(|a, b| a.row == b.row) {
                let process = placed.processes[row[0].row.0 as usize];
                if process == NONE {
                    continue;
                }
                let values = &mut series[places[process as usize]].1;
                for cell in row {
                    if let Some(value) = values.get_mut(placed.slots[cell.slot as usize] as usize) {
                        add(value, cell.value.ns);
                    }
                }
            }
        }
        series.retain(|(process, values)| process.is_some() || values.iter().any(|ns| *ns > 0));
        series
    }

    /// The same for memory: rss in bytes, the highest within a slot.
    pub fn rss_by_process(&self, top: usize) -> Vec<ProcessValues> {
        let (mut series, places) = self.top_series(top, |row| row.rank_rss);
        let unit = self.plan.resolution.seconds();
        let raw = ((self.plan.span.end - self.plan.span.start) / unit) as usize;
        // What different processes hold at one time adds up; the highest of those sums counts.
        let mut others = vec![0_u64; raw];
        let other = series.len() - 1;
        for placed in &self.segments {
            let first = placed.segment.key.start;
            for cell in &placed.segment.memory {
                let slot = placed.slots[cell.slot as usize];
                let process = placed.processes[cell.row.0 as usize];
                if process == NONE || slot == NONE {
                    continue;
                }
                let place = places[process as usize];
                if place == other {
                    let at = first + u64::from(cell.slot) * placed.segment.key.resolution.seconds();
                    add(
                        &mut others[((at - self.plan.span.start) / unit) as usize],
                        cell.value.rss,
                    );
                } else {
                    let value = &mut series[place].1[slot as usize];
                    *value = (*value).max(cell.value.rss);
                }
            }
        }
        let per_slot = (self.plan.step / unit) as usize;
        for (value, sums) in series[other].1.iter_mut().zip(others.chunks(per_slot)) {
            *value = sums.iter().copied().max().unwrap_or(0);
        }
        series.retain(|(process, values)| process.is_some() || values.iter().any(|rss| *rss > 0));
        series
    }

    /// Empty series for the greatest by `rank` and one for the others, and for each process which is its.
    fn top_series(
        &self,
        top: usize,
        rank: impl Fn(&ProcessRow) -> u64,
    ) -> (Vec<ProcessValues>, Vec<usize>) {
        let mut ranked: Vec<u32> = (0..self.processes.len() as u32)
            .filter(|index| rank(&self.processes[*index as usize]) > 0)
            .collect();
        ranked.sort_by_key(|index| std::cmp::Reverse(rank(&self.processes[*index as usize])));
        ranked.truncate(top);
        let mut places = vec![ranked.len(); self.processes.len()];
        for (place, index) in ranked.iter().enumerate() {
            places[*index as usize] = place;
        }
        let series = ranked
            .into_iter()
            .map(Some)
            .chain([None])
            .map(|process| (process, vec![0; self.cpu.len()]))
            .collect();
        (series, places)
    }

    /// What each process did with each file within the window.
    pub fn file_pairs(&self) -> Pairs<'a, File, FileIo> {
        pairs(&self.segments, |s| (&s.file_io, &s.files))
    }

    /// What each process did with each connection within the window.
    pub fn network_pairs(&self) -> Pairs<'a, Connection, NetworkIo> {
        pairs(&self.segments, |s| (&s.network_io, &s.connections))
    }
}

impl ProcessRow {
    fn new(process: Process) -> Self {
        Self {
            process,
            cpu_ns: 0,
            memory: Memory::default(),
            files: FileIo::default(),
            network: NetworkIo::default(),
            present: false,
            rank_cpu: 0,
            rank_rss: 0,
        }
    }
}

/// Rows by file or connection in the making.
struct Peers<'a, T, V> {
    known: HashMap<&'a T, u32>,
    pairs: HashSet<(u32, u32)>,
    rows: Vec<PeerRow<'a, T, V>>,
}

impl<T, V> Default for Peers<'_, T, V> {
    fn default() -> Self {
        Self {
            known: HashMap::new(),
            pairs: HashSet::new(),
            rows: Vec::new(),
        }
    }
}

impl<'a, T: Eq + std::hash::Hash, V: Value> Peers<'a, T, V> {
    fn add(
        &mut self,
        placed: &Placed<'a>,
        cells: &'a [Cell<V>],
        entries: &'a [T],
        series: &mut [V],
        mut to_process: impl FnMut(u32, &V),
    ) {
        let mut indices = vec![NONE; entries.len()];
        for row in cells.chunk_by(|a, b| a.row == b.row) {
            let Row(process, entry) = row[0].row;
            let process = placed.processes[process as usize];
            if process == NONE {
                continue;
            }
            let mut within = None;
            for cell in row {
                let slot = placed.slots[cell.slot as usize];
                if slot == NONE {
                    continue;
                }
                series[slot as usize].absorb(cell.row, &cell.value);
                if placed.window[cell.slot as usize] {
                    within
                        .get_or_insert_with(V::default)
                        .absorb(cell.row, &cell.value);
                }
            }
            let Some(within) = within else {
                continue;
            };
            to_process(process, &within);
            let index = &mut indices[entry as usize];
            if *index == NONE {
                let entry = &entries[entry as usize];
                *index = *self.known.entry(entry).or_insert_with(|| {
                    self.rows.push(PeerRow {
                        entry,
                        sum: V::default(),
                        processes: Vec::new(),
                    });
                    self.rows.len() as u32 - 1
                });
            }
            let peer = &mut self.rows[*index as usize];
            peer.sum.absorb(row[0].row, &within);
            if self.pairs.insert((*index, process)) {
                peer.processes.push(process);
            }
        }
    }
}

fn pairs<'a, T: Eq + std::hash::Hash + Ord, V: Value + 'a>(
    segments: &[Placed<'a>],
    table: impl Fn(&'a Segment) -> (&'a Vec<Cell<V>>, &'a Vec<T>),
) -> Pairs<'a, T, V> {
    let mut sums: HashMap<(u32, &'a T), V> = HashMap::new();
    for placed in segments {
        let (cells, entries) = table(placed.segment);
        for row in cells.chunk_by(|a, b| a.row == b.row) {
            let Row(process, entry) = row[0].row;
            let process = placed.processes[process as usize];
            let mut within = row
                .iter()
                .filter(|cell| {
                    placed.window[cell.slot as usize] && placed.slots[cell.slot as usize] != NONE
                })
                .peekable();
            if process == NONE || within.peek().is_none() {
                continue;
            }
            let sum = sums.entry((process, &entries[entry as usize])).or_default();
            for cell in within {
                sum.absorb(cell.row, &cell.value);
            }
        }
    }
    let mut pairs: Vec<_> = sums
        .into_iter()
        .map(|((process, entry), value)| (process, entry, value))
        .collect();
    pairs.sort_by(|a, b| (a.0, a.1).cmp(&(b.0, b.1)));
    pairs
}

fn add(sum: &mut u64, n: u64) {
    *sum = sum.saturating_add(n);
}

fn ns(seconds: u64) -> u64 {
    seconds.saturating_mul(1_000_000_000)
}
