//! Sums by file or connection. Both are tables of (process, entry of a dictionary).

use std::collections::{HashMap, HashSet};
use std::hash::Hash;

use bubble_common::segment::Segment;
use bubble_common::segment::cell::{Cell, Row, Value};

use super::placed::{ABSENT, Placed};

/// A file or a connection, its sum, and the processes that used it.
#[derive(Debug)]
pub struct PeerRow<'a, T, V> {
    /// The file or connection.
    pub entry: &'a T,
    /// Over all processes.
    pub sum: V,
    /// Indices of processes.
    pub processes: Vec<u32>,
}

/// Rows of a table of (process, file) or (process, connection).
pub type Pairs<'a, T, V> = Vec<(u32, &'a T, V)>;

/// Collects the rows of all segments.
pub(super) struct Peers<'a, T, V> {
    index: HashMap<&'a T, u32>,
    pairs: HashSet<(u32, u32)>,
    pub(super) rows: Vec<PeerRow<'a, T, V>>,
}

impl<T, V> Default for Peers<'_, T, V> {
    fn default() -> Self {
        Self {
            index: HashMap::new(),
            pairs: HashSet::new(),
            rows: Vec::new(),
        }
    }
}

impl<'a, T: Eq + Hash, V: Value> Peers<'a, T, V> {
    /// Adds one table: to `series` by slot, and within the window to the rows and `to_process`.
    pub(super) fn add(
        &mut self,
        placed: &Placed<'a>,
        cells: &'a [Cell<V>],
        entries: &'a [T],
        series: &mut [V],
        mut to_process: impl FnMut(u32, &V),
    ) {
        // Index of the row for each entry of this dictionary, once it is known.
        let mut indices = vec![ABSENT; entries.len()];
        for row in cells.chunk_by(|a, b| a.row == b.row) {
            let Row(process, entry) = row[0].row;
            let process = placed.processes[process as usize];
            if process == ABSENT {
                continue;
            }
            let mut within = None;
            for cell in row {
                let slot = placed.slots[cell.slot as usize];
                if slot == ABSENT {
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
            if *index == ABSENT {
                *index = self.get_or_insert(&entries[entry as usize]);
            }
            let peer = &mut self.rows[*index as usize];
            peer.sum.absorb(row[0].row, &within);
            if self.pairs.insert((*index, process)) {
                peer.processes.push(process);
            }
        }
    }

    fn get_or_insert(&mut self, entry: &'a T) -> u32 {
        *self.index.entry(entry).or_insert_with(|| {
            self.rows.push(PeerRow {
                entry,
                sum: V::default(),
                processes: Vec::new(),
            });
            self.rows.len() as u32 - 1
        })
    }
}

/// Sums by process and entry within the window, in the order of both.
pub(super) fn pairs<'a, T: Eq + Hash + Ord, V: Value + 'a>(
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
                    placed.window[cell.slot as usize] && placed.slots[cell.slot as usize] != ABSENT
                })
                .peekable();
            if process == ABSENT || within.peek().is_none() {
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
