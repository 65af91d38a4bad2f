//! Unites canonical segments without sorting them again.
//!
//! A server spends its day in [`Segment::merge`], `add`, `slice` and `coarsen`, on
//! segments with sorted dictionaries and tables. So this module unites dictionaries
//! in one pass and copies the cells of a row piece by piece. It sorts only where
//! pieces overlap.

use std::cmp::Ordering;

use super::cell::{Cell, Row, Value, named, normalise};
use super::event::Event;
use super::file::File;
use super::network::Connection;
use super::part::Part;
use super::process::Process;
use super::{Segment, census};

/// Fills `whole` with the content of the parts. Its key, coverage and facts are set already.
///
/// Files and connections without a cell are dropped. A process without a cell or event is
/// dropped unless `keep` accepts it.
pub(super) fn unite(
    mut whole: Segment,
    parts: &[Part<'_>],
    keep: impl Fn(&Process) -> bool,
) -> Segment {
    let dictionaries = Dictionaries::unite(parts);
    unite_tables(&mut whole, parts, &dictionaries.indices);
    census::complete(&mut whole, parts);
    whole.events = unite_events(parts, &dictionaries.indices);
    whole.processes = unite_processes(parts, &dictionaries);
    let named = whole.named_processes();
    let new = retain_entries(&mut whole.processes, |index, process| {
        named[index] || keep(process)
    });
    if let Some(new) = new {
        whole.map_processes(&new);
    }
    whole.files = named_entries(&dictionaries.files, &mut whole.file_io);
    whole.connections = named_entries(&dictionaries.connections, &mut whole.network_io);
    census::recount(&mut whole, true);
    whole
}

/// The dictionaries of all parts, united.
struct Dictionaries<'a> {
    /// How many processes there are. [`unite_processes`] makes them.
    processes: usize,
    files: Vec<&'a File>,
    connections: Vec<&'a Connection>,
    /// One a part.
    indices: Vec<Indices>,
}

/// The new index of each entry of one part's dictionaries.
struct Indices {
    processes: Vec<u32>,
    files: Vec<u32>,
    connections: Vec<u32>,
}

impl<'a> Dictionaries<'a> {
    fn unite(parts: &[Part<'a>]) -> Self {
        let mut processes = Union::new(|a: &Process, b: &Process| a.identity().cmp(&b.identity()));
        let mut files = Union::new(Ord::cmp);
        let mut connections = Union::new(Ord::cmp);
        let mut indices: Vec<Indices> = (parts.iter())
            .map(|part| Indices {
                processes: processes.add(&part.segment.processes),
                files: files.add(&part.segment.files),
                connections: connections.add(&part.segment.connections),
            })
            .collect();
        let (processes, process_ranks) = processes.finish();
        let (files, file_ranks) = files.finish();
        let (connections, connection_ranks) = connections.finish();
        let rank = |numbers: &mut Vec<u32>, ranks: &[u32]| {
            for number in numbers {
                *number = ranks[*number as usize];
            }
        };
        for part in &mut indices {
            rank(&mut part.processes, &process_ranks);
            rank(&mut part.files, &file_ranks);
            rank(&mut part.connections, &connection_ranks);
        }
        Self {
            processes: processes.len(),
            files,
            connections,
            indices,
        }
    }
}

/// The union of sorted dictionaries. Each entry is numbered when it first occurs.
struct Union<'a, T, F> {
    entries: Vec<&'a T>,
    /// Numbers of the entries, in the entries' order.
    sorted: Vec<u32>,
    order: F,
}

impl<'a, T, F: Fn(&T, &T) -> Ordering> Union<'a, T, F> {
    fn new(order: F) -> Self {
        Self {
            entries: Vec::new(),
            sorted: Vec::new(),
            order,
        }
    }

    /// Adds a dictionary and returns the numbers of its entries.
    fn add(&mut self, dictionary: &'a [T]) -> Vec<u32> {
        let mut at = 0;
        let mut numbers = Vec::with_capacity(dictionary.len());
        for entry in dictionary {
            let compare = |number: &u32| (self.order)(self.entries[*number as usize], entry);
            // Mostly it is the next one. Otherwise search the rest.
            let rest = &self.sorted[at..];
            let found = match rest.first().map(compare) {
                Some(Ordering::Equal) => Ok(0),
                Some(Ordering::Less) => rest.binary_search_by(compare),
                Some(Ordering::Greater) | None => Err(0),
            };
            match found {
                Ok(skip) => at += skip,
                Err(skip) => {
                    at += skip;
                    self.sorted.insert(at, self.entries.len() as u32);
                    self.entries.push(entry);
                }
            }
            numbers.push(self.sorted[at]);
            at += 1;
        }
        numbers
    }

    /// The entries in order, and the rank of each number.
    fn finish(self) -> (Vec<&'a T>, Vec<u32>) {
        let mut ranks = vec![0; self.sorted.len()];
        let mut entries = Vec::with_capacity(self.sorted.len());
        for (rank, number) in (0..).zip(self.sorted) {
            ranks[number as usize] = rank;
            entries.push(self.entries[number as usize]);
        }
        (entries, ranks)
    }
}

/// The processes, each with what all parts know about it: the part in which it was active last has
/// its latest state.
fn unite_processes(parts: &[Part<'_>], dictionaries: &Dictionaries<'_>) -> Vec<Process> {
    let mut united: Vec<Option<(u64, Process)>> = vec![None; dictionaries.processes];
    for (part, indices) in parts.iter().zip(&dictionaries.indices) {
        let active = part.segment.last_activity();
        for ((process, index), active) in part
            .segment
            .processes
            .iter()
            .zip(&indices.processes)
            .zip(active)
        {
            let Some((latest, united)) = &mut united[*index as usize] else {
                united[*index as usize] = Some((active, process.clone()));
                continue;
            };
            *latest = united.unite(*latest, process, active);
        }
    }
    let united = united.into_iter().flatten();
    let mut united: Vec<Process> = united.map(|(_, process)| process).collect();
    if parts.len() > 1 && united.first().is_some_and(Process::is_folded) {
        let whole: Vec<&Process> = united.iter().collect();
        let parts = parts.iter().zip(&dictionaries.indices);
        let parts =
            parts.map(|(part, indices)| (&part.segment.processes[..], &indices.processes[..]));
        for (index, bound) in census::bounds(&whole, parts) {
            united[index as usize].count = bound;
        }
    }
    united
}

/// The events of the slots that are taken over.
fn unite_events(parts: &[Part<'_>], indices: &[Indices]) -> Vec<Event> {
    let mut united = Vec::new();
    for (part, indices) in parts.iter().zip(indices) {
        for event in &part.segment.events {
            let slot = part.segment.slot_of(event.at);
            if slot.and_then(|slot| part.targets[slot as usize]).is_some() {
                united.push(Event {
                    process: event.process.map(|old| indices.processes[old as usize]),
                    ..event.clone()
                });
            }
        }
    }
    united.sort();
    united.dedup();
    united
}

/// Fills the tables of `whole`.
fn unite_tables(whole: &mut Segment, parts: &[Part<'_>], indices: &[Indices]) {
    let process = |part: usize, row: Row| indices[part].processes[row.0 as usize];
    let file = |part: usize, row: Row| indices[part].files[row.1 as usize];
    let connection = |part: usize, row: Row| indices[part].connections[row.1 as usize];
    macro_rules! table {
        ($field:ident, $row:expr) => {
            whole.$field = unite_cells(parts, |segment| &segment.$field, $row);
        };
    }
    table!(totals, |_, row| row);
    table!(losses, |_, row| row);
    table!(cpu, |part, row| Row(process(part, row), row.1));
    table!(memory, |part, row| Row(process(part, row), row.1));
    table!(file_io, |part, row| Row(
        process(part, row),
        file(part, row)
    ));
    table!(network_io, |part, row| Row(
        process(part, row),
        connection(part, row)
    ));
    table!(waits, |part, row| Row(process(part, row), row.1));
}

/// Unites the cells of one table. `row` maps a part's row to one of the whole, keeping the order.
fn unite_cells<'a, V: Value + 'a>(
    parts: &'a [Part<'_>],
    cells: impl Fn(&'a Segment) -> &'a Vec<Cell<V>>,
    row: impl Fn(usize, Row) -> Row,
) -> Vec<Cell<V>> {
    // One stretch is the cells of one row in one part.
    let mut stretches: Vec<(Row, usize, &[Cell<V>])> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let mut rest = &cells(part.segment)[..];
        while let Some(first) = rest.first() {
            // A row has at most as many cells as there are slots.
            let reach = &rest[..rest.len().min(part.targets.len())];
            let end = reach.partition_point(|cell| cell.row == first.row);
            let (stretch, after) = rest.split_at(end.max(1));
            stretches.push((row(index, first.row), index, stretch));
            rest = after;
        }
    }
    stretches.sort_by_key(|&(row, ..)| row);
    let mut united = Vec::with_capacity(stretches.iter().map(|(.., cells)| cells.len()).sum());
    let mut in_order = true;
    for (row, part, stretch) in stretches {
        let targets = &parts[part].targets;
        for cell in stretch {
            let Some(slot) = targets[cell.slot as usize] else {
                continue;
            };
            if let Some(last) = united.last_mut() {
                let last: &mut Cell<V> = last;
                if last.row == row && last.slot >= slot {
                    if last.slot == slot {
                        last.value.absorb(row, &cell.value);
                        continue;
                    }
                    in_order = false;
                }
            }
            united.push(Cell {
                row,
                slot,
                value: cell.value,
            });
        }
    }
    if !in_order {
        normalise(&mut united);
    }
    united
}

impl Segment {
    /// When each process was active last: end of its last slot with a cell, in seconds since the Unix
    /// epoch; 0 if it has none. Of two segments with the same process, the later one has its state.
    pub fn last_activity(&self) -> Vec<u64> {
        fn mark<V>(slots: &mut [u64], cells: &[Cell<V>]) {
            for cell in cells {
                let last = &mut slots[cell.row.0 as usize];
                *last = (*last).max(u64::from(cell.slot) + 1);
            }
        }
        let mut slots = vec![0; self.processes.len()];
        mark(&mut slots, &self.cpu);
        mark(&mut slots, &self.memory);
        mark(&mut slots, &self.file_io);
        mark(&mut slots, &self.network_io);
        for last in slots.iter_mut().filter(|last| **last != 0) {
            let seconds = last.saturating_mul(self.key.resolution.seconds());
            *last = self.key.start.saturating_add(seconds);
        }
        slots
    }

    /// Which processes a cell or an event names, as a mask.
    fn named_processes(&self) -> Vec<bool> {
        fn mark<V>(named: &mut [bool], cells: &[Cell<V>]) {
            for cell in cells {
                named[cell.row.0 as usize] = true;
            }
        }
        let mut named = vec![false; self.processes.len()];
        mark(&mut named, &self.cpu);
        mark(&mut named, &self.memory);
        mark(&mut named, &self.file_io);
        mark(&mut named, &self.network_io);
        mark(&mut named, &self.waits);
        for process in self.events.iter().filter_map(|event| event.process) {
            named[process as usize] = true;
        }
        named
    }
}

/// Drops the entries that `keep` rejects. Returns the new index of each old one, if any was dropped.
fn retain_entries<T>(entries: &mut Vec<T>, keep: impl Fn(usize, &T) -> bool) -> Option<Vec<u32>> {
    let retained: Vec<bool> = (entries.iter().enumerate())
        .map(|(index, entry)| keep(index, entry))
        .collect();
    if retained.iter().all(|retained| *retained) {
        return None;
    }
    let mut index = 0;
    entries.retain(|_| {
        index += 1;
        retained[index - 1]
    });
    Some(new_indices(&retained))
}

/// The entries that a cell's second index names. Changes these indices accordingly.
fn named_entries<T: Clone, V>(entries: &[&T], cells: &mut [Cell<V>]) -> Vec<T> {
    let named = named(entries.len(), cells);
    if named.iter().any(|named| !named) {
        let new = new_indices(&named);
        for cell in cells {
            cell.row.1 = new[cell.row.1 as usize];
        }
    }
    let named = entries.iter().zip(named).filter(|(_, named)| *named);
    named.map(|(entry, _)| (*entry).clone()).collect()
}

/// The index of each retained entry among the retained ones.
fn new_indices(retained: &[bool]) -> Vec<u32> {
    let mut next = 0;
    (retained.iter())
        .map(|retained| {
            next += u32::from(*retained);
            next.saturating_sub(1)
        })
        .collect()
}
