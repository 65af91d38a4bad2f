//! Tables with all rows, or sorted, filtered, grouped and cut.

mod arrange;
mod column;
mod list;
mod pairs;
mod row;
mod series;

use arrange::Arranged;
pub use arrange::{ArrangeError, Arrangement, GroupRow, Order, RowSums};
use bubble_common::segment::event::{Event, EventKind};
use column::Columns;
pub use list::ContainerRows;
use pairs::{connections, files, who};
pub use row::{CpuCell, EventCell, FileCell, NetworkCell, TableKind, Who};
use serde::Serialize;
pub use series::{SeriesKind, TableSeries};

use super::ledger::Ledger;
use super::process::{ProcessInfo, key_of};
use super::range::{Plan, RangeInfo};

/// A table.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Table {
    /// The slots that it covers.
    pub range: RangeInfo,
    /// The rows, in the order that was asked for.
    pub rows: Rows,
    /// All rows that match the filter, those that `limit` and `offset` leave out included. Of a
    /// table in groups: all groups.
    pub total: RowSums,
    /// The rows that match the filter, but are left out of `rows` by `limit` and `offset`.
    pub rest: RowSums,
}

/// Rows of one kind.
#[derive(Debug, Clone, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(untagged)]
pub enum Rows {
    /// Of processes.
    Process(Vec<ProcessInfo>),
    /// Of processes and files.
    File(Vec<FileCell>),
    /// Of processes and connections.
    Network(Vec<NetworkCell>),
    /// Of processes and cores.
    Cpu(Vec<CpuCell>),
    /// Of events.
    Event(Vec<EventCell>),
    /// Of any kind, in groups.
    Group(Vec<GroupRow>),
}

impl Table {
    /// The table of `kind` in `ledger`, arranged.
    ///
    /// # Errors
    /// When it has no such column, or the filter is not valid.
    pub fn new(
        kind: TableKind,
        plan: &Plan,
        ledger: &Ledger<'_>,
        by: &Arrangement,
    ) -> Result<Self, ArrangeError> {
        match kind {
            TableKind::Process => Self::arrange(plan, processes(ledger), by, Rows::Process),
            TableKind::File => Self::arrange(plan, files(ledger), by, Rows::File),
            TableKind::Network => Self::arrange(plan, connections(ledger), by, Rows::Network),
            TableKind::Cpu => Self::arrange(plan, cpu(ledger), by, Rows::Cpu),
            TableKind::Event => Self::arrange(plan, events(ledger), by, Rows::Event),
        }
    }

    fn arrange<R: Columns>(
        plan: &Plan,
        rows: Vec<R>,
        by: &Arrangement,
        make: impl Fn(Vec<R>) -> Rows,
    ) -> Result<Self, ArrangeError> {
        match &by.group {
            Some(group) => Ok(Self::of(
                plan,
                arrange::groups(rows, group, by)?,
                Rows::Group,
            )),
            None => Ok(Self::of(plan, arrange::rows(rows, by)?, make)),
        }
    }

    fn of<T>(plan: &Plan, arranged: Arranged<T>, make: impl Fn(Vec<T>) -> Rows) -> Self {
        Self {
            range: RangeInfo::new(plan),
            rows: make(arranged.rows),
            total: arranged.total,
            rest: arranged.rest,
        }
    }
}

fn processes(ledger: &Ledger<'_>) -> Vec<ProcessInfo> {
    let present = ledger.processes.iter().filter(|row| row.present);
    let mut rows: Vec<ProcessInfo> = present.map(ProcessInfo::new).collect();
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    rows
}

fn cpu(ledger: &Ledger<'_>) -> Vec<CpuCell> {
    let pairs = ledger.cpu_pairs.iter();
    pairs
        .map(|((process, core), ns)| CpuCell {
            who: who(ledger, *process),
            core: *core,
            cpu_ns: *ns,
        })
        .collect()
}

fn events(ledger: &Ledger<'_>) -> Vec<EventCell> {
    let known = |(event, _): &&(&Event, _)| !event.kind.name().is_empty();
    let events = ledger.events.iter().filter(known);
    events
        .map(|(event, process)| {
            let process = process.map(|index| &ledger.processes[index as usize].process);
            EventCell {
                at: event.at as f64 / 1e9,
                kind: event.kind.name(),
                process: process.map(key_of).unwrap_or_default(),
                pid: process.map_or(0, |process| process.id.pid),
                name: process.map(|p| p.name.clone()).unwrap_or_default(),
                detail: event.detail.clone(),
                count: match event.kind {
                    EventKind::FOLDED => event.detail.parse().unwrap_or(1),
                    _ => 1,
                },
            }
        })
        .collect()
}
