//! Makes canonical segments one without sorting what is sorted already.
//!
//! [`Segment::merge`], `add`, `slice` and `coarsen` are what a server does all
//! day, on segments whose dictionaries and tables are in order. So dictionaries
//! are united by walking along them, and the cells of a row are copied piece
//! after piece; only where pieces overlap a row's cells are sorted.

use std::cmp::Ordering;

use super::Segment;
use super::cell::{Cell, Row, Value, normalise};
use super::event::Event;
use super::process::Process;

/// A piece, and the slot of the whole to which each of its slots goes; none is left out.
/// The places ascend (several slots may go to one).
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) segment: &'a Segment,
    pub(super) places: Vec<Option<u32>>,
}

/// Fills `whole`, which has its key, coverage and facts, with what the parts
/// hold. Processes that nothing names stay when `keep` says so; files and
/// connections that no cell names do not.
pub(super) fn unite(
    mut whole: Segment,
    parts: &[Part<'_>],
    keep: impl Fn(&Process) -> bool,
) -> Segment {
    let mut processes = Union::new(|a: &Process, b: &Process| a.identity().cmp(&b.identity()));
    let mut files = Union::new(Ord::cmp);
    let mut connections = Union::new(Ord::cmp);
    let maps: Vec<[Vec<u32>; 3]> = parts
        .iter()
        .map(|part| {
            [
                processes.take(&part.segment.processes),
                files.take(&part.segment.files),
                connections.take(&part.segment.connections),
            ]
        })
        .collect();
    let (processes, process_ranks) = processes.finish();
    let (files, file_ranks) = files.finish();
    let (connections, connection_ranks) = connections.finish();
    let of_process = |part: usize, row: Row| process_ranks[maps[part][0][row.0 as usize] as usize];

    macro_rules! table {
        ($field:ident, $row:expr) => {
            whole.$field = unite_cells(parts, |segment| &segment.$field, $row);
        };
    }
    table!(totals, |_, row| row);
    table!(losses, |_, row| row);
    table!(cpu, |part, row| Row(of_process(part, row), row.1));
    table!(memory, |part, row| Row(of_process(part, row), row.1));
    table!(file_io, |part, row| Row(
        of_process(part, row),
        file_ranks[maps[part][1][row.1 as usize] as usize]
    ));
    table!(network_io, |part, row| Row(
        of_process(part, row),
        connection_ranks[maps[part][2][row.1 as usize] as usize]
    ));
    for (index, part) in parts.iter().enumerate() {
        for event in &part.segment.events {
            let slot = part.segment.slot_of(event.at);
            if slot.and_then(|slot| part.places[slot as usize]).is_some() {
                whole.events.push(Event {
                    process: event.process.map(|old| of_process(index, Row(old, 0))),
                    ..event.clone()
                });
            }
        }
    }
    whole.events.sort();
    whole.events.dedup();

    whole.processes = united_processes(parts, &maps, &process_ranks, processes.len());
    let named = whole.names_of_processes();
    let dropped = retain_entries(&mut whole.processes, |index, process| {
        named[index] || keep(process)
    });
    if let Some(new) = dropped {
        whole.map_processes(&new);
    }
    let mut named = vec![false; files.len()];
    for cell in &whole.file_io {
        named[cell.row.1 as usize] = true;
    }
    whole.files = named_entries(&files, &named, &mut whole.file_io);
    let mut named = vec![false; connections.len()];
    for cell in &whole.network_io {
        named[cell.row.1 as usize] = true;
    }
    whole.connections = named_entries(&connections, &named, &mut whole.network_io);
    whole
}

/// The union of sorted dictionaries: each entry once, numbered as it was first met.
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

    /// The numbers of the entries of `dictionary`.
    fn take(&mut self, dictionary: &'a [T]) -> Vec<u32> {
        let mut at = 0;
        let mut numbers = Vec::with_capacity(dictionary.len());
        for entry in dictionary {
            let compare = |number: &u32| (self.order)(self.entries[*number as usize], entry);
            // Mostly it is the next one; else it is searched for in the rest.
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

/// The processes by rank, each with what all parts know of it.
fn united_processes(
    parts: &[Part<'_>],
    maps: &[[Vec<u32>; 3]],
    ranks: &[u32],
    count: usize,
) -> Vec<Process> {
    let mut united: Vec<Option<Process>> = vec![None; count];
    for (part, [numbers, ..]) in parts.iter().zip(maps) {
        for (process, number) in part.segment.processes.iter().zip(numbers) {
            match &mut united[ranks[*number as usize] as usize] {
                Some(known) => known.absorb(process),
                unknown => *unknown = Some(process.clone()),
            }
        }
    }
    united.into_iter().flatten().collect()
}

/// The cells of one table. `row` gives the row of the whole for one of a part, and keeps order.
fn unite_cells<'a, V: Value + 'a>(
    parts: &'a [Part<'_>],
    cells: impl Fn(&'a Segment) -> &'a Vec<Cell<V>>,
    row: impl Fn(usize, Row) -> Row,
) -> Vec<Cell<V>> {
    // Where the rows are: a row's cells in one part.
    let mut stretches: Vec<(Row, usize, &[Cell<V>])> = Vec::new();
    for (index, part) in parts.iter().enumerate() {
        let mut rest = &cells(part.segment)[..];
        while let Some(first) = rest.first() {
            // A row has at most as many cells as there are slots.
            let reach = &rest[..rest.len().min(part.places.len())];
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
        let places = &parts[part].places;
        for cell in stretch {
            let Some(slot) = places[cell.slot as usize] else {
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
    /// Which processes a cell or an event names.
    fn names_of_processes(&self) -> Vec<bool> {
        fn note<V>(named: &mut [bool], cells: &[Cell<V>]) {
            for cell in cells {
                named[cell.row.0 as usize] = true;
            }
        }
        let mut named = vec![false; self.processes.len()];
        note(&mut named, &self.cpu);
        note(&mut named, &self.memory);
        note(&mut named, &self.file_io);
        note(&mut named, &self.network_io);
        for process in self.events.iter().filter_map(|event| event.process) {
            named[process as usize] = true;
        }
        named
    }
}

/// Drops the entries that `keep` does not want. The new index of each old one, if any was dropped.
fn retain_entries<T>(entries: &mut Vec<T>, keep: impl Fn(usize, &T) -> bool) -> Option<Vec<u32>> {
    let kept: Vec<bool> = entries
        .iter()
        .enumerate()
        .map(|(index, entry)| keep(index, entry))
        .collect();
    if kept.iter().all(|kept| *kept) {
        return None;
    }
    let mut index = 0;
    entries.retain(|_| {
        index += 1;
        kept[index - 1]
    });
    Some(places_of(&kept))
}

/// The entries that are named; the second index of each cell is made to fit.
fn named_entries<T: Clone, V>(entries: &[&T], named: &[bool], cells: &mut [Cell<V>]) -> Vec<T> {
    if named.iter().any(|named| !named) {
        let new = places_of(named);
        for cell in cells {
            cell.row.1 = new[cell.row.1 as usize];
        }
    }
    let named = entries.iter().zip(named).filter(|(_, named)| **named);
    named.map(|(entry, _)| (*entry).clone()).collect()
}

/// The index of each that is kept among those that are kept.
fn places_of(kept: &[bool]) -> Vec<u32> {
    let mut next = 0;
    kept.iter()
        .map(|kept| {
            next += u32::from(*kept);
            next.saturating_sub(1)
        })
        .collect()
}
