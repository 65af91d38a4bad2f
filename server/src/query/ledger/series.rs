//! Series of the largest names: the second pass, when it is known which these are.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};

use bubble_common::segment::process::OTHER;

use super::placed::ABSENT;
use super::process::ProcessRow;
use super::{Ledger, add};

/// Processes of one name, and their values by slot.
#[derive(Debug, Clone, PartialEq)]
pub struct NameSeries {
    /// Their name. `None`: all other names together.
    pub name: Option<String>,
    /// Indices of their rows.
    pub rows: Vec<u32>,
    /// Values by slot.
    pub values: Vec<u64>,
}

/// Empty series for the largest names, then one for all others.
pub(super) struct Largest {
    pub(super) series: Vec<NameSeries>,
    /// By process: index of its series.
    pub(super) of: Vec<usize>,
}

impl Largest {
    /// Series with `slots` values, for the `top` names with the highest `ranks`. The name of a row
    /// that folded others is not a name.
    pub(super) fn new(
        processes: &[ProcessRow],
        slots: usize,
        top: usize,
        ranks: &HashMap<&str, u64>,
    ) -> Self {
        let mut ranked: Vec<(&str, u64)> = (ranks.iter())
            .filter(|(name, rank)| **rank > 0 && **name != OTHER)
            .map(|(name, rank)| (*name, *rank))
            .collect();
        ranked.sort_by_key(|(name, rank)| (Reverse(*rank), *name));
        ranked.truncate(top);
        let index: BTreeMap<&str, usize> = (ranked.iter().enumerate())
            .map(|(index, (name, _))| (*name, index))
            .collect();
        let names = ranked.iter().map(|(name, _)| Some((*name).to_owned()));
        let mut series: Vec<NameSeries> = (names.chain([None]))
            .map(|name| NameSeries {
                name,
                rows: Vec::new(),
                values: vec![0; slots],
            })
            .collect();
        let of = (0..)
            .zip(processes)
            .map(|(row, process)| {
                let name = process.process.name.as_str();
                let at = index.get(name).copied().unwrap_or(ranked.len());
                if ranks.get(name).is_some_and(|rank| *rank > 0) {
                    series[at].rows.push(row);
                }
                at
            })
            .collect();
        Self { series, of }
    }

    /// The series, that of the others only if it has a value.
    pub(super) fn into_series(mut self) -> Vec<NameSeries> {
        self.series
            .retain(|series| series.name.is_some() || series.values.iter().any(|n| *n > 0));
        self.series
    }
}

impl NameSeries {
    /// How many processes the rows stand for: programs of one process count once.
    pub fn count(&self, ledger: &Ledger<'_>) -> u64 {
        ledger.distinct(self.rows.iter().map(|row| *row as usize))
    }
}

impl Ledger<'_> {
    /// How many processes these rows stand for. Programs that one process ran count once, and a
    /// folded row as many as are in it.
    pub fn distinct(&self, rows: impl Iterator<Item = usize>) -> u64 {
        let (mut lives, mut folded) = (HashSet::new(), 0_u64);
        for process in rows.map(|row| &self.processes[row].process) {
            if process.is_folded() {
                add(&mut folded, process.count.into());
            } else {
                lives.insert((process.id.pid, process.id.start));
            }
        }
        folded.saturating_add(lives.len() as u64)
    }

    /// CPU time in ns by slot, of the `top` names that used most, then of all others together.
    pub fn cpu_by_name(&self, top: usize) -> Vec<NameSeries> {
        let mut ranks: HashMap<&str, u64> = HashMap::new();
        for row in &self.processes {
            add(ranks.entry(&row.process.name).or_default(), row.rank_cpu);
        }
        let mut largest = Largest::new(&self.processes, self.cpu.len(), top, &ranks);
        for placed in &self.segments {
            for row in placed.segment.cpu.chunk_by(|a, b| a.row == b.row) {
                let process = placed.processes[row[0].row.0 as usize];
                if process == ABSENT {
                    continue;
                }
                let values = &mut largest.series[largest.of[process as usize]].values;
                for cell in row {
                    if let Some(value) = values.get_mut(placed.slots[cell.slot as usize] as usize) {
                        add(value, cell.value.ns);
                    }
                }
            }
        }
        largest.into_series()
    }
}
