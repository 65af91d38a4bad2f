//! Lanes: every process of a range with its start, end, parent and exit, and its CPU time by slot
//! and core. One answer has all of them, in columns; what it folds, it says.

mod cells;
mod choose;
mod columns;
mod lives;

use cells::Cells;
use choose::Chosen;
use columns::{CellColumns, LaneColumns};
use lives::Lives;
use serde::Serialize;

use super::bound::Bound;
use super::ledger::Ledger;
use super::range::{Plan, RangeInfo};
use crate::memory::MemoryError;

/// Cells of an answer at most. With more, its slots become longer.
const MAX_CELLS: usize = 250_000;

/// Memory of a lane, in bytes: its values, its key, and the beginning of its command line.
const LANE: usize = 1 << 10;
/// Memory of a cell, in bytes.
const CELL: usize = 32;

/// All processes of a range over time. Values are in columns: `lanes` has one value per lane,
/// `cells` one per lane, slot and core in which CPU time was used.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Lanes {
    /// The slots of `cells`. The last one may end after `to`.
    pub range: RangeInfo,
    /// The known part of each slot, 0 to 1.
    pub covered: Vec<f64>,
    /// Names, to which `lanes.names` refers.
    pub names: Vec<String>,
    /// The lanes, in order of their starts; a parent comes before its children.
    pub lanes: LaneColumns,
    /// CPU time.
    pub cells: CellColumns,
    /// How many processes there are. A process that ran several programs counts once.
    pub total: u64,
    /// CPU time of all of them, ns.
    pub total_cpu_ns: u64,
    /// How many processes have no lane of their own, because `limit` lanes are in the answer: they
    /// are in the lanes with a `count` above 1, by parent and name.
    pub folded: u64,
    /// How many processes the agent or the roll-up folded by name before, at least. Their starts,
    /// ends and parents are unknown.
    pub folded_before: u64,
}

impl Lanes {
    /// Makes the answer from `ledger`: at most `slots` slots, and a lane of their own for at most
    /// `limit` processes. Takes the memory of lanes and cells from `bound`.
    ///
    /// # Errors
    /// When it needs more memory.
    pub(super) fn new(
        plan: &Plan,
        ledger: &Ledger<'_>,
        slots: usize,
        limit: usize,
        bound: &Bound,
    ) -> Result<Self, MemoryError> {
        let lives = Lives::new(ledger);
        let chosen = Chosen::new(&lives, limit.max(1));
        let least = plan.slots().div_ceil(slots.max(1)).max(1);
        let cells = Cells::new(ledger, &lives, &chosen, least, MAX_CELLS);
        let factor = cells.factor;
        let covered = ledger.covered.chunks(factor).map(|known| {
            let seconds = known.len() as f64 * plan.step as f64;
            (known.iter().sum::<u64>() as f64 / seconds * 1_000.0).round() / 1_000.0
        });
        bound.take(chosen.len() * LANE + cells.counts.iter().sum::<u32>() as usize * CELL)?;
        let mut names = Vec::new();
        let lanes = chosen.columns(&lives, cells.counts, &mut names);
        Ok(Self {
            covered: covered.collect(),
            range: RangeInfo {
                step: plan.step * factor as u64,
                slots: plan.slots().div_ceil(factor) as u64,
                ..RangeInfo::new(plan)
            },
            names,
            lanes,
            cells: cells.columns,
            total: lives.all.len() as u64,
            total_cpu_ns: ledger.cpu.iter().fold(0, |sum, ns| sum.saturating_add(*ns)),
            folded: chosen.folded,
            folded_before: lives.folded_before,
        })
    }
}
