//! Tables with all rows, or sorted, filtered, grouped and cut.

mod arrange;
mod column;
pub mod error;
mod list;
mod pairs;
mod row;
mod series;

use arrange::Arranged;
pub use arrange::{Arrangement, GroupRow, Order, RowSums};
use bubble_common::segment::event::{Event, EventKind};
use column::Columns;
pub use list::ContainerRows;
use pairs::{connections, cores, files};
pub use row::{CpuCell, EventCell, FileCell, NetworkCell, TableKind, Who};
use serde::Serialize;
pub use series::{SeriesKind, TableSeries};

use super::bound::Bound;
use super::error::QueryError;
use super::ledger::Ledger;
use super::process::{ProcessInfo, key_of};
use super::range::{Plan, RangeInfo};
use crate::memory::MemoryError;

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
    /// The table of `kind` in `ledger`, arranged. Takes the memory of its rows from `bound`.
    ///
    /// # Errors
    /// When it has no such column, the filter is not valid, or it needs more memory.
    pub(super) fn new(
        kind: TableKind,
        plan: &Plan,
        ledger: &Ledger<'_>,
        by: &Arrangement,
        bound: &Bound,
    ) -> Result<Self, QueryError> {
        match kind {
            TableKind::Process => {
                Self::arrange(plan, processes(ledger, bound)?, by, bound, Rows::Process)
            }
            TableKind::File => Self::arrange(plan, files(ledger, bound)?, by, bound, Rows::File),
            TableKind::Network => {
                Self::arrange(plan, connections(ledger, bound)?, by, bound, Rows::Network)
            }
            TableKind::Cpu => Self::arrange(plan, cores(ledger, bound)?, by, bound, Rows::Cpu),
            TableKind::Event => Self::arrange(plan, events(ledger, bound)?, by, bound, Rows::Event),
        }
    }

    fn arrange<R: Columns>(
        plan: &Plan,
        rows: Vec<R>,
        by: &Arrangement,
        bound: &Bound,
        make: impl Fn(Vec<R>) -> Rows,
    ) -> Result<Self, QueryError> {
        match &by.group {
            Some(group) => Ok(Self::of(
                plan,
                arrange::groups(rows, group, by, bound)?,
                Rows::Group,
            )),
            None => Ok(Self::of(plan, arrange::rows(rows, by, bound)?, make)),
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

fn processes(ledger: &Ledger<'_>, bound: &Bound) -> Result<Vec<ProcessInfo>, MemoryError> {
    let present = || ledger.processes.iter().filter(|row| row.present);
    bound.take(present().map(ProcessInfo::size).sum())?;
    let mut rows: Vec<ProcessInfo> = present().map(ProcessInfo::new).collect();
    rows.sort_by(|a, b| a.key.cmp(&b.key));
    Ok(rows)
}

fn events(ledger: &Ledger<'_>, bound: &Bound) -> Result<Vec<EventCell>, MemoryError> {
    /// Memory of the key of a process.
    const KEY: usize = 64;
    let texts = |(event, process): &(&Event, Option<u32>)| {
        let process = process.map(|index| &ledger.processes[index as usize].process);
        event.detail.len() + process.map_or(0, |process| KEY + 2 * process.name.len())
    };
    let texts: usize = ledger.events.iter().map(texts).sum();
    bound.take(texts + ledger.events.len() * size_of::<EventCell>())?;
    let known = |(event, _): &&(&Event, _)| !event.kind.name().is_empty();
    let events = ledger.events.iter().filter(known);
    let events = events
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
        .collect();
    Ok(events)
}
