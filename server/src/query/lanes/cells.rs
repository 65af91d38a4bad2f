//! CPU time by lane, slot and core.

use super::choose::Chosen;
use super::columns::CellColumns;
use super::lives::Lives;
use crate::query::ledger::Ledger;

/// CPU time of a lane on a core in a slot.
#[derive(Clone, Copy)]
struct Cell {
    lane: u32,
    slot: u32,
    core: u32,
    ns: u64,
}

impl Cell {
    fn place(&self) -> (u32, u32, u32) {
        (self.lane, self.slot, self.core)
    }
}

/// The cells of an answer.
pub(super) struct Cells {
    /// How many slots of the plan are one slot of the answer.
    pub(super) factor: usize,
    /// Number of cells by lane.
    pub(super) counts: Vec<u32>,
    pub(super) columns: CellColumns,
}

impl Cells {
    /// Puts at least `factor` slots of the plan into one, and more until there are at most `max` cells.
    pub(super) fn new(
        ledger: &Ledger<'_>,
        lives: &Lives<'_>,
        chosen: &Chosen<'_>,
        factor: usize,
        max: usize,
    ) -> Self {
        // Rows that are not in the range have no cells in it.
        let mut lane_of = vec![None; ledger.processes.len()];
        for (life, lane) in lives.all.iter().zip(&chosen.of) {
            for row in &life.rows {
                lane_of[*row as usize] = Some(*lane);
            }
        }
        for ((row, _), lane) in lives.before.iter().zip(&chosen.of_before) {
            lane_of[*row as usize] = Some(*lane);
        }
        let mut factor = factor.max(1);
        let mut cells = Vec::new();
        ledger.each_cpu(|process, core, slot, ns| {
            if let Some(lane) = lane_of[process as usize].filter(|_| ns > 0) {
                let slot = (slot / factor) as u32;
                cells.push(Cell {
                    lane,
                    slot,
                    core,
                    ns,
                });
            }
        });
        merge(&mut cells);
        // With a single slot there are no fewer cells.
        while cells.len() > max && factor < ledger.covered.len() {
            factor *= 2;
            cells.iter_mut().for_each(|cell| cell.slot /= 2);
            merge(&mut cells);
        }
        let mut counts = vec![0; chosen.len()];
        for cell in &cells {
            counts[cell.lane as usize] += 1;
        }
        let columns = CellColumns {
            slot: cells.iter().map(|cell| cell.slot).collect(),
            core: cells.iter().map(|cell| cell.core).collect(),
            cpu_us: cells.iter().map(|cell| (cell.ns / 1_000).max(1)).collect(),
        };
        Self {
            factor,
            counts,
            columns,
        }
    }
}

/// Sorts the cells, and adds up those with the same place.
fn merge(cells: &mut Vec<Cell>) {
    cells.sort_unstable_by_key(Cell::place);
    cells.dedup_by(|next, kept| {
        let is_same = next.place() == kept.place();
        if is_same {
            kept.ns = kept.ns.saturating_add(next.ns);
        }
        is_same
    });
}
